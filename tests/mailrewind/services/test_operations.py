import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from mailrewind.errors import (
    BackupRunning,
    ConfirmationMissing,
    LeaseHeld,
    MailServerFailed,
    NothingToUndo,
    NotificationFailed,
    OperationUnknown,
    PlanNotFound,
    PlanOutdated,
    SystemHeld,
    UnknownSystem,
    VerificationFailed,
)
from mailrewind.model.operations import Change, Effect, OperationRequest
from mailrewind.model.points import PointStatus, RestorePoint
from mailrewind.model.reports import Finding
from mailrewind.ports import WHOLE_SYSTEM
from mailrewind.services.operations import Operations
from mailrewind.services.restore import Restore
from mailrewind.transports.processes import this_process
from tests.doubles_operations import NoticeBoard
from tests.office import ADA, BOB, NOON, Office, remove

SHORT = timedelta(seconds=0.3)


@dataclass
class Inbox:
    """A notifier that keeps what it is told, and can be out of order."""

    told: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    works: bool = True

    def tell(self, subject, text, *, also=()):
        if not self.works:
            raise NotificationFailed("The mail server is away.")
        self.told.append((subject, text, tuple(also)))
        return [address for address in also if address.startswith("nobody@")]

    @property
    def subjects(self):
        return [subject for subject, *_ in self.told]


@dataclass
class Hall:
    """The office with a notice board, which can be restored."""

    office: Office
    board: NoticeBoard
    inbox: Inbox

    def __post_init__(self):
        connected = replace(
            self.office.services.connect("office"), operations={"notices": self.board}
        )
        self.office.serve(self.office.services, connected)
        self.operations = self.wire()

    def wire(self, **settings):
        services = self.office.services
        return Operations(
            services.connect,
            services.state,
            self.inbox,
            zone=services.config.zone,
            clock=self.office.clock,
            **{"lease_wait": SHORT, "system_wait": SHORT, **settings},
        )

    @property
    def state(self):
        return self.office.services.state

    @property
    def notices(self):
        return self.board.board.read_text().split("\n")

    def put_up(self, *notices):
        self.board.board.write_text("\n".join(notices))

    def ask(self, mode="merge", target=ADA, **wishes):
        wishes = {"initiator": "test", "choices": {"mode": (mode,)}, **wishes}
        return OperationRequest("notices", "office", target, **wishes)


@pytest.fixture
def hall(office: Office, tmp_path: Path) -> Hall:
    office.keep_archives_in_memory()
    (tmp_path / "copy").write_text("fire drill\nlost cat\nchoir")
    (tmp_path / "board").write_text("choir\nparty")
    return Hall(office, NoticeBoard(tmp_path / "board", tmp_path / "copy"), Inbox())


def test_plan_says_what_would_be_done_is_kept_and_changes_nothing(hall):
    plan = hall.operations.plan(hall.ask("reset"))

    assert plan.draft.changes == (
        Change(Effect.ADD, "fire drill"),
        Change(Effect.ADD, "lost cat"),
        Change(Effect.LOSE, "party", "was put up later"),
    )
    assert (plan.draft.is_destructive, plan.number(Effect.ADD)) == (True, 2)
    assert plan.draft.findings == (Finding("board", "hangs outside"),)
    assert hall.state.operation_plan(plan.id) == plan
    assert hall.notices == ["choir", "party"]
    assert (hall.operations.reports(), hall.inbox.told, hall.state.audit_lines()) == ([], [], [])


def test_what_destroys_nothing_is_carried_out_at_once_and_reported(hall):
    done = hall.operations.run(hall.ask(reason="ticket 17"))

    assert hall.notices == ["choir", "party", "fire drill", "lost cat"]
    assert done.outcome.counts == (("notices put up", 2), ("notices taken down", 0))
    assert (done.started_at, done.finished_at, done.undone_at) == (NOON, NOON, None)
    assert hall.operations.reports() == [done]
    (line,) = hall.state.audit_lines()
    assert (line.who, line.action, line.system, line.mailbox) == (
        "test",
        "restore notices",
        "office",
        ADA,
    )
    assert line.text == (f"{done.id}: notices put up: 2, notices taken down: 0; reason: ticket 17")
    assert hall.state.leases() == []


