"""What may leave: the scan for secrets and personal data, and what the user agreed to send where."""
