"""What an answer must pass."""
