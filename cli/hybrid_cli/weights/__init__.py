"""Model weights: catalog, sources, download and store."""