def test_second_run_finds_nothing_to_do(hall):
    hall.operations.run(hall.ask())
    assert hall.operations.run(hall.ask()).outcome.counts == (
        ("notices put up", 0),
        ("notices taken down", 0),
    )


def test_destructive_request_is_only_planned_and_names_what_to_type(hall):
    with pytest.raises(ConfirmationMissing) as refused:
        hall.operations.run(hall.ask("reset"))

    plan_id = re.search("Plan ([0-9a-f]{8}) ", str(refused.value)).group(1)
    assert str(refused.value) == (
        f"Plan {plan_id} would restore notices of {ADA} on office: 2 added, 1 lost."
    )
    assert refused.value.advice == (
        f"Read the plan, give its id {plan_id}, and type the system's name: office"
    )
    assert hall.state.operation_plan(plan_id).request == hall.ask("reset")
    assert (hall.notices, hall.operations.reports()) == (["choir", "party"], [])


@pytest.mark.parametrize("typed", ["", "Office", "office ", "offic"])
def test_destructive_plan_is_refused_unless_the_system_s_name_is_typed_exactly(hall, typed):
    plan = hall.operations.plan(hall.ask("reset"))
    with pytest.raises(ConfirmationMissing):
        hall.operations.execute(plan.id, initiator="test", system_typed=typed)
    assert (hall.notices, hall.operations.reports()) == (["choir", "party"], [])


def test_destructive_plan_is_carried_out_when_the_system_s_name_is_typed(hall):
    plan = hall.operations.plan(hall.ask("reset"))
    hall.office.clock.pass_(hours=1)
    done = hall.operations.execute(
        plan.id, initiator="cli:root", reason="agreed", system_typed="office"
    )
    assert hall.notices == ["choir", "fire drill", "lost cat"]
    request = done.plan.request
    assert (request.initiator, request.reason) == ("cli:root", "agreed")


def test_plan_whose_facts_have_changed_is_refused_and_names_the_new_one(hall):
    plan = hall.operations.plan(hall.ask("reset"))
    hall.put_up("choir", "party", "rehearsal")
    with pytest.raises(PlanOutdated) as refused:
        hall.operations.execute(plan.id, initiator="test", system_typed="office")

    new_id = str(refused.value).removesuffix(".").rpartition(" ")[2]
    assert str(refused.value) == (
        f"Plan {plan.id} would do something else by now: it meant 2 added, 1 lost; now it would "
        f"be 2 added, 2 lost. The new plan is {new_id}."
    )
    assert hall.notices == ["choir", "party", "rehearsal"]
    hall.operations.execute(new_id, initiator="test", system_typed="office")
    assert hall.notices == ["choir", "fire drill", "lost cat"]


def test_plan_that_has_become_destructive_is_not_carried_out_unconfirmed(hall):
    hall.put_up()
    harmless = hall.operations.plan(hall.ask("reset"))
    assert not harmless.draft.is_destructive
    hall.put_up("party")
    with pytest.raises(PlanOutdated):
        hall.operations.execute(harmless.id, initiator="test")
    assert hall.notices == ["party"]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (OperationRequest("calendars", "office", ADA), OperationUnknown),
        (OperationRequest("notices", "elsewhere", ADA), UnknownSystem),
    ],
)
def test_what_the_system_does_not_have_is_refused(hall, request_, error):
    for refuse in (hall.operations.plan, hall.operations.run):
        with pytest.raises(error):
            refuse(request_)
    with pytest.raises(PlanNotFound):
        hall.operations.execute("ffffffff", initiator="test")


