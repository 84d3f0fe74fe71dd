"""What Prefect is told, and how it is kept running."""
