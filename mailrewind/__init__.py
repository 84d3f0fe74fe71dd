"""Scheduled backup and granular restore for mail servers, independent of any scheduler."""
