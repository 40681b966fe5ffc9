"""How sure the local answer is."""
