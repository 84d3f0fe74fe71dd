"""Know the restore points of a repository again, where the state does not: on a bare machine."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

from mailrewind.errors import ConfigurationInvalid
from mailrewind.model.points import (
    MAIL,
    ArchiveName,
    PointStatus,
    RestorePoint,
    read_archive_name,
)
from mailrewind.model.reports import AdoptReport, BackupReport, Finding
from mailrewind.model.words import count
from mailrewind.ports import State
from mailrewind.services.connected import Connect, ConnectedSystem

logger = logging.getLogger(__name__)


class Adopt:
    """Enter what stands in a system's repository into the state.

    What the state knows stays as it is, in whatever status, so adopting twice is adopting once.
    """

    def __init__(self, connect: Connect, state: State, *, clock: Callable[[], datetime]) -> None:
        self._connect = connect
        self._state = state
        self._clock = clock

    def run(self, system: str, *, required: Collection[str] | None = None) -> AdoptReport:
        """Enter every point that holds all its parts; the others are findings.

        The catalogue does not know them yet: ``BackUp.index`` of the newest one brings it up.

        Args:
            system: Name of the system.
            required: Which parts make a point complete; those that a backup makes by default.

        Raises:
            UnknownSystem: No such system is configured.
            ConfigurationInvalid: The repository holds points of others, and none of this system.
            RepositoryError: As borg says.
        """
        connected = self._connect(system)
        names = connected.archives.names()
        points, strangers = _grouped(connected, names)
        if strangers and not points:
            raise _another_prefix(connected, strangers)
        known = {point.name for point in self._state.points(system, tuple(PointStatus))}
        parts = required if required is not None else required_parts(connected)
        unknown = [point for point in points if point.name not in known]
        whole = [point for point in unknown if set(parts) <= set(point.parts)]
        for point in whole:
            self._enter(point)
        logger.info("%s: %s adopted of %s in the repository", system, len(whole), len(points))
        return AdoptReport(
            system=system,
            adopted=tuple(point.name for point in whole),
            known=len(points) - len(unknown),
            findings=(
                *(_incomplete(point, parts) for point in unknown if point not in whole),
                *(_stranger(prefix, number) for prefix, number in sorted(strangers.items())),
            ),
        )

    def _enter(self, point: RestorePoint) -> None:
        report = BackupReport(
            point=point.name,
            system=point.system,
            taken_at=point.taken_at,
            finished_at=self._clock(),
            archives=(),
            index=None,
            late=0,
            findings=(Finding(point.name, "was found in the repository and adopted"),),
        )
        # The report first: a complete point without one could not be indexed.
        self._state.save_backup_report(report)
        self._state.enter_point(point)


def required_parts(connected: ConnectedSystem) -> Sequence[str]:
    """Return the parts that a backup of a system makes each time."""
    return (MAIL, *(part.name for part in connected.mail.parts()))


def _grouped(
    connected: ConnectedSystem, names: Iterable[str]
) -> tuple[Sequence[RestorePoint], Counter[str]]:
    """Return this system's points, oldest first, and how many archives bear another prefix.

    Names come in the order in which the archives were made, and so do the parts of a point.
    """
    ours: dict[str, list[ArchiveName]] = {}
    strangers: Counter[str] = Counter()
    for archive in filter(None, map(read_archive_name, names)):
        if archive.prefix == connected.prefix:
            ours.setdefault(archive.point, []).append(archive)
        else:
            strangers[archive.prefix] += 1
    points = [
        RestorePoint(
            name=name,
            system=connected.name,
            taken_at=archives[0].taken_at,
            status=PointStatus.COMPLETE,
            parts=tuple(archive.part for archive in archives),
            repository=connected.repository,
        )
        for name, archives in ours.items()
    ]
    return sorted(points, key=lambda point: point.taken_at), strangers


def _another_prefix(connected: ConnectedSystem, strangers: Counter[str]) -> ConfigurationInvalid:
    found = " and ".join(sorted(strangers))
    (likely, _), *_ = strangers.most_common(1)
    return ConfigurationInvalid(
        f"The repository {connected.repository} holds restore points of {found}, and none of "
        f"{connected.prefix}.",
        advice=f"If they are those of {connected.name}, write `archive_prefix: {likely}` below "
        "this system in the configuration, and adopt again.",
    )


def _incomplete(point: RestorePoint, required: Collection[str]) -> Finding:
    lacking = ", ".join(part for part in required if part not in point.parts)
    return Finding(point.name, f"was not adopted: its run has not made {lacking}")


def _stranger(prefix: str, number: int) -> Finding:
    return Finding(prefix, f"is the prefix of {count(number, 'archive')} of another system")
