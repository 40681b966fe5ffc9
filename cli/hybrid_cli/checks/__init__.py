"""Checks of answers: JSON schema, verify command, choices, refusals, agreement and tool calls."""
