"""Nouns: immutable values, and pure functions over them; standard library only."""