def test_undo_puts_back_what_was_there_once(hall):
    plan = hall.operations.plan(hall.ask("reset"))
    done = hall.operations.execute(plan.id, initiator="test", system_typed="office")
    undone = hall.operations.undo(done.id, initiator="cli:root", reason="the wrong board")

    assert hall.notices == ["choir", "party"]
    assert undone.taken_back.counts == (("notices as before", 2),)
    assert undone.undone_at == NOON
    assert hall.operations.report(done.id) == undone
    assert hall.state.audit_lines()[0].text == (
        f"{done.id}: notices as before: 2; reason: the wrong board"
    )
    with pytest.raises(NothingToUndo, match=rf"Restore {done.id} was undone at 2026-11-20 14:00"):
        hall.operations.undo(done.id, initiator="test")


def test_what_cannot_be_taken_back_is_refused(hall):
    done = hall.operations.run(hall.ask())
    hall.state.save_operation_report(replace(done, outcome=replace(done.outcome, undo="")))
    with pytest.raises(NothingToUndo, match=f"Restore {done.id} cannot be taken back"):
        hall.operations.undo(done.id, initiator="test")
    with pytest.raises(NothingToUndo, match="There is no restore ffffffff"):
        hall.operations.undo("ffffffff", initiator="test")


def test_what_is_not_as_it_was_meant_is_an_error_with_a_report(hall):
    hall.board.torn = {"lost cat"}
    with pytest.raises(VerificationFailed) as failed:
        hall.operations.run(hall.ask())

    (done,) = hall.operations.reports()
    assert str(failed.value) == (
        f"Not everything is as it was meant to be (restore notices of {ADA} on office): notices "
        f"put up: 1, notices taken down: 0, failed: 1, such as lost cat: it fell off. "
        f"The report is {done.id}."
    )
    assert done.outcome.failed == (Finding("lost cat", "it fell off"),)
    assert hall.inbox.subjects[-1].endswith("failed: 1")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MailServerFailed("the board is closed"), "The board is closed."),
        (ValueError("s3cret"), "It was broken off by an error (ValueError)."),
        (KeyboardInterrupt(), "It was cancelled."),
    ],
)
def test_report_and_people_are_told_how_it_ended_whatever_ended_it(hall, error, said):
    def stop():
        raise error

    hall.board.on_the_way = stop
    with pytest.raises(type(error)):
        hall.operations.run(hall.ask())

    (report,) = hall.operations.reports()
    assert (report.finished_at, report.outcome, report.failure) == (NOON, None, said)
    assert hall.state.audit_lines()[0].text == f"{report.id}: {said}"
    assert hall.inbox.subjects[-1] == (
        f"mailrewind: {report.id} has ended (restore notices of {ADA} on office): {said}"
    )
    assert hall.state.leases() == []
    assert hall.operations.left_broken_off() == []
    hall.operations.undo(report.id, initiator="test")
    assert hall.notices == ["choir", "party"]


def test_begin_and_end_are_told_to_the_operators_and_to_who_asked(hall):
    done = hall.operations.run(hall.ask(tell="ada@example.org", reason="ticket 17"))
    hall.operations.undo(done.id, initiator="test")

    facts = f"Restore: {done.id}\nSystem: office\nMailbox: {ADA}\nAs it was: latest\n"
    told = f"{facts}Reason: ticket 17\nBy: test"
    assert hall.inbox.told[:2] == [
        (
            f"mailrewind: {done.id} begins to restore notices of {ADA} on office",
            f"Meant: 2 added\n\n{told}",
            ("ada@example.org",),
        ),
        (
            f"mailrewind: {done.id} has ended (restore notices of {ADA} on "
            "office): notices put up: 2, notices taken down: 0",
            f"notices put up: 2, notices taken down: 0\n\n{told}",
            ("ada@example.org",),
        ),
    ]
    assert hall.inbox.subjects[2:] == [
        f"mailrewind: {done.id} begins to be undone: restore notices of {ADA} on office",
        f"mailrewind: the undo of {done.id} has ended (restore notices of {ADA} on "
        "office): notices as before: 2",
    ]


