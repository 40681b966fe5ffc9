"""Help beyond one command: topics, the command tree as data, and completion scripts made from it."""
