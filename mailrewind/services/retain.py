"""Thin out old restore points."""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from mailrewind.errors import LeaseHeld
from mailrewind.model.points import PointStatus, RestorePoint
from mailrewind.model.reports import RetainReport
from mailrewind.model.retention import KeepDecision, decide, reasons_to_keep
from mailrewind.ports import Archives, AuditLine, Progress, Report, State
from mailrewind.services.connected import Connect, ConnectedSystem
from mailrewind.services.holding import hold_mailbox, refuse_while_held
from mailrewind.services.safety import forget_old_copies
from mailrewind.services.schedules import interval

logger = logging.getLogger(__name__)

_NO_MAILBOX = "(retention)"


class Retain:
    """Decide which restore points stay, and let the others go; and old safety copies with them."""

    def __init__(
        self,
        connect: Connect,
        state: State,
        *,
        zone: tzinfo,
        clock: Callable[[], datetime],
        data_dir: Path | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._connect = connect
        self._state = state
        self._zone = zone
        self._clock = clock

    def decide(self, system: str) -> Sequence[KeepDecision]:
        """Return every restore point, newest first, until when it is kept and why.

        Nothing is changed. The schedule is taken to go on as it is.

        Raises:
            UnknownSystem: No such system is configured.
            RetentionRefused: The policy would keep nothing.
        """
        connected = self._connect(system)
        now = self._clock()
        return decide(
            self._state.points(connected.name),
            connected.policy,
            now=now,
            zone=self._zone,
            every=interval(connected.cron, self._zone, now),
        )

    def carry_out(
        self, system: str, *, initiator: str, report: Report | None = None
    ) -> RetainReport:
        """Delete the archives of the points that may go, and give their space back.

        The archives go first and the points' rows after them: what is interrupted in between is
        finished by the next run, because deleting what is gone already is no error.

        Raises:
            UnknownSystem: No such system is configured.
            RetentionRefused: The policy would keep nothing.
            SystemHeld: A restore holds the whole system.
            LeaseHeld: A restore is reading from this system's archives.
            RepositoryError: As borg says.
        """
        connected = self._connect(system)
        self._refuse_during_restores(system)
        # What wants the whole system waits for the end of this, as it does for restores.
        holder = f"retention by {initiator}"
        with hold_mailbox(
            self._state, system, mailbox=_NO_MAILBOX, holder=holder, wait=timedelta(0)
        ):
            self._forget_old_copies()
            return self._let_go(connected, initiator, report)

    def _let_go(
        self, connected: ConnectedSystem, initiator: str, report: Report | None
    ) -> RetainReport:
        system = connected.name
        judged = reasons_to_keep(
            self._state.points(connected.name),
            connected.policy,
            now=self._clock(),
            zone=self._zone,
        )
        going = [point for point, reasons in judged if not reasons]
        if going:
            _tell(report, "deleting archives", 0, len(going))
            for repository, points in _by_repository(connected, going):
                repository.delete([name for point in points for name in point.archives])
            for point in going:
                self._state.end_point(point.name, PointStatus.REMOVED, self._clock())
            self._forget(connected)
            _tell(report, "giving space back", len(going), len(going))
        self._audit(system, initiator, removed=len(going), kept=len(judged) - len(going))
        for repository, _ in _by_repository(connected, going):
            repository.compact()
        return RetainReport(
            system=system,
            at=self._clock(),
            removed=tuple(point.name for point in going),
            kept=len(judged) - len(going),
        )

    def _forget_old_copies(self) -> None:
        """Let old safety copies go, unless an undo, on whatever system, may be reading one."""
        if self._data_dir is None:
            return
        if any(lease.mailbox != _NO_MAILBOX for lease in self._state.leases()):
            logger.info("old safety copies stay until no restore works any more")
            return
        forget_old_copies(self._data_dir, self._clock())

    def _refuse_during_restores(self, system: str) -> None:
        refuse_while_held(self._state, system)
        for lease in self._state.leases():
            if lease.system == system:
                raise LeaseHeld(
                    f"A restore into {lease.mailbox} on {system} reads from the archives: "
                    f"{lease.holder}."
                )

    def _forget(self, connected: ConnectedSystem) -> None:
        kept = [point.taken_at for point in self._state.points(connected.name)]
        gone = connected.catalog.forget(kept)
        logger.info("%s: %s messages are in no restore point any more", connected.name, gone)

    def _audit(self, system: str, initiator: str, *, removed: int, kept: int) -> None:
        text = f"{removed} restore points removed, {kept} kept"
        logger.info("%s: %s", system, text)
        self._state.audit(AuditLine(self._clock(), initiator, "retain", system, "", text))


def _by_repository(
    connected: ConnectedSystem, points: Iterable[RestorePoint]
) -> list[tuple[Archives, list[RestorePoint]]]:
    """Sort points by the repository that holds them; the present one is always among these."""
    found: dict[int, tuple[Archives, list[RestorePoint]]] = {
        id(connected.archives): (connected.archives, [])
    }
    for point in points:
        archives = connected.archives_of(point)
        found.setdefault(id(archives), (archives, []))[1].append(point)
    return list(found.values())


def _tell(report: Report | None, text: str, done: int, total: int) -> None:
    if report is not None:
        report(Progress(done, total, "points", text))
