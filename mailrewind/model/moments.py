"""Read what an operator writes for a moment, and find the restore point that it means.

What is written means its end: a day its last point, a minute its last second, so that a time copied
from a list finds the point that was shown there. A time without an offset is read in the operator's
zone. Where the clock went back and a time came twice, the first of the two is meant: what was lost
in between is still there. Where it went forward and the time never came, the time moves on by the
gap: on such a night 02:30 means 03:30.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from mailrewind.errors import (
    MomentInFuture,
    MomentTooEarly,
    MomentUnclear,
    RestorePointNotFound,
)
from mailrewind.model.points import PointStatus, RestorePoint, newest

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)
_INSTANT = timedelta(microseconds=1)

_DAY_OR_TIME = re.compile(
    r"(?P<day>today|yesterday|\d{4}-\d{2}-\d{2})"
    r"(?:[ t](?P<clock>\d{1,2}:\d{2}(?P<seconds>:\d{2}(?:\.\d{1,6})?)?)"
    r" ?(?P<offset>z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_AGO = re.compile(r"(?P<count>\d{1,6}) ?(?P<unit>minute|hour|day|week)s? ago", re.ASCII)
_POINT_NAME = re.compile(r"(?P<system>.+)-\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)


def parse_moment(
    text: str, *, points: Sequence[RestorePoint], now: datetime, zone: tzinfo
) -> RestorePoint:
    """Find the restore point that a text means: the newest complete one at its moment or before.

    Args:
        text: "latest"; a restore point's name; a day such as 2026-11-12, "today" or "yesterday",
            which means the last point of that day; a day and a time such as 2026-11-12 13:00 or
            yesterday 13:00:30; the same with an offset or Z behind it; or "3 hours ago", with
            minutes, hours, days or weeks.
        points: The restore points of the system, in any order and of any status.
        now: The moment of the question, aware.
        zone: Where days and times without an offset are read.

    Raises:
        MomentUnclear: The text is none of these.
        MomentInFuture: The moment has not come yet.
        MomentTooEarly: Every complete point is younger; the oldest is named.
        RestorePointNotFound: No point of this name can be restored from, or there is none at all.
    """
    wanted = " ".join(text.split())
    complete = [point for point in points if point.status is PointStatus.COMPLETE]
    for named in points:
        if named.name == wanted:
            return _restorable(named)
    if _POINT_NAME.fullmatch(wanted):
        raise RestorePointNotFound(f"There is no restore point {wanted}.")
    latest = newest(complete)
    if latest is None:
        raise RestorePointNotFound("There is no complete restore point yet.")
    if wanted.casefold() == "latest":
        return latest
    begin, end = _span(wanted.casefold(), text, now=now, zone=zone)
    if begin > now:
        raise MomentInFuture(f"{_shown(begin, zone)} has not come yet; it is {_shown(now, zone)}.")
    point = newest(point for point in complete if point.taken_at <= min(end, now))
    if point is None:
        oldest = min(complete, key=lambda point: point.taken_at)
        raise MomentTooEarly(
            f"There is no restore point as old as {_shown(begin, zone)}; the oldest is "
            f"{oldest.name}, taken {_shown(oldest.taken_at, zone)}."
        )
    return point


def _restorable(point: RestorePoint) -> RestorePoint:
    if point.status is not PointStatus.COMPLETE:
        raise RestorePointNotFound(
            f"The restore point {point.name} is {point.status}, not complete."
        )
    return point


def _span(wanted: str, text: str, *, now: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the first and the last moment, UTC, that anything but a name means."""
    try:
        span = _ago(wanted, now) or _day_or_time(wanted, now, zone)
    except (ValueError, OverflowError):  # of the right form, but no such day or time exists
        span = None
    if span is None:
        raise MomentUnclear(f"{text!r} does not name a moment.")
    return span


def _ago(wanted: str, now: datetime) -> tuple[datetime, datetime] | None:
    match = _AGO.fullmatch(wanted)
    if match is None:
        return None
    moment = now.astimezone(UTC) - timedelta(**{f"{match['unit']}s": int(match["count"])})
    return moment, moment


def _day_or_time(wanted: str, now: datetime, zone: tzinfo) -> tuple[datetime, datetime] | None:
    match = _DAY_OR_TIME.fullmatch(wanted)
    if match is None:
        return None
    today = now.astimezone(zone).date()
    day = {"today": today, "yesterday": today - _DAY}.get(match["day"])
    day = day or date.fromisoformat(match["day"])
    if match["clock"] is None:
        return _utc(day, time.min, zone), _utc(day + _DAY, time.min, zone) - _INSTANT
    clock = match["clock"] if match["clock"][1] != ":" else f"0{match['clock']}"
    begin = _utc(day, time.fromisoformat(clock), _offset(match["offset"]) or zone)
    return begin, begin + (_SECOND if match["seconds"] else _MINUTE) - _INSTANT


def _offset(text: str | None) -> tzinfo | None:
    """Read "z", "+02:00" or "+0200"."""
    return datetime.fromisoformat(f"2000-01-01T00:00{text.upper()}").tzinfo if text else None


def _utc(day: date, clock: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, clock, zone).astimezone(UTC)


def _shown(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
