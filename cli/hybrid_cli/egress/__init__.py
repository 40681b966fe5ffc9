"""The one way out: whether, what and how a request leaves."""
