import os
import sqlite3
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailrewind.errors import (
    ArchiveExists,
    BackupRunning,
    NothingToUndo,
    PlanNotFound,
    RecordsUnreadable,
    RestorePointNotFound,
)
from mailrewind.model.operations import OperationReport, Outcome
from mailrewind.model.points import PointStatus, RestorePoint, point_name
from mailrewind.model.reports import ArchiveStatistics, BackupReport, Finding, IndexChanges
from mailrewind.model.restores import Added, RestoreReport
from mailrewind.ports import AuditLine, Process
from mailrewind.state import SqlState
from mailrewind.transports.processes import is_alive, this_process
from tests.mailrewind.state.test_documents import PLAN
from tests.mailrewind.state.test_operation_documents import OPERATION_PLAN

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MAKING, COMPLETE, FAILED, CANCELLED, REMOVED = PointStatus


def point(system: str = "office", *, hour: int = 0) -> RestorePoint:
    taken_at = NOON + timedelta(hours=hour)
    return RestorePoint(point_name(system, taken_at), system, taken_at, MAKING, (), "main")


def dead_process() -> Process:
    """Evidence of a process of this machine that has ended: its start time is another one."""
    return replace(this_process(), started=1)


def test_point_lives_from_making_to_complete_and_keeps_the_order_of_its_parts(
    state: SqlState,
) -> None:
    begun = point()
    state.begin_point(begun, this_process())
    state.add_part(begun.name, "mail")
    state.add_part(begun.name, "late1")
    state.add_part(begun.name, "mail")

    assert state.points("office") == []
    assert state.running_backups() == [(replace(begun, parts=("mail", "late1")), this_process())]

    state.end_point(begun.name, COMPLETE, NOON + timedelta(minutes=2))

    assert state.points("office") == [replace(begun, parts=("mail", "late1"), status=COMPLETE)]
    assert state.running_backups() == []


def test_points_are_listed_oldest_first_by_system_and_status(state: SqlState) -> None:
    for begun, status in [
        (point(hour=2), COMPLETE),
        (point(hour=1), FAILED),
        (point(hour=0), COMPLETE),
        (point("works", hour=0), COMPLETE),
    ]:
        state.begin_point(begun, this_process())
        state.end_point(begun.name, status, NOON)

    assert [p.taken_at.hour for p in state.points("office")] == [12, 14]
    assert [p.taken_at.hour for p in state.points("office", PointStatus)] == [12, 13, 14]
    assert [p.name for p in state.points("works")] == ["works-2026-11-20T12:00:00Z"]


def test_second_backup_of_a_system_is_refused_and_names_the_first(state: SqlState) -> None:
    state.begin_point(point(), this_process())

    with pytest.raises(BackupRunning) as refused:
        state.begin_point(point(hour=1), this_process())

    assert str(refused.value) == (
        f"office-2026-11-20T12:00:00Z is being made by process {os.getpid()} on "
        f"{this_process().host}, begun at 2026-11-20 12:00:00 UTC."
    )
    state.begin_point(point("works"), this_process())


def test_backup_whose_process_died_does_not_stand_in_the_way(state: SqlState) -> None:
    state.begin_point(point(), dead_process())

    assert state.dead_points("office") == [point()]
    assert state.running_backups() == []
    state.begin_point(point(hour=1), this_process())
    assert [p.taken_at.hour for p, _ in state.running_backups()] == [13]


def test_failed_point_counts_as_remains_only_if_it_has_archives(state: SqlState) -> None:
    for hour in (0, 1):
        state.begin_point(point(hour=hour), this_process())
        if hour:
            state.add_part(point(hour=hour).name, "mail")
        state.end_point(point(hour=hour).name, FAILED, NOON)

    assert state.dead_points("office") == [replace(point(hour=1), status=FAILED, parts=("mail",))]
    state.end_point(point(hour=1).name, REMOVED, NOON)
    assert state.dead_points("office") == []


