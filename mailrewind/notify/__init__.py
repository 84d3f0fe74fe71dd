"""Ways to tell the operators."""
