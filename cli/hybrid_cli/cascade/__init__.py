"""One prompt's path: local answer, decision, handoff, output."""
