"""Profiles: the schema, the strict loader, and the policy merged from all layers."""
