"""The decision to keep or hand off, and the one way out."""
