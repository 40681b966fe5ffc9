"""What the user agreed to send, and where."""
