"""Keeping a process from the network by the kernel."""
