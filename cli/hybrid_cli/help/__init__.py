"""The command tree as data: help topics and completions."""
