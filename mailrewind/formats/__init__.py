"""File formats, without I/O of their own."""
