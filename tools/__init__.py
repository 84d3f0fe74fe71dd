"""The project's own scripts: setup, checks, sample mail, demo."""
