"""The ledger: requests to clouds and their cost, in a private SQLite file. All limits are counted in it."""
