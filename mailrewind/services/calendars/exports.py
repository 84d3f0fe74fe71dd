"""Exports of calendars and contacts as a thing of their own: made, listed, and let go."""

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta, tzinfo

from mailrewind.errors import ExportIncomplete, OperationUnknown
from mailrewind.model.exports import (
    ExportReport,
    KeptExport,
    as_points,
    export_name,
    exports_among,
)
from mailrewind.model.retention import reasons_to_keep
from mailrewind.ports import AuditLine, Calendars, Progress, Report, State
from mailrewind.services.connected import Connect, ConnectedSystem
from mailrewind.services.holding import refuse_while_held

logger = logging.getLogger(__name__)


class Exports:
    """Keep exports of calendars and contacts by a retention of their own.

    Each is an archive in the system's repository, beside those of the restore points: encrypted,
    off this host where the repository is, and nearly free, because both hold the same files. It
    holds all users, also where only some were exported anew: otherwise an export of one user would
    count as the newest of its day, and push everybody else's out.
    """

    def __init__(
        self, connect: Connect, state: State, *, zone: tzinfo, clock: Callable[[], datetime]
    ) -> None:
        self._connect = connect
        self._state = state
        self._zone = zone
        self._clock = clock

    def run(
        self,
        system: str,
        users: Collection[str] = (),
        *,
        initiator: str,
        report: Report | None = None,
    ) -> ExportReport:
        """Export users, keep that, and let go of what is too old.

        Args:
            system: Name of the system.
            users: Who is exported anew, besides those whose data have changed; none for everybody.
            initiator: Who asks.
            report: Told how far it has come.

        Raises:
            UnknownSystem: No such system is configured.
            OperationUnknown: The system has no calendars.
            SystemHeld: A restore holds the whole system.
            MailSystemError: SOGo or its database cannot be asked; retryable where waiting helps.
            RepositoryError: As borg says.
        """
        connected = self._connect(system)
        calendars = calendars_of(connected)
        refuse_while_held(self._state, system)
        connected.archives.prepare()
        before = exports_among(connected.archives.names(), connected.prefix)
        taken_at = self._next_moment(before)
        name = export_name(connected.prefix, taken_at)
        _tell(report, 0, "exporting calendars and contacts")
        with calendars.held(renew=users, all_users=not users) as exports:
            _tell(report, len(exports.renewed), "archiving the exports")
            statistics, unread = connected.archives.create_from_paths(name, exports.paths)
        if unread:
            connected.archives.delete([name])
            raise ExportIncomplete(f"{unread[0].subject} {unread[0].text}")
        removed = self._let_go(connected, [*before, KeptExport(name, taken_at)])
        done = ExportReport(
            system=system,
            name=name,
            taken_at=taken_at,
            users=exports.users,
            renewed=exports.renewed,
            added_bytes=statistics.added_bytes,
            removed=removed,
            findings=exports.findings,
        )
        self._audit(done, initiator)
        return done

    def kept(self, system: str) -> Sequence[KeptExport]:
        """Return the kept exports of a system, newest first, with their reasons to stay.

        Raises:
            UnknownSystem: No such system is configured.
            OperationUnknown: The system has no calendars.
            RepositoryError: As borg says.
        """
        connected = self._connect(system)
        calendars_of(connected)
        found = exports_among(connected.archives.names(), connected.prefix)
        return self._judged(connected, found)

    def _judged(
        self, connected: ConnectedSystem, found: Sequence[KeptExport]
    ) -> Sequence[KeptExport]:
        judged = reasons_to_keep(
            as_points(found, connected.name),
            connected.export_policy,
            now=self._clock(),
            zone=self._zone,
        )
        return [KeptExport(point.name, point.taken_at, why) for point, why in judged]

    def _let_go(self, connected: ConnectedSystem, found: Sequence[KeptExport]) -> tuple[str, ...]:
        """Delete what nothing keeps; retention gives the space back, once a day."""
        going = tuple(each.name for each in self._judged(connected, found) if not each.reasons)
        if going:
            connected.archives.delete(going)
        return going

    def _next_moment(self, before: Sequence[KeptExport]) -> datetime:
        """Return now in whole seconds, and always later than every kept export."""
        now = self._clock().replace(microsecond=0)
        latest = max((each.taken_at for each in before), default=now - timedelta(seconds=1))
        return max(now, latest + timedelta(seconds=1))

    def _audit(self, done: ExportReport, initiator: str) -> None:
        text = (
            f"{done.name}: {len(done.renewed)} of {len(done.users)} users exported anew, "
            f"{len(done.removed)} old exports removed, {len(done.findings)} findings"
        )
        logger.info("%s", text)
        self._state.audit(
            AuditLine(self._clock(), initiator, "export calendars", done.system, "", text)
        )


def calendars_of(connected: ConnectedSystem) -> Calendars:
    """Return the calendars of a system.

    Raises:
        OperationUnknown: It has none.
    """
    if connected.calendars is None:
        raise OperationUnknown(f"The system {connected.name} has no calendars and contacts.")
    return connected.calendars


def _tell(report: Report | None, done: int, text: str) -> None:
    if report is not None:
        report(Progress(done, None, "users", text))