def test_begin_is_told_before_anything_is_changed(hall):
    seen = []
    hall.board.on_the_way = lambda: seen.extend([len(hall.inbox.told), *hall.operations.reports()])
    done = hall.operations.run(hall.ask())
    assert seen == [1, replace(done, finished_at=None, outcome=None)]


def test_nobody_told_is_a_finding_and_no_failure(hall):
    hall.inbox.works = False
    done = hall.operations.run(hall.ask())
    assert hall.notices == ["choir", "party", "fire drill", "lost cat"]
    deed = f"restore notices of {ADA} on office"
    expected = (
        Finding(
            "notification",
            f"nobody was told that {done.id} begins to {deed}: The mail server is away.",
        ),
        Finding(
            "notification",
            f"nobody was told that {done.id} has ended ({deed}): notices put "
            "up: 2, notices taken down: 0: The mail server is away.",
        ),
    )
    assert done.outcome.findings == expected
    assert hall.operations.report(done.id) == done


def test_address_that_was_not_told_is_a_finding(hall):
    done = hall.operations.run(hall.ask(tell="nobody@example.org"))
    assert [finding.subject for finding in done.outcome.findings] == ["nobody@example.org"] * 2


def test_two_operations_on_one_mailbox_wait_for_each_other(hall):
    with (
        hall.state.lease("office", ADA, "somebody"),
        pytest.raises(LeaseHeld, match=f"The mailbox {ADA} on office is held by somebody"),
    ):
        hall.operations.run(hall.ask())
    hall.operations.run(hall.ask())


def test_operation_into_another_mailbox_holds_the_one_that_changes(hall):
    into_bob = hall.ask(choices={"mode": ("merge",), "into_user": (BOB,)})
    with hall.state.lease("office", ADA, "somebody"):
        hall.operations.run(into_bob)
    with hall.state.lease("office", BOB, "somebody"), pytest.raises(LeaseHeld, match=BOB):
        hall.operations.run(into_bob)


@pytest.mark.parametrize("is_large", [True, False], ids=["by kind", "without a mailbox"])
def test_operation_on_a_whole_system_keeps_everything_else_off(hall, is_large):
    lost = hall.office.add_many(2)
    hall.office.back_up()
    remove(lost)
    hall.board.holds_system = is_large
    services = hall.office.services
    refused = []

    def try_everything():
        for attempt in (
            lambda: services.back_up.archive("office", initiator="test"),
            lambda: services.retain.carry_out("office", initiator="test"),
            lambda: services.restore.run(hall.office.ask()),
            lambda: services.restore.undo("nothing", initiator="test"),
            lambda: hall.wire().run(hall.ask(target=BOB)),
        ):
            with pytest.raises((SystemHeld, NothingToUndo)) as error:
                attempt()
            refused.append((error.type, error.value.retryable))

    hall.board.on_the_way = try_everything
    hall.operations.run(hall.ask(target=ADA if is_large else ""))

    assert refused == [
        (SystemHeld, True),
        (SystemHeld, True),
        (SystemHeld, True),
        (NothingToUndo, False),
        (SystemHeld, True),
    ]
    assert len(services.state.points("office")) == 1
    assert services.state.points("office", [PointStatus.FAILED, PointStatus.MAKING]) == []
    assert services.state.running_backups() == []
    services.restore.run(hall.office.ask())
    services.back_up.archive("office", initiator="test")


def test_what_destroys_something_holds_the_whole_system_and_so_does_its_undo(hall):
    held = []

    def look():
        held.extend((lease.mailbox, lease.holder) for lease in hall.state.leases())

    hall.board.on_the_way = hall.board.when_undone = look
    plan = hall.operations.plan(hall.ask("reset"))
    done = hall.operations.execute(plan.id, initiator="test", system_typed="office")
    hall.operations.undo(done.id, initiator="test")
    harmless = hall.operations.run(hall.ask("merge"))
    hall.operations.undo(harmless.id, initiator="test")
    assert held == [
        (WHOLE_SYSTEM, f"plan {plan.id} by test"),
        (WHOLE_SYSTEM, f"undo of {done.id} by test"),
        (ADA, "notices by test"),
        (ADA, f"undo of {harmless.id} by test"),
    ]


