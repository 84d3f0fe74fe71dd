"""The hourly backup: archive what is there, index it, report it."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mailrewind.errors import ArchiveMissing, MailrewindError, MailSystemError, SystemHeld
from mailrewind.formats.rfc5322 import read_headers
from mailrewind.model.mail import Headers, Message
from mailrewind.model.points import MAIL, PointStatus, RestorePoint, point_name
from mailrewind.model.reports import BackupReport, Finding
from mailrewind.model.words import count
from mailrewind.ports import ArchivedFile, MailSystem, Progress, Report, State
from mailrewind.ports import Process as RunningProcess
from mailrewind.services.connected import Connect, ConnectedSystem
from mailrewind.services.contents import contents, files_of, plain_contents
from mailrewind.services.holding import refuse_while_held
from mailrewind.services.making import PointInTheMaking, without_left_places

logger = logging.getLogger(__name__)


class BackUp:
    """Make restore points.

    The three steps may run in one process or be tried again one by one: an archive that stands is
    not made again, and indexing catches up with every point that is not in the catalogue yet.
    """

    def __init__(
        self,
        connect: Connect,
        state: State,
        *,
        process: RunningProcess,
        clock: Callable[[], datetime],
    ) -> None:
        self._connect = connect
        self._state = state
        self._process = process
        self._clock = clock
        self._listed: tuple[str, dict[str, ArchivedFile]] | None = None

    def run(self, system: str, *, initiator: str, report: Report | None = None) -> BackupReport:
        """Make one restore point of a system and index it.

        Raises:
            MailrewindError: Whatever the three steps raise.
        """
        point = self.archive(system, initiator=initiator, report=report)
        self.index(point, report=report)
        return self.report(point)

    def archive(self, system: str, *, initiator: str, report: Report | None = None) -> str:
        """Archive a system and return the name of the restore point.

        Args:
            system: Name of the system.
            initiator: Who asked, for the log.
            report: Told how far it has come.

        Raises:
            UnknownSystem: No such system is configured.
            BackupRunning: A living process is backing it up.
            SystemHeld: A restore holds the whole system.
            SourceMissing, SourceUnreadable: The mail is not where it should be.
            CaptureIncomplete: Messages kept being renamed under borg.
            MailSystemError: Another part of the system cannot be read.
            RepositoryError: As borg says.
        """
        connected = self._connect(system)
        point = self._own_point(system) or self._begin(connected)
        logger.info("backing up %s as %s for %s", system, point.name, initiator)
        try:
            refuse_while_held(self._state, system)
            done = self._archive(connected, point, report)
        except SystemHeld:  # a point in the making would keep the holder waiting for its end
            self._state.end_point(point.name, PointStatus.CANCELLED, self._clock())
            raise
        except MailrewindError as error:
            if not error.retryable:
                self._state.end_point(point.name, PointStatus.FAILED, self._clock())
            raise
        except BaseException:  # somebody's wish, so no failure; the next run removes what stands
            self._state.end_point(point.name, PointStatus.CANCELLED, self._clock())
            raise
        self._state.save_backup_report(done)
        self._state.end_point(point.name, PointStatus.COMPLETE, self._clock())
        self._forget_failures(system)
        return point.name

    def index(self, point: str, *, report: Report | None = None) -> None:
        """Bring the catalogue up to a restore point, and to older ones that it lacks.

        Raises:
            RestorePointNotFound: There is no such complete point.
            RecordsError: The catalogue cannot be written.
        """
        reached = self._report_of(point)
        connected = self._connect(reached.system)
        recorded = connected.catalog.recorded()
        for pending in self._state.points(reached.system):
            if recorded is not None and pending.taken_at <= recorded:
                continue
            if pending.taken_at > reached.taken_at:
                break
            try:
                self._index(connected, pending, report)
            except ArchiveMissing:
                if pending.name == point:
                    raise
                # Its archives were deleted by hand, or by a retention that was broken off.
                logger.warning("%s stays out of the catalogue: its archives are gone", pending.name)

    def report(self, point: str) -> BackupReport:
        """Return what a run did.

        Raises:
            RestorePointNotFound: There is no such point.
        """
        done = self._report_of(point)
        logger.info(
            "%s: %s messages, %s bytes new in the repository, %s findings",
            point,
            done.index.messages if done.index else "unindexed",
            done.added_bytes,
            len(done.findings),
        )
        return done

    def _own_point(self, system: str) -> RestorePoint | None:
        """Return the point that this very process began, when a step is tried again."""
        for point, process in self._state.running_backups():
            if point.system == system and process == self._process:
                return point
        return None

    def _begin(self, connected: ConnectedSystem) -> RestorePoint:
        taken_at = self._next_moment(connected.name)
        point = RestorePoint(
            name=point_name(connected.prefix, taken_at),
            system=connected.name,
            taken_at=taken_at,
            status=PointStatus.MAKING,
            parts=(),
            repository=connected.repository,
        )
        self._state.begin_point(point, self._process)
        return point

    def _next_moment(self, system: str) -> datetime:
        """Return now in whole seconds, and always later than every point there is."""
        now = self._clock().replace(microsecond=0)
        latest = max(
            (point.taken_at for point in self._state.points(system, tuple(PointStatus))),
            default=None,
        )
        return now if latest is None or latest < now else latest + timedelta(seconds=1)

    def _archive(
        self, connected: ConnectedSystem, point: RestorePoint, report: Report | None
    ) -> BackupReport:
        connected.archives.prepare()
        self._remove_remains(connected)
        # A step that is tried again goes on from the archive that its first try has made.
        began_at = min(point.taken_at, self._clock())
        run = PointInTheMaking(connected, self._state, point, began_at=began_at)
        with connected.mail.capture() as capture:
            before = connected.mail.survey()
            run.create(MAIL, lambda name: connected.archives.create(name, capture, report=report))
            late = run.catch_late(before)
        for part in connected.mail.parts():
            run.create_part(part, report=report)
        self._listed = (point.name, run.listing)
        return BackupReport(
            point=point.name,
            system=connected.name,
            taken_at=point.taken_at,
            finished_at=self._clock(),
            archives=tuple(run.statistics),
            index=None,
            late=late,
            findings=tuple(run.findings),
            gone=tuple(sorted(run.gone)),
        )

    def _remove_remains(self, connected: ConnectedSystem) -> None:
        """Delete the archives of runs that failed, or did not live to say so."""
        for dead in self._state.dead_points(connected.name):
            self._state.end_point(dead.name, PointStatus.FAILED, self._clock())
        failed = [f"{point.name}-" for point in self._failed_points(connected.name)]
        remains = [name for name in connected.archives.names() if name.startswith(tuple(failed))]
        if remains:
            logger.info("removing what unfinished runs left: %s", ", ".join(remains))
            connected.archives.delete(remains)

    def _forget_failures(self, system: str) -> None:
        """Close the rows of failed runs, now that one has succeeded."""
        for point in self._failed_points(system):
            self._state.end_point(point.name, PointStatus.REMOVED, self._clock())

    def _failed_points(self, system: str) -> Sequence[RestorePoint]:
        return self._state.points(system, (PointStatus.FAILED, PointStatus.CANCELLED))

    def _index(
        self, connected: ConnectedSystem, point: RestorePoint, report: Report | None
    ) -> None:
        listing = self._listing_of(connected, point)

        def fetch(paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
            return contents(connected.archives_of(point), point, paths)

        done = self._report_of(point.name)
        messages = without_left_places(
            list(connected.mail.interpret(listing.values(), fetch)),
            frozenset(done.gone),
            key_of=connected.mail.key_of,
        )
        fresh = connected.catalog.unknown(messages)
        wanted = fresh if connected.catalogues_headers else ()
        headers, unreadable = _read_all_headers(connected.mail, wanted, fetch, report)
        changes = connected.catalog.record(
            point.taken_at, messages, connected.mail.folders_in(listing.values()), headers
        )
        findings = dict.fromkeys((*done.findings, *unreadable))
        self._state.save_backup_report(
            replace(done, index=changes, finished_at=self._clock(), findings=tuple(findings))
        )

    def _listing_of(
        self, connected: ConnectedSystem, point: RestorePoint
    ) -> dict[str, ArchivedFile]:
        """Take the listing that archiving needed anyway, if this process has just done that."""
        listed, self._listed = self._listed, None
        if listed is not None and listed[0] == point.name:
            return listed[1]
        return files_of(connected.archives_of(point), point)

    def _report_of(self, point: str) -> BackupReport:
        return self._state.backup_report(point)


def _read_all_headers(
    mail: MailSystem,
    messages: Sequence[Message],
    fetch: Callable[[Sequence[str]], Iterator[tuple[str, bytes]]],
    report: Report | None,
) -> tuple[dict[tuple[str, str], Headers], Sequence[Finding]]:
    """Return the headers of messages, and what cannot be read."""
    unread = {message.path: message for message in messages}
    headers: dict[tuple[str, str], Headers] = {}
    refused: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path, content in plain_contents(mail, fetch(list(unread))):
        message = unread.pop(path)
        if isinstance(content, MailSystemError):
            refused[message.mailbox, str(content)].append(path)
        else:
            headers[message.mailbox, message.guid] = read_headers(content)
        if report is not None:
            done = len(messages) - len(unread)
            report(Progress(done, len(messages), "messages", "indexing new messages"))
    return headers, [
        *(_refused(mailbox, reason, paths) for (mailbox, reason), paths in refused.items()),
        *(
            Finding(path, "is listed in the archive but could not be read from it")
            for path in unread
        ),
    ]


def _refused(mailbox: str, reason: str, paths: Sequence[str]) -> Finding:
    """Put what many messages have in common into one finding."""
    text = f"{count(len(paths), 'message')} without subject and sender, such as {paths[0]}"
    return Finding(mailbox, f"{text}: {reason}")