def test_unfinished_point_can_be_begun_again_and_a_complete_one_cannot(state: SqlState) -> None:
    state.begin_point(point(), this_process())
    state.add_part(point().name, "mail")
    state.begin_point(point(), this_process())
    assert state.running_backups() == [(point(), this_process())]

    state.end_point(point().name, COMPLETE, NOON)
    with pytest.raises(ArchiveExists):
        state.begin_point(point(), this_process())


def test_two_systems_with_one_prefix_do_not_take_each_others_point(state: SqlState) -> None:
    state.begin_point(point(), this_process())
    with pytest.raises(ArchiveExists, match="taken by the system office"):
        state.begin_point(replace(point(), system="works"), this_process())
    assert state.running_backups() == [(point(), this_process())]


def test_unknown_point_is_refused(state: SqlState) -> None:
    with pytest.raises(RestorePointNotFound):
        state.add_part("nowhere", "mail")
    with pytest.raises(RestorePointNotFound):
        state.end_point("nowhere", FAILED, NOON)
    with pytest.raises(RestorePointNotFound):
        state.backup_report("nowhere")


def test_backup_on_another_host_is_taken_for_dead_after_an_hour_without_a_sign(
    tmp_path: Path,
) -> None:
    now = NOON

    def at(host: str) -> SqlState:
        process = replace(this_process(), host=host)
        return SqlState(
            tmp_path / "state.db", process=process, is_alive=is_alive, clock=lambda: now
        )

    elsewhere, here = at("mx2"), at("mx1")
    elsewhere.begin_point(point(), replace(this_process(), host="mx2"))
    now += timedelta(minutes=59)
    with pytest.raises(BackupRunning):
        here.begin_point(point(hour=1), replace(this_process(), host="mx1"))

    now += timedelta(minutes=2)
    assert here.dead_points("office") == [point()]


def test_later_report_of_one_backup_wins_and_reports_come_newest_first(state: SqlState) -> None:
    first, second = backup_report(0), backup_report(1)
    indexed = replace(first, index=IndexChanges(3, 1, 3, 0, 0, 0))
    for report in (first, second, indexed):
        state.save_backup_report(report)

    assert state.backup_reports("office") == [second, indexed]
    assert state.backup_reports("office", limit=1) == [second]
    assert state.backup_reports("works") == []
    assert state.backup_report(first.point) == indexed


def test_plan_is_kept_under_its_id(state: SqlState) -> None:
    state.save_plan(PLAN)
    state.save_plan(replace(PLAN, free_bytes=5))

    assert state.plan(PLAN.id) == replace(PLAN, free_bytes=5)
    with pytest.raises(PlanNotFound, match="There is no plan ffffffff"):
        state.plan("ffffffff")


def test_restore_report_keeps_what_undo_needs(state: SqlState) -> None:
    added = Added("Entw\udcfc\x00rfe", "guid", frozenset({"\\Seen", "$label"}))
    done = RestoreReport("3f9a1c20", PLAN, NOON, NOON, (added,), (), None, ())
    undone = replace(done, undone_at=NOON)
    later = replace(done, id="later", started_at=NOON + timedelta(hours=1))
    for report in (done, later, undone):
        state.save_restore_report(report)

    assert state.restore_report("3f9a1c20") == undone
    assert state.restore_reports() == [later, undone]
    assert state.restore_reports(limit=1) == [later]
    with pytest.raises(NothingToUndo):
        state.restore_report("nowhere")


def test_operation_s_plan_is_kept_under_its_id(state: SqlState) -> None:
    state.save_operation_plan(OPERATION_PLAN)
    changed = replace(OPERATION_PLAN, made_at=NOON + timedelta(hours=1))
    state.save_operation_plan(changed)

    assert state.operation_plan(OPERATION_PLAN.id) == changed
    with pytest.raises(PlanNotFound, match="There is no plan ffffffff"):
        state.operation_plan("ffffffff")


