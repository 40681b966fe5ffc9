"""The guard: keep a process from using the network."""
