"""What left the machine and what it cost, in a private SQLite file: the base of every limit."""
