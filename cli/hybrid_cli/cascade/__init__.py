"""The way of one prompt: local answer, decision, handoff, output."""
