"""Small helpers around the operating system and HTTP. From hybrid they import only `exit_status`."""
