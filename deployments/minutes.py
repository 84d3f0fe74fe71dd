"""Start minutes spread over the hour when many systems share a pool."""

import hashlib
from collections.abc import Mapping

# A loaded machine starts 29 runs a minute. Up to 20 at once are through within the minute; beyond,
# 40 minutes for 1,000 systems are 25 a minute, which leaves the queue near empty.
_SYSTEMS_AT_ONCE = 20
_SPREAD_MINUTES = 40


def spread(schedules: Mapping[str, str]) -> dict[str, str]:
    """Return each system's cron line, its minute moved by its name where too many start at once.

    A schedule that starts in another minute than most, or in several, is its operator's choice and
    stays. The same name always gets the same minute.
    """
    crowds: dict[str, int] = {}
    for cron in schedules.values():
        crowds[cron] = crowds.get(cron, 0) + 1
    return {
        system: _moved(system, cron) if crowds[cron] > _SYSTEMS_AT_ONCE else cron
        for system, cron in schedules.items()
    }


def _moved(system: str, cron: str) -> str:
    minute, hours = cron.split(maxsplit=1)
    if not minute.isdecimal() or not hours.startswith("*"):
        return cron
    number = int.from_bytes(hashlib.sha256(system.encode()).digest())
    return f"{(int(minute) + number % _SPREAD_MINUTES) % 60} {hours}"
