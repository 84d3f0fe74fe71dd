"""The state in a database of ours."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Table, delete, insert, select, update

from mailrewind.errors import NothingToUndo, PlanNotFound, RestorePointNotFound
from mailrewind.model.operations import OperationPlan, OperationReport
from mailrewind.model.points import PointStatus, RestorePoint
from mailrewind.model.reports import BackupReport
from mailrewind.model.restores import RestorePlan, RestoreReport
from mailrewind.ports import AuditLine, Lease, Process
from mailrewind.state.documents import (
    read_backup_report,
    read_plan,
    read_restore_report,
    write_backup_report,
    write_plan,
    write_restore_report,
)
from mailrewind.state.leases import Leases
from mailrewind.state.liveness import RENEW_EVERY, Liveness, Renewals
from mailrewind.state.operation_documents import (
    read_operation_plan,
    read_operation_report,
    write_operation_plan,
    write_operation_report,
)
from mailrewind.state.points import Points
from mailrewind.state.schema import (
    HEAD,
    VERSION_TABLE,
    alarm,
    audit,
    backup_report,
    operation_plan,
    operation_report,
    plan,
    restore_report,
)
from mailrewind.transports.database import Database, Records

_RECORDS = Records(
    what="the state database",
    migrations=Path(__file__).parent / "migrations",
    head=HEAD,
    version_table=VERSION_TABLE,
    is_derived=False,
)


def _now() -> datetime:
    return datetime.now(UTC)


class SqlState:
    """What must survive; the contract of each method is that of ``ports.State``."""

    def __init__(
        self,
        place: Path | str,
        *,
        process: Process,
        is_alive: Callable[[Process], bool],
        clock: Callable[[], datetime] = _now,
        busy_timeout: timedelta = timedelta(seconds=30),
        renew_every: timedelta = RENEW_EVERY,
    ) -> None:
        """Open the state, which is created where there is none.

        Args:
            place: A file, or the URL of a database.
            process: Who we are.
            is_alive: Whether a process of this host still runs.
            clock: Gives the present moment.
            busy_timeout: How long to wait for another writer.
            renew_every: How often what this process holds is renewed.

        Raises:
            RecordsOutdated: A newer version wrote it.
            RecordsError: It cannot be opened, by kind.
        """
        self._database = Database(place, _RECORDS, busy_timeout=busy_timeout)
        liveness = Liveness(process, is_alive, clock)
        renewals = Renewals(renew_every)
        self._points = Points(self._database, liveness, renewals)
        self._leases = Leases(self._database, liveness, renewals)

    def close(self) -> None:
        """Close the database; it also closes by itself."""
        self._database.close()

    def begin_point(self, point: RestorePoint, process: Process) -> None:
        """Write the row of a point that is being made.

        Raises:
            BackupRunning: A living process is making a point of this system; names it.
            ArchiveExists: The point is complete already.
        """
        self._points.begin(point, process)

    def enter_point(self, point: RestorePoint) -> None:
        """Write the row of a complete point whose archives were found standing.

        Raises:
            ArchiveExists: There is a row of this name, in whatever status.
        """
        self._points.enter(point)

    def add_part(self, point: str, part: str) -> None:
        """Note that one archive of a point stands; noting it twice is no error.

        Raises:
            RestorePointNotFound: There is no such point.
        """
        self._points.add_part(point, part)

    def end_point(self, point: str, status: PointStatus, at: datetime) -> None:
        """Move a point on to ``complete``, ``failed`` or ``removed``.

        Raises:
            RestorePointNotFound: There is no such point.
        """
        self._points.end(point, status, at)

    def points(
        self, system: str, statuses: Iterable[PointStatus] = (PointStatus.COMPLETE,)
    ) -> Sequence[RestorePoint]:
        """Return the points of a system in any of these statuses, oldest first."""
        return self._points.of_system(system, statuses)

    def dead_points(self, system: str) -> Sequence[RestorePoint]:
        """Return points still ``making`` whose process is gone, and failed ones with archives."""
        return self._points.dead(system)

    def running_backups(self) -> Sequence[tuple[RestorePoint, Process]]:
        """Return the points being made, with the living process that makes each."""
        return self._points.being_made()

    def save_backup_report(self, report: BackupReport) -> None:
        """Keep the report of a backup run; the later of two for one point wins."""
        self._save(
            backup_report,
            {"point": report.point},
            system=report.system,
            taken_at=report.taken_at,
            document=write_backup_report(report),
        )

    def backup_reports(self, system: str, *, limit: int = 20) -> Sequence[BackupReport]:
        """Return the newest reports of a system, newest first."""
        with self._database.read() as connection:
            documents = connection.execute(
                select(backup_report.c.document)
                .where(backup_report.c.system == system)
                .order_by(backup_report.c.taken_at.desc(), backup_report.c.point.desc())
                .limit(limit)
            ).scalars()
            return [read_backup_report(document) for document in documents]

    def backup_report(self, point: str) -> BackupReport:
        """Return the report of one backup run.

        Raises:
            RestorePointNotFound: There is none of this point.
        """
        document = self._document(backup_report, point)
        if document is None:
            raise RestorePointNotFound(f"there is no report of a restore point {point}")
        return read_backup_report(document)

    def save_plan(self, plan_: RestorePlan) -> None:
        """Keep a plan under its id."""
        self._save(
            plan,
            {"id": plan_.id},
            system=plan_.request.system,
            mailbox=plan_.request.mailbox,
            made_at=plan_.made_at,
            document=write_plan(plan_),
        )

    def plan(self, plan_id: str) -> RestorePlan:
        """Return a kept plan.

        Raises:
            PlanNotFound: No plan has this id.
        """
        document = self._document(plan, plan_id)
        if document is None:
            raise PlanNotFound(f"there is no plan {plan_id}")
        return read_plan(document)

    def save_restore_report(self, report: RestoreReport) -> None:
        """Keep what a restore did, with what undo needs; the later of two for one id wins."""
        self._save(
            restore_report,
            {"id": report.id},
            system=report.plan.request.system,
            mailbox=report.plan.request.mailbox,
            started_at=report.started_at,
            document=write_restore_report(report),
        )

    def restore_report(self, report_id: str) -> RestoreReport:
        """Return the report of one restore.

        Raises:
            NothingToUndo: No restore has this id.
        """
        document = self._document(restore_report, report_id)
        if document is None:
            raise NothingToUndo(
                f"there is no restore {report_id}", advice="See `mailrewind restores` for the ids."
            )
        return read_restore_report(document)

    def restore_reports(self, *, limit: int = 20) -> Sequence[RestoreReport]:
        """Return the newest restore reports of all systems, newest first."""
        return [read_restore_report(document) for document in self._newest(restore_report, limit)]

    def save_operation_plan(self, plan_: OperationPlan) -> None:
        """Keep a plan under its id."""
        self._save(
            operation_plan,
            {"id": plan_.id},
            system=plan_.request.system,
            target=plan_.request.target,
            made_at=plan_.made_at,
            document=write_operation_plan(plan_),
        )

    def operation_plan(self, plan_id: str) -> OperationPlan:
        """Return a kept plan.

        Raises:
            PlanNotFound: No plan has this id.
        """
        document = self._document(operation_plan, plan_id)
        if document is None:
            raise PlanNotFound(f"there is no plan {plan_id}")
        return read_operation_plan(document)

    def save_operation_report(self, report: OperationReport) -> None:
        """Keep what an operation did; the later of two for one id wins."""
        self._save(
            operation_report,
            {"id": report.id},
            system=report.plan.request.system,
            target=report.plan.request.target,
            started_at=report.started_at,
            document=write_operation_report(report),
        )

    def operation_report(self, report_id: str) -> OperationReport:
        """Return the report of one operation.

        Raises:
            NothingToUndo: No operation has this id.
        """
        document = self._document(operation_report, report_id)
        if document is None:
            raise NothingToUndo(
                f"there is no restore {report_id}", advice="See `mailrewind restores` for the ids."
            )
        return read_operation_report(document)

    def operation_reports(self, *, limit: int = 20) -> Sequence[OperationReport]:
        """Return the newest reports of all systems, newest first."""
        return [
            read_operation_report(document) for document in self._newest(operation_report, limit)
        ]

    def lease(
        self, system: str, mailbox: str, holder: str, *, wait: timedelta = timedelta(0)
    ) -> AbstractContextManager[None]:
        """Hold the only right to restore into a mailbox.

        It is renewed for as long as it is held, and released however the block ends.

        Raises:
            LeaseHeld: After ``wait``; the message names holder, host, pid and since when.
        """
        return self._leases.hold(system, mailbox, holder, wait)

    def leases(self) -> Sequence[Lease]:
        """Return all leases that are held now."""
        return self._leases.held()

    def audit(self, line: AuditLine) -> None:
        """Append one line; the database refuses to change or delete one."""
        with self._database.write() as connection:
            connection.execute(
                insert(audit).values(
                    at=line.at,
                    who=line.who,
                    action=line.action,
                    system=line.system,
                    mailbox=line.mailbox,
                    text=line.text,
                )
            )

    def audit_lines(self, *, limit: int = 50) -> Sequence[AuditLine]:
        """Return the newest lines, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(audit).order_by(audit.c.id.desc()).limit(limit))
            return [
                AuditLine(row.at, row.who, row.action, row.system, row.mailbox, row.text)
                for row in rows
            ]

    def raise_alarm(self, key: str, text: str, at: datetime) -> bool:
        """Note an alarm; True when it is new, so that it is told once.

        One that lasts keeps its beginning and gets the newer text.
        """
        with self._database.write() as connection:
            known = connection.execute(
                update(alarm).where(alarm.c.key == key).values(text=text)
            ).rowcount
            if not known:
                connection.execute(insert(alarm).values(key=key, text=text, since=at))
            return not known

    def end_alarm(self, key: str) -> bool:
        """Forget an alarm; True when there was one."""
        with self._database.write() as connection:
            return bool(connection.execute(delete(alarm).where(alarm.c.key == key)).rowcount)

    def alarms(self) -> Mapping[str, tuple[str, datetime]]:
        """Return (text, since) of the alarms that have not ended, by key, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(alarm).order_by(alarm.c.since, alarm.c.key))
            return {row.key: (row.text, row.since) for row in rows}

    def _save(self, table: Table, key: dict[str, str], **columns: Any) -> None:
        with self._database.write() as connection:
            connection.execute(
                delete(table).where(*[table.c[name] == value for name, value in key.items()])
            )
            connection.execute(insert(table).values(**key, **columns))

    def _newest(self, table: Table, limit: int) -> Sequence[str]:
        """Return the documents of what began last, newest first."""
        with self._database.read() as connection:
            newest_first = (table.c.started_at.desc(), table.c.id.desc())
            wanted = select(table.c.document).order_by(*newest_first).limit(limit)
            return connection.execute(wanted).scalars().all()

    def _document(self, table: Table, key: str) -> str | None:
        if not key.isascii():  # no id of ours, and perhaps nothing that a database takes
            return None
        with self._database.read() as connection:
            return connection.execute(
                select(table.c.document).where(next(iter(table.primary_key)) == key)
            ).scalar()
