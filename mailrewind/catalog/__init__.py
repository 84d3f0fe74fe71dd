"""Which message was where, from when to when."""
