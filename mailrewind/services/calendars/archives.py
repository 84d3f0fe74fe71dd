"""Find the export of a user in a restore point, or in an export that was kept beside them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from mailrewind.errors import ExportDamaged, MailboxNotFound, RestorePointNotFound
from mailrewind.formats.sogo import SogoExport, read_export
from mailrewind.model.exports import exports_among
from mailrewind.model.moments import parse_moment
from mailrewind.ports import Archives, State
from mailrewind.services.connected import Connect

_PART = "sogo"


@dataclass(frozen=True, slots=True)
class ExportSource:
    """An archive that holds exports.

    Attributes:
        name: Of the restore point, or of the kept export.
        taken_at: Its moment, UTC.
        archives: The repository.
        archive: Full name of the archive.
    """

    name: str
    taken_at: datetime
    archives: Archives
    archive: str


class CalendarArchives:
    """Reads what calendars and contacts users had."""

    def __init__(
        self, connect: Connect, state: State, *, zone: tzinfo, clock: Callable[[], datetime]
    ) -> None:
        self._connect = connect
        self._state = state
        self._zone = zone
        self._clock = clock

    def find(self, system: str, at: str) -> ExportSource:
        """Find the archive that a moment means.

        Args:
            system: Name of the system.
            at: "latest", a moment, the name of a restore point or of a kept export. A moment means
                a restore point.

        Raises:
            MomentUnclear, MomentInFuture, MomentTooEarly: The moment cannot be used.
            RestorePointNotFound: There is none of this name, or none that holds calendars.
        """
        connected = self._connect(system)
        if at.startswith(f"{connected.prefix}-{_PART}-"):
            for kept in exports_among(connected.archives.names(), connected.prefix):
                if kept.name == at:
                    return ExportSource(at, kept.taken_at, connected.archives, at)
            raise RestorePointNotFound(
                f"There is no kept export {at}.", advice=f"See `mailrewind exports {system}`."
            )
        points = self._state.points(system)
        holding = [point for point in points if _PART in point.parts]
        if points and not holding:
            raise RestorePointNotFound(f"No restore point of {system} holds calendars.")
        is_named = any(point.name == at.strip() for point in points)
        point = parse_moment(
            at, points=points if is_named else holding, now=self._clock(), zone=self._zone
        )
        if _PART not in point.parts:
            raise RestorePointNotFound(f"The restore point {point.name} holds no calendars.")
        archives = connected.archives_of(point)
        return ExportSource(point.name, point.taken_at, archives, f"{point.name}-{_PART}")

    def read(self, source: ExportSource, user: str) -> SogoExport:
        """Return what a user had.

        Raises:
            MailboxNotFound: The archive holds no export of this user.
            ExportDamaged: It cannot be read, or it is one of somebody else.
            RepositoryError: As borg says.
        """
        found = dict(source.archives.read(source.archive, [f"{_PART}/{user}"]))
        if not found:
            raise MailboxNotFound(
                f"{source.name} holds no calendars of {user}.",
                advice="Check the address; a user who never opened SOGo has none.",
            )
        export = read_export(found[f"{_PART}/{user}"])
        if export.uid not in ("", user):
            raise ExportDamaged(
                f"what {source.name} holds as the calendars of {user} are those of {export.uid}"
            )
        return export
