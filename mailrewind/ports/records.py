"""What is asked of our own records, the catalogue and the state, and of who tells people."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from mailrewind.model.mail import Headers, Message
from mailrewind.model.operations import (
    OperationPlan,
    OperationReport,
)
from mailrewind.model.points import PointStatus, RestorePoint
from mailrewind.model.reports import BackupReport, IndexChanges
from mailrewind.model.restores import RestorePlan, RestoreReport, Then


@dataclass(frozen=True, slots=True)
class Process:
    """Evidence of who does something, to tell a living process from a dead one.

    Attributes:
        host: Name of the machine.
        pid: Process id there.
        boot_id: Kernel's boot id, so that a pid of before a restart means nothing.
        started: Start time in clock ticks since boot, so that a reused pid means nothing.
    """

    host: str
    pid: int
    boot_id: str
    started: int


WHOLE_SYSTEM = "*"  # no mailbox's address: the lease on everything that a system has


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds the right to restore into a mailbox, or into a whole system.

    Attributes:
        system: Name of the system.
        mailbox: Address, or WHOLE_SYSTEM.
        holder: In words, such as "plan 3f9a1c20 by cli:root".
        since: UTC.
        process: Who.
    """

    system: str
    mailbox: str
    holder: str
    since: datetime
    process: Process


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One deed.

    Attributes:
        at: UTC.
        who: Such as "cli:root" or "prefect".
        action: Such as "restore", "undo", "retain".
        system: Name of the system.
        mailbox: Address, or "".
        text: Numbers and the reason; never a subject or a body.
    """

    at: datetime
    who: str
    action: str
    system: str
    mailbox: str
    text: str


class Catalog(Protocol):
    """Which message was in which folder of which mailbox of one system, from when to when.

    Moments are those of restore points, whole seconds, UTC. Everything here is derived from the
    archives. Contract: recording the same point twice changes nothing.
    """

    def recorded(self) -> datetime | None:
        """Return the moment of the newest recorded point, or None."""
        ...

    def unknown(self, messages: Iterable[Message]) -> Sequence[Message]:
        """Return those whose GUID the catalogue has not met in their mailbox, one per GUID."""
        ...

    def record(
        self,
        at: datetime,
        messages: Iterable[Message],
        folders: Iterable[tuple[str, str]],
        headers: Mapping[tuple[str, str], Headers],
    ) -> IndexChanges:
        """Record everything that a restore point holds, in one transaction.

        Args:
            at: The point's moment; must be newer than every recorded one.
            messages: All of them.
            folders: (mailbox, folder) of all folders, empty ones included.
            headers: By (mailbox, GUID), for what ``unknown`` returned.

        Raises:
            RecordsBusy: Another process is writing.
            RecordsFull: The disk is full; nothing was recorded.
        """
        ...

    def forget(self, kept: Sequence[datetime]) -> int:
        """Drop messages that none of the kept points holds; return how many went."""
        ...

    def mailboxes(self, at: datetime) -> Sequence[tuple[str, int, int]]:
        """Return (address, messages, bytes) as of a point, sorted by address."""
        ...

    def folders(self, mailbox: str, at: datetime) -> Sequence[tuple[str, int, int, int]]:
        """Return (path, messages, unseen, bytes) as of a point, INBOX first, then sorted.

        Raises:
            MailboxNotFound: The mailbox did not exist at that point.
        """
        ...

    def messages(self, mailbox: str, at: datetime) -> Sequence[Then]:
        """Return every message of a mailbox as of a point, in all folders.

        Raises:
            MailboxNotFound: The mailbox did not exist at that point.
        """
        ...

    def page(
        self,
        mailbox: str,
        folder: str,
        at: datetime,
        *,
        after: tuple[int, int] | None = None,
        limit: int = 50,
    ) -> Sequence[tuple[Then, Headers, tuple[int, int]]]:
        """Return one page of a folder's list, newest first, with each row's cursor.

        Raises:
            MailboxNotFound: The mailbox did not exist at that point.
            FolderNotFound: The folder did not exist at that point.
        """
        ...


class State(Protocol):
    """What must survive: restore points, plans, reports, undo, leases, audit, alarms.

    One database for all systems. Every method is one transaction and raises RecordsBusy,
    RecordsFull or RecordsUnreadable.
    """

    def begin_point(self, point: RestorePoint, process: Process) -> None:
        """Write the row of a point that is being made.

        Raises:
            BackupRunning: A living process is making a point of this system; names it.
        """
        ...

    def enter_point(self, point: RestorePoint) -> None:
        """Write the row of a complete point whose archives were found standing.

        It is complete at once: of a point in the making whose process dies, the next backup would
        remove the archives.

        Raises:
            ArchiveExists: There is a row of this name, in whatever status.
        """
        ...

    def add_part(self, point: str, part: str) -> None:
        """Note that one archive of a point stands; noting it twice is no error."""
        ...

    def end_point(self, point: str, status: PointStatus, at: datetime) -> None:
        """Move a point on to ``complete``, ``failed``, ``cancelled`` or ``removed``."""
        ...

    def points(
        self, system: str, statuses: Iterable[PointStatus] = (PointStatus.COMPLETE,)
    ) -> Sequence[RestorePoint]:
        """Return the points of a system in any of these statuses, oldest first."""
        ...

    def dead_points(self, system: str) -> Sequence[RestorePoint]:
        """Return points still ``making`` whose process is gone, and failed ones with archives."""
        ...

    def save_backup_report(self, report: BackupReport) -> None:
        """Keep the report of a backup run; the later of two for one point wins."""
        ...

    def backup_reports(self, system: str, *, limit: int = 20) -> Sequence[BackupReport]:
        """Return the newest reports of a system, newest first."""
        ...

    def backup_report(self, point: str) -> BackupReport:
        """Return the report of one backup run.

        Raises:
            RestorePointNotFound: There is none of this point.
        """
        ...

    def save_plan(self, plan: RestorePlan) -> None:
        """Keep a plan under its id."""
        ...

    def plan(self, plan_id: str) -> RestorePlan:
        """Return a kept plan.

        Raises:
            PlanNotFound: No plan has this id.
        """
        ...

    def save_restore_report(self, report: RestoreReport) -> None:
        """Keep what a restore did, with what undo needs; the later of two for one id wins."""
        ...

    def restore_report(self, report_id: str) -> RestoreReport:
        """Return the report of one restore.

        Raises:
            NothingToUndo: No restore has this id.
        """
        ...

    def restore_reports(self, *, limit: int = 20) -> Sequence[RestoreReport]:
        """Return the newest restore reports of all systems, newest first."""
        ...

    def lease(
        self, system: str, mailbox: str, holder: str, *, wait: timedelta = timedelta(0)
    ) -> AbstractContextManager[None]:
        """Hold the only right to restore into a mailbox, or the one named WHOLE_SYSTEM.

        The two do not know each other: ``services.holding`` makes them exclude one another. A
        lease whose process is dead (same host: pid, boot id and start time; other hosts: not
        renewed for an hour) is taken over.

        Raises:
            LeaseHeld: After ``wait``; the message names holder, host, pid and since when.
            SystemHeld: The same, of WHOLE_SYSTEM.
        """
        ...

    def leases(self) -> Sequence[Lease]:
        """Return all leases that are held now."""
        ...

    def running_backups(self) -> Sequence[tuple[RestorePoint, Process]]:
        """Return the points being made, with the process that makes each."""
        ...

    def audit(self, line: AuditLine) -> None:
        """Append one line."""
        ...

    def audit_lines(self, *, limit: int = 50) -> Sequence[AuditLine]:
        """Return the newest lines, newest first."""
        ...

    def save_operation_plan(self, plan: OperationPlan) -> None:
        """Keep a plan under its id."""
        ...

    def operation_plan(self, plan_id: str) -> OperationPlan:
        """Return a kept plan.

        Raises:
            PlanNotFound: No plan has this id.
        """
        ...

    def save_operation_report(self, report: OperationReport) -> None:
        """Keep what an operation did; the later of two for one id wins."""
        ...

    def operation_report(self, report_id: str) -> OperationReport:
        """Return the report of one operation.

        Raises:
            NothingToUndo: No operation has this id.
        """
        ...

    def operation_reports(self, *, limit: int = 20) -> Sequence[OperationReport]:
        """Return the newest reports of all systems, newest first."""
        ...

    def raise_alarm(self, key: str, text: str, at: datetime) -> bool:
        """Note an alarm; True when it is new, so that it is told once."""
        ...

    def end_alarm(self, key: str) -> bool:
        """Forget an alarm; True when there was one."""
        ...

    def alarms(self) -> Mapping[str, tuple[str, datetime]]:
        """Return (text, since) of the alarms that have not ended, by key."""
        ...


class Notifier(Protocol):
    """A way to tell the operators."""

    def tell(self, subject: str, text: str, *, also: Sequence[str] = ()) -> Sequence[str]:
        """Send one message to everybody configured.

        Args:
            subject: One line.
            text: Never with a secret, or with what stands in anybody's mail.
            also: Addresses that are told besides.

        Returns:
            Those of ``also`` that could not be told.

        Raises:
            NotificationFailed: Nobody could be told.
        """
        ...
