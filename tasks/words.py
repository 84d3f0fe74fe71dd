"""Moments and lengths of time as the operator reads them; sizes and numbers are those of all."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from mailrewind.model.words import count, size

__all__ = ["age", "count", "duration", "moment", "size"]


def moment(at: datetime, zone: ZoneInfo) -> str:
    """Say a moment with its zone, such as "2026-11-20 13:14:05 EET"."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def age(of: datetime, now: datetime) -> str:
    """Say how long ago a moment was, such as "2 days 3 hours ago"."""
    return f"{duration(max(now - of, timedelta(0)))} ago"


def duration(length: timedelta) -> str:
    """Say a length of time in its one or two largest units, such as "2 days 3 hours"."""
    seconds = int(length.total_seconds())
    amounts = (
        (seconds // 86_400, "day"),
        (seconds // 3_600 % 24, "hour"),
        (seconds // 60 % 60, "minute"),
        (seconds % 60, "second"),
    )
    first = next((number for number, (amount, _) in enumerate(amounts) if amount), 3)
    said = [count(amount, unit) for amount, unit in amounts[first : first + 2] if amount]
    return " ".join(said) or "0 seconds"
