"""The terminal, text for people, and the environment of a run."""
