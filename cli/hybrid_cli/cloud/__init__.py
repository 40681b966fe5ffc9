"""Requests to a cloud: client, payload, streams, faults, keys and prices. Only `egress.send` imports the client."""
