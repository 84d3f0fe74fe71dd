"""Calendars, contacts and preferences: looked at, brought back, and exported as such."""
