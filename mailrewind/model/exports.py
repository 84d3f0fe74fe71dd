"""Exports of calendars and contacts that are kept beside the restore points.

Each is one archive, "<prefix>-sogo-<UTC time>". No restore point has such a name, and no archive
of one: those end with a dash and a part.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mailrewind.model.points import PointStatus, RestorePoint, point_name
from mailrewind.model.reports import Finding

_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")


@dataclass(frozen=True, slots=True)
class KeptExport:
    """One kept export of all users.

    Attributes:
        name: Of its archive.
        taken_at: UTC, whole seconds.
        reasons: Why it stays, as retention says; none when the next run may remove it.
    """

    name: str
    taken_at: datetime
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What one run of the exports did.

    Attributes:
        system: Name of the system.
        name: Of the archive that was made.
        taken_at: UTC.
        users: Whose export the archive holds.
        renewed: Whose was made in this run.
        added_bytes: New in the repository.
        removed: Names of the kept exports that went.
        findings: Users without an export, or with an older one than their data.
    """

    system: str
    name: str
    taken_at: datetime
    users: tuple[str, ...]
    renewed: tuple[str, ...]
    added_bytes: int
    removed: tuple[str, ...]
    findings: tuple[Finding, ...]


def export_name(prefix: str, taken_at: datetime) -> str:
    """Name the archive of an export, such as "office-sogo-2026-11-12T03:42:00Z"."""
    return point_name(f"{prefix}-sogo", taken_at)


def exports_among(names: Iterable[str], prefix: str) -> Sequence[KeptExport]:
    """Find the exports of a system among the archives of its repository, oldest first."""
    head = f"{prefix}-sogo-"
    stamps = [name.removeprefix(head) for name in names if name.startswith(head)]
    moments = sorted(_moment(stamp) for stamp in stamps if _STAMP.fullmatch(stamp))
    return [KeptExport(export_name(prefix, moment), moment) for moment in moments]


def as_points(exports: Iterable[KeptExport], system: str) -> list[RestorePoint]:
    """Show exports to retention, which decides over restore points."""
    return [
        RestorePoint(each.name, system, each.taken_at, PointStatus.COMPLETE, (), "")
        for each in exports
    ]


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
