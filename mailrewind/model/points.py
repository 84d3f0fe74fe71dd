"""Restore points: the archives that one backup run made, seen as a moment to return to."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

MAIL = "mail"
LATE = "late"
_STAMP = "%Y-%m-%dT%H:%M:%SZ"
_ARCHIVE = re.compile(
    r"(?P<prefix>[A-Za-z0-9][A-Za-z0-9._-]*)-"
    r"(?P<stamp>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)-(?P<part>.+)"
)


class PointStatus(StrEnum):
    """The life of a restore point."""

    MAKING = "making"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """One restore point.

    Attributes:
        name: "<system>-<UTC time>", unique; archives are named "<name>-<part>".
        system: The system's name in the configuration.
        taken_at: When the run began to read the mail, aware, UTC, whole seconds.
        status: Only a complete point can be restored from.
        parts: Names of its archives without ``name`` and dash, in the order they were made;
            where two hold the same path, the later one is right.
        repository: The repository's name in the configuration.
    """

    name: str
    system: str
    taken_at: datetime
    status: PointStatus
    parts: tuple[str, ...]
    repository: str

    @property
    def archives(self) -> tuple[str, ...]:
        """Full names of its archives, in the order they were made."""
        return tuple(f"{self.name}-{part}" for part in self.parts)

    @property
    def mail_archives(self) -> tuple[str, ...]:
        """Full names of those that hold mail, in the order they were made."""
        return tuple(f"{self.name}-{part}" for part in self.parts if is_mail(part))


def is_mail(part: str) -> bool:
    """Whether a part of a point holds mail: the first archive, or what was caught after it."""
    return part == MAIL or part.startswith(LATE)


def point_name(system: str, taken_at: datetime) -> str:
    """Name a restore point, such as "office-2026-11-12T12:14:00Z"."""
    return f"{system}-{taken_at.astimezone(UTC).strftime(_STAMP)}"


@dataclass(frozen=True, slots=True)
class ArchiveName:
    """What the name of an archive of a restore point says.

    Attributes:
        prefix: What the names of the system's points begin with.
        taken_at: The point's moment, UTC.
        part: Which archive of the point it is.
    """

    prefix: str
    taken_at: datetime
    part: str

    @property
    def point(self) -> str:
        """Name of the restore point."""
        return point_name(self.prefix, self.taken_at)


def read_archive_name(name: str) -> ArchiveName | None:
    """Take an archive's name apart; None if no restore point has such archives.

    A prefix has no colon, so only one moment can be meant, whatever the part is called.
    """
    match = _ARCHIVE.fullmatch(name)
    if match is None:
        return None
    try:
        taken_at = datetime.strptime(match["stamp"], _STAMP).replace(tzinfo=UTC)
    except ValueError:  # a 30th of February
        return None
    return ArchiveName(match["prefix"], taken_at, match["part"])


def newest(points: Iterable[RestorePoint]) -> RestorePoint | None:
    """Return the newest complete point, or None."""
    complete = [point for point in points if point.status is PointStatus.COMPLETE]
    return max(complete, key=lambda point: point.taken_at, default=None)
