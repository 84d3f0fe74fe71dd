"""Say how things stand, and tell the operators when they stand badly."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from mailrewind.errors import NotificationFailed
from mailrewind.model.operations import OperationReport
from mailrewind.model.points import PointStatus, RestorePoint, newest
from mailrewind.model.reports import BackupReport
from mailrewind.model.restores import RestoreReport
from mailrewind.ports import Lease, Notifier, Process, State
from mailrewind.services.broken_off import broken_off_text, left_broken_off
from mailrewind.services.connected import Connect
from mailrewind.services.schedules import is_overdue, next_run

logger = logging.getLogger(__name__)

_ALARM_AFTER_INTERVALS = 2
_NEW = "new:"  # since when a system without any point is known; not an alarm


@dataclass(frozen=True, slots=True)
class SystemOverview:
    """How the backups of one system stand.

    Attributes:
        name: Of the system.
        repository: The repository's name.
        newest: The newest complete restore point, or None.
        age: How old that is.
        points: How many complete restore points there are.
        next_run: When the schedule comes next, UTC.
        is_overdue: Whether a run has been missed.
        running: The process that backs it up now, or None.
        last_report: Of the newest run that has one.
        last_failure: The newest failed point, if no complete one is newer.
    """

    name: str
    repository: str
    newest: RestorePoint | None
    age: timedelta | None
    points: int
    next_run: datetime
    is_overdue: bool
    running: Process | None
    last_report: BackupReport | None
    last_failure: RestorePoint | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that operators must know.

    Attributes:
        key: Stays the same while it lasts.
        text: One sentence.
        since: UTC.
    """

    key: str
    text: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """How everything stands, on one screen.

    Attributes:
        at: When this was true, UTC.
        systems: In the configuration's order.
        restores: The newest reports of messages brought back, newest first.
        operations: The newest reports of everything else, newest first.
        broken_off: Those of them that died on the way and are neither undone nor done again.
        leases: Restores that run now.
        alarms: What is wrong, as told.
    """

    at: datetime
    systems: tuple[SystemOverview, ...]
    restores: tuple[RestoreReport, ...]
    operations: tuple[OperationReport, ...]
    broken_off: tuple[OperationReport, ...]
    leases: tuple[Lease, ...]
    alarms: tuple[Alarm, ...]


class Watch:
    """Judge by the state alone, so that it works whatever else is dead."""

    def __init__(
        self,
        systems: Sequence[str],
        connect: Connect,
        state: State,
        notifier: Notifier,
        *,
        zone: tzinfo,
        clock: Callable[[], datetime],
    ) -> None:
        self._systems = systems
        self._connect = connect
        self._state = state
        self._notifier = notifier
        self._zone = zone
        self._clock = clock

    def overview(self) -> Overview:
        """Return how everything stands."""
        return Overview(
            at=self._clock(),
            systems=tuple(self._overview_of(system) for system in self._systems),
            restores=tuple(self._state.restore_reports(limit=5)),
            operations=tuple(self._state.operation_reports(limit=5)),
            broken_off=tuple(left_broken_off(self._state)),
            leases=tuple(self._state.leases()),
            alarms=self._alarms(),
        )

    def overdue(self) -> Sequence[str]:
        """Return the systems whose newest restore point is older than their schedule allows.

        A system that is being backed up right now is not among them.
        """
        overviews = [self._overview_of(system) for system in self._systems]
        return [each.name for each in overviews if each.is_overdue and each.running is None]

    def check(self) -> Sequence[Alarm]:
        """Tell every alarm that is new, and the end of every alarm that is over.

        Raises:
            NotificationFailed: Nobody could be told; the next check tries again.
        """
        wrong = dict(self._what_is_wrong())
        for key, text in wrong.items():
            self.tell(key, text)
        for key, (text, _) in self._state.alarms().items():
            if key.startswith(("overdue:", "failed:", "broken-off:")) and key not in wrong:
                self.end(key, text)
        return self._alarms()

    def tell(self, key: str, text: str) -> None:
        """Tell the operators once for each key, until that alarm is ended.

        Raises:
            NotificationFailed: Nobody could be told; it counts as not told.
        """
        if not self._state.raise_alarm(key, text, self._clock()):
            return
        logger.warning("alarm: %s", text)
        try:
            self._notifier.tell(f"mailrewind: {text}", text)
        except NotificationFailed:
            self._state.end_alarm(key)
            raise

    def end(self, key: str, text: str) -> None:
        """Tell the operators that an alarm is over.

        Raises:
            NotificationFailed: Nobody could be told; the alarm stays until somebody is.
        """
        self._notifier.tell(f"mailrewind: over: {text}", f"This is over: {text}")
        self._state.end_alarm(key)

    def _what_is_wrong(self) -> Iterator[tuple[str, str]]:
        for report in left_broken_off(self._state):
            yield f"broken-off:{report.id}", broken_off_text(report)
        for system in self._systems:
            overview = self._overview_of(system)
            if failed := overview.last_failure:
                yield f"failed:{system}", f"the backup of {system} failed ({failed.name})"
            if self._is_alarming(overview):
                yield f"overdue:{system}", _overdue_text(overview, self._zone)

    def _overview_of(self, system: str) -> SystemOverview:
        connected = self._connect(system)
        now = self._clock()
        points = self._state.points(system)
        latest = newest(points)
        running = [
            process for point, process in self._state.running_backups() if point.system == system
        ]
        reports = self._state.backup_reports(system, limit=1)
        return SystemOverview(
            name=system,
            repository=connected.repository,
            newest=latest,
            age=now - latest.taken_at if latest else None,
            points=len(points),
            next_run=next_run(connected.cron, self._zone, now),
            is_overdue=is_overdue(
                latest.taken_at if latest else None, connected.cron, self._zone, now, factor=1
            ),
            running=running[0] if running else None,
            last_report=reports[0] if reports else None,
            last_failure=self._last_failure(system, latest),
        )

    def _last_failure(self, system: str, latest: RestorePoint | None) -> RestorePoint | None:
        failed = self._state.points(system, (PointStatus.FAILED,))
        if not failed or (latest and latest.taken_at > failed[-1].taken_at):
            return None
        return failed[-1]

    def _is_alarming(self, overview: SystemOverview) -> bool:
        if overview.newest is None and overview.running is not None:
            return False  # a first backup may take days
        since = overview.newest.taken_at if overview.newest else self._known_since(overview.name)
        cron = self._connect(overview.name).cron
        return is_overdue(since, cron, self._zone, self._clock(), factor=_ALARM_AFTER_INTERVALS)

    def _known_since(self, system: str) -> datetime:
        """Return when a system without any point was first looked at."""
        key = f"{_NEW}{system}"
        self._state.raise_alarm(key, f"{system} is new", self._clock())
        return self._state.alarms()[key][1]

    def _alarms(self) -> tuple[Alarm, ...]:
        return tuple(
            Alarm(key, text, since)
            for key, (text, since) in self._state.alarms().items()
            if not key.startswith(_NEW)
        )


def _overdue_text(overview: SystemOverview, zone: tzinfo) -> str:
    if overview.newest is None:
        return f"{overview.name} has no restore point yet"
    taken_at = overview.newest.taken_at.astimezone(zone)
    return f"{overview.name} has no restore point since {taken_at:%Y-%m-%d %H:%M %Z}"
