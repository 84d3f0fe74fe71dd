"""When a cron schedule comes, and whether the restore points keep up with it.

A schedule is read in the operator's time zone as Debian's cron reads it: where clocks go forward, a
run whose time is skipped comes right after the gap; where they go back, a run at a fixed time comes
once, the first time. A schedule for every hour keeps its distance of one hour through both.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice

from cronsim import CronSim, CronSimError

from mailrewind.errors import ConfigurationInvalid

# What a run needs to be noticed and begun; a run that works is told from a dead one by its process.
GRACE = timedelta(minutes=2)

# Wall clocks go back by less than this: a walk backwards that begins later meets each run of such
# a night, also those whose wall time is still to come for the second time.
_LONGEST_FOLD = timedelta(hours=3)


def next_run(cron: str, zone: tzinfo, now: datetime) -> datetime:
    """Return the first run after ``now``, in UTC.

    Raises:
        ConfigurationInvalid: This is no schedule, or one that never comes.
    """
    return next(_runs_after(cron, zone, now))


def previous_run(cron: str, zone: tzinfo, now: datetime) -> datetime:
    """Return the last run at ``now`` or before it, in UTC.

    Raises:
        ConfigurationInvalid: This is no schedule, or one that never comes.
    """
    runs = _walk(cron, (now + _LONGEST_FOLD).astimezone(zone), backwards=True)
    return next(run for run in runs if run <= now)


def interval(cron: str, zone: tzinfo, now: datetime) -> timedelta:
    """Return the time between the run before and the run after ``now``.

    Raises:
        ConfigurationInvalid: This is no schedule, or one that never comes.
    """
    return next_run(cron, zone, now) - previous_run(cron, zone, now)


def is_overdue(
    newest: datetime | None, cron: str, zone: tzinfo, now: datetime, *, factor: int
) -> bool:
    """Say whether runs have passed that left no restore point.

    Args:
        newest: Moment of the newest complete restore point; None if there is none: overdue.
        cron: The system's schedule.
        zone: Where its hours are read.
        now: The moment of the question, aware.
        factor: How many runs after ``newest`` must have passed, at least 1. The last of them is
            given two minutes to begin, or half its distance to the run before if that is less.

    Raises:
        ConfigurationInvalid: This is no schedule, or one that never comes.
    """
    if newest is None:
        return True
    runs = [newest, *islice(_runs_after(cron, zone, newest), factor)]
    grace = min(GRACE, (runs[-1] - runs[-2]) / 2)
    return now > runs[-1] + grace


def _runs_after(cron: str, zone: tzinfo, moment: datetime) -> Iterator[datetime]:
    runs = _walk(cron, moment.astimezone(zone), backwards=False)
    return (run for run in runs if run > moment)


def _walk(cron: str, start: datetime, *, backwards: bool) -> Iterator[datetime]:
    if len(cron.split()) != 5:
        raise ConfigurationInvalid(
            f"The schedule {cron!r} does not have the five fields of a cron line.",
            advice="Write minute, hour, day, month and weekday, such as 14 * * * *.",
        )
    try:
        for run in CronSim(cron, start, reverse=backwards):
            yield run.astimezone(UTC)
    except CronSimError as error:
        raise ConfigurationInvalid(f"The schedule {cron!r} is no cron line: {error}.") from error
    raise ConfigurationInvalid(f"The schedule {cron!r} never comes.")
