"""Small helpers around the operating system and HTTP; they know nothing of the rest of hybrid."""
