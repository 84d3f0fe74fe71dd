"""The database: the whole of it back, or what it says of one account."""
