"""One instruction over many records: read, answered side by side, and written in order."""