def test_refusal_names_who_holds_the_system(hall):
    with (
        hall.state.lease("office", WHOLE_SYSTEM, "plan 3f9a1c20 by cli:root"),
        pytest.raises(SystemHeld) as refused,
    ):
        hall.office.services.back_up.archive("office", initiator="test")
    process = this_process()
    assert str(refused.value) == (
        f"The whole system office is held by plan 3f9a1c20 by cli:root (process {process.pid} on "
        f"{process.host})."
    )


def test_another_system_is_left_in_peace(hall):
    with hall.state.lease("elsewhere", WHOLE_SYSTEM, "somebody"):
        hall.operations.run(hall.ask())
        point = hall.office.services.back_up.archive("office", initiator="test")
    assert hall.notices == ["choir", "party", "fire drill", "lost cat"]
    assert [each.name for each in hall.state.points("office")] == [point]


def test_whole_system_waits_for_what_runs_on_it_but_not_for_ever(hall):
    hall.board.holds_system = True
    with (
        hall.state.lease("office", BOB, "a restore by bob"),
        pytest.raises(LeaseHeld, match=f"a restore by bob works on {BOB}"),
    ):
        hall.operations.run(hall.ask())

    point = RestorePoint("office-x", "office", NOON, PointStatus.MAKING, (), "main")
    hall.state.begin_point(point, this_process())
    with pytest.raises(BackupRunning, match="office-x is being made by process"):
        hall.operations.run(hall.ask())
    assert (hall.operations.reports(), hall.state.leases()) == ([], [])
    hall.state.end_point("office-x", PointStatus.COMPLETE, NOON)
    hall.operations.run(hall.ask())


def die_on_the_way(hall: Hall) -> None:
    """Let another process begin the operation, and kill it when half of it is done."""
    reset = f"""
choices = {{"mode": ("reset",)}}
plan = operations.plan(OperationRequest("notices", "office", "{ADA}", choices=choices))
operations.execute(plan.id, initiator="test", system_typed="office")
"""
    die(hall, reset, on="on_the_way")


