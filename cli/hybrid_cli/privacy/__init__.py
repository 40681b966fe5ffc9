"""The privacy scan of what leaves, redaction, and the user's consent to clouds."""