def test_later_report_of_one_operation_wins_and_reports_come_newest_first(state: SqlState) -> None:
    begun = OperationReport("5d41402a", OPERATION_PLAN, NOON, None, None)
    ended = replace(begun, finished_at=NOON, outcome=Outcome((("rows", 3),), undo="a dump"))
    later = replace(begun, id="later", started_at=NOON + timedelta(hours=1))
    for report in (begun, later, ended):
        state.save_operation_report(report)

    assert state.operation_report("5d41402a") == ended
    assert state.operation_reports() == [later, ended]
    assert state.operation_reports(limit=1) == [later]
    with pytest.raises(NothingToUndo, match="There is no restore nowhere"):
        state.operation_report("nowhere")


def test_audit_lines_come_newest_first(state: SqlState) -> None:
    lines = [AuditLine(NOON, "cli:root", "restore", "office", "a@x", str(n)) for n in range(3)]
    for line in lines:
        state.audit(line)

    assert state.audit_lines() == lines[::-1]
    assert state.audit_lines(limit=1) == [lines[2]]


@pytest.mark.parametrize("deed", ["DELETE FROM audit", "UPDATE audit SET text = ''"])
def test_database_itself_refuses_to_touch_an_audit_line(
    state: SqlState, tmp_path: Path, deed: str
) -> None:
    line = AuditLine(NOON, "cli:root", "undo", "office", "a@x", "3 taken out")
    state.audit(line)

    connection = sqlite3.connect(tmp_path / "state.db")
    with pytest.raises(sqlite3.IntegrityError, match="lines of audit stay as they are"):
        connection.execute(deed)
    connection.close()

    assert state.audit_lines() == [line]


def test_alarm_is_new_once_and_keeps_its_beginning(state: SqlState) -> None:
    assert state.raise_alarm("overdue:office", "2 hours", NOON)
    assert not state.raise_alarm("overdue:office", "3 hours", NOON + timedelta(hours=1))
    assert state.alarms() == {"overdue:office": ("3 hours", NOON)}

    assert state.end_alarm("overdue:office")
    assert not state.end_alarm("overdue:office")
    assert state.alarms() == {}
    assert state.raise_alarm("overdue:office", "again", NOON)


def test_what_was_kept_is_there_after_opening_again(state: SqlState, tmp_path: Path) -> None:
    state.save_plan(PLAN)

    again = SqlState(tmp_path / "state.db", process=this_process(), is_alive=is_alive)

    assert again.plan(PLAN.id) == PLAN


def test_database_of_before_operations_gets_their_tables_and_keeps_what_it_holds(
    state: SqlState, tmp_path: Path
) -> None:
    state.save_plan(PLAN)
    state.close()
    connection = sqlite3.connect(tmp_path / "state.db")
    for table in ("operation_plan", "operation_report"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("UPDATE state_version SET version_num = '0001'")
    connection.commit()
    connection.close()

    again = SqlState(tmp_path / "state.db", process=this_process(), is_alive=is_alive)
    again.save_operation_plan(OPERATION_PLAN)

    assert again.plan(PLAN.id) == PLAN
    assert again.operation_plan(OPERATION_PLAN.id) == OPERATION_PLAN
    again.close()


def test_nobody_else_may_read_the_files(tmp_path: Path) -> None:
    place = tmp_path / "var" / "mailrewind" / "state.db"
    state = SqlState(place, process=this_process(), is_alive=is_alive)
    state.save_plan(PLAN)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in place.parent.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.parent.parent.stat().st_mode) == 0o700


def test_damaged_report_does_not_pass_for_another_error(state: SqlState, tmp_path: Path) -> None:
    state.save_plan(PLAN)
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute("UPDATE plan SET document = substr(document, 1, 40)")
    connection.commit()
    connection.close()

    with pytest.raises(RecordsUnreadable, match="A stored plan is damaged"):
        state.plan(PLAN.id)


def backup_report(hour: int) -> BackupReport:
    taken_at = NOON + timedelta(hours=hour)
    name = point_name("office", taken_at)
    return BackupReport(
        point=name,
        system="office",
        taken_at=taken_at,
        finished_at=taken_at + timedelta(minutes=1, microseconds=7),
        archives=(ArchiveStatistics(f"{name}-mail", 3, 4000, 2000, timedelta(seconds=9.125)),),
        index=None,
        late=1,
        findings=(Finding("var/vmail/a", "changed while it was read"),),
    )