def die(hall: Hall, deed: str, *, on: str) -> None:
    """Let another process do something, and kill it where the board is at a point."""
    script = f"""
import os, signal
from dataclasses import replace
from pathlib import Path
from mailrewind.config import load
from mailrewind.model.operations import OperationRequest
from mailrewind.notify import Note
from mailrewind.services.operations import Operations
from mailrewind.services.restore import Restore
from mailrewind.wiring import now_utc, wire
from tests.doubles_operations import NoticeBoard

services = wire(load(Path({str(hall.office.configuration)!r})))
board = NoticeBoard(Path({str(hall.board.board)!r}), Path({str(hall.board.copy)!r}))
board.{on} = lambda: os.kill(os.getpid(), signal.SIGKILL)
connected = replace(services.connect("office"), operations={{"notices": board}})
operations = Operations(lambda _: connected, services.state, Note(),
                        zone=services.config.zone, clock=now_utc)
{deed}
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9


def test_operation_whose_process_was_killed_is_known_as_broken_off_and_can_be_undone(hall):
    die_on_the_way(hall)
    assert hall.notices == ["choir"]

    (report,) = hall.operations.left_broken_off()
    assert (report.finished_at, report.outcome) == (None, None)
    (finding,) = hall.operations.plan(hall.ask()).draft.findings[1:]
    assert finding == Finding(
        f"restore {report.id}",
        f"restore {report.id} was broken off, which began to restore notices of {ADA} on office: "
        f"undo it with `mailrewind undo {report.id} --yes`, or run it again",
    )

    hall.operations.undo(report.id, initiator="test")
    assert hall.notices == ["choir", "party"]
    assert hall.operations.left_broken_off() == []
    assert len(hall.operations.plan(hall.ask()).draft.findings) == 1


def test_later_lease_on_the_same_mailbox_does_not_hide_what_was_broken_off(hall):
    die_on_the_way(hall)
    (report,) = hall.operations.left_broken_off()
    hall.office.clock.now = report.started_at + timedelta(seconds=1)
    with hall.state.lease("office", ADA, "somebody else"):
        assert hall.operations.left_broken_off() == [report]


def test_operation_that_was_broken_off_is_over_once_it_was_done_again(hall):
    die_on_the_way(hall)
    hall.office.clock.now = hall.operations.left_broken_off()[0].started_at + timedelta(hours=1)
    hall.operations.run(hall.ask("merge"))
    assert hall.operations.left_broken_off() == []


def test_undo_whose_process_was_killed_is_known_as_broken_off_and_can_be_done_again(hall):
    done = hall.operations.run(hall.ask())
    die(hall, f"operations.undo({done.id!r}, initiator='test')", on="when_undone")
    assert hall.notices == ["choir", "party", "fire drill", "lost cat"]

    (report,) = hall.operations.left_broken_off()
    (finding,) = hall.operations.plan(hall.ask()).draft.findings[1:]
    assert report.id == done.id
    assert finding.text == (
        f"the undo of restore {done.id} was broken off, which was to restore notices of {ADA} on "
        f"office: run `mailrewind undo {done.id} --yes` again"
    )
    hall.operations.undo(done.id, initiator="test")
    assert hall.notices == ["choir", "party"]
    assert hall.operations.left_broken_off() == []


def test_undo_that_fails_is_not_broken_off_and_can_be_tried_again(hall):
    done = hall.operations.run(hall.ask())

    def stop():
        raise MailServerFailed("the board is closed")

    hall.board.when_undone = stop
    with pytest.raises(MailServerFailed):
        hall.operations.undo(done.id, initiator="test")
    assert hall.operations.report(done.id) == done
    assert hall.operations.left_broken_off() == []
    hall.board.when_undone = lambda: None
    hall.operations.undo(done.id, initiator="test")
    assert hall.notices == ["choir", "party"]


def test_operation_that_runs_is_not_taken_for_broken_off(hall):
    seen = []
    hall.board.on_the_way = lambda: seen.extend(hall.operations.left_broken_off())
    hall.operations.run(hall.ask())
    hall.board.holds_system = True
    hall.operations.run(hall.ask())
    assert seen == []


def test_restore_of_messages_is_told_to_the_operators_and_to_who_asked(hall):
    lost = hall.office.add_many(2)
    point = hall.office.back_up()
    remove(lost)
    services = hall.office.services
    restore = Restore(
        services.connect,
        services.state,
        hall.inbox,
        zone=services.config.zone,
        clock=hall.office.clock,
    )
    done = restore.run(hall.office.ask(tell="ada@example.org", reason="ticket 17"))
    restore.undo(done.id, initiator="cli:root", reason="no")

    facts = f"System: office\nMailbox: {ADA}\nFrom: {point}\nTo add: 2 messages\n"
    told = (f"{facts}Reason: ticket 17\nBy: test", ("ada@example.org",))
    assert hall.inbox.told == [
        (f"mailrewind: restore {done.id} begins", *told),
        (
            f"mailrewind: restore {done.id} from {point}: 2 added, 0 failed, 0 present",
            *told,
        ),
        (f"mailrewind: the undo of restore {done.id}: 2 of 2 taken out", *told),
    ]


def test_restore_of_messages_does_not_fail_when_nobody_can_be_told(hall):
    lost = hall.office.add_many(2)
    before = hall.office.snapshot()
    hall.office.back_up()
    remove(lost)
    services = hall.office.services
    hall.inbox.works = False
    restore = Restore(
        services.connect,
        services.state,
        hall.inbox,
        zone=services.config.zone,
        clock=hall.office.clock,
    )
    done = restore.run(hall.office.ask())
    assert hall.office.snapshot() == before
    assert [finding.subject for finding in done.findings] == ["notification"] * 2
    assert services.state.restore_report(done.id) == done
