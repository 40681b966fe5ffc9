"""Terminal, text and the process around a run."""
