"""The cloud side: client and keys. Only `handoff.egress` imports the client."""
