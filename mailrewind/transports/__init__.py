"""Ways to reach processes."""
