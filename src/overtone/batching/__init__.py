"""Which waiting segments run together, and how much memory a batch may take."""
