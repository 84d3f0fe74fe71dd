import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from mailrewind.errors import (
    ConnectionLost,
    FolderNotFound,
    LeaseHeld,
    MailboxNotFound,
    MailServerUnreachable,
    MessageNotFound,
    MomentInFuture,
    MomentTooEarly,
    NothingToUndo,
    OverQuota,
    PlanNotFound,
    PlanOutdated,
    RestorePointNotFound,
    UnknownSystem,
)
from mailrewind.model.points import PointStatus
from mailrewind.model.reports import Finding
from mailrewind.notify import Note
from mailrewind.services.restore import Restore
from mailrewind.systems.maildir import MaildirSystem
from tests.doubles import MemoryArchives
from tests.office import ADA, BOB, Office, remove


class BreakingArchives(MemoryArchives):
    """Breaks off after the first message of one reading."""

    whole_readings = 1000
    reason = KeyboardInterrupt

    def read(self, archive, paths):
        self.whole_readings -= 1
        for number, found in enumerate(super().read(archive, paths)):
            if number == 1 and self.whole_readings < 0:
                raise self.reason
            yield found


class LaterSilent(MaildirSystem):
    """Cannot be asked for the quota any more, once something was delivered."""

    is_silent = False

    def deliver(self, *args, **options):
        self.is_silent = True
        return super().deliver(*args, **options)

    def quota(self, mailbox):
        if self.is_silent:
            raise MailServerUnreachable("The mail server does not answer.")
        return super().quota(mailbox)


def set_quota(office, limit_bytes, used_bytes):
    (office.maildir(ADA) / "maildirsize").write_text(f"{limit_bytes}S\n{used_bytes} 1\n")


@pytest.fixture
def office(office: Office) -> Office:
    return office.keep_archives_in_memory()


def test_deleted_messages_come_back_as_they_were(office):
    office.add(flags="FRS", folder=".Projects.2026")
    lost = [*office.add_many(3), office.add(folder=".Projects.2026", flags="F")]
    before = office.snapshot()
    office.back_up()
    remove(lost)

    report = office.services.restore.run(office.ask())

    assert office.snapshot() == before
    assert (len(report.added), report.failed) == (4, ())


def test_deleted_folder_comes_back_with_those_below_it(office):
    office.add_many(2, folder=".Clients")
    office.add_many(2, folder=".Clients.&AMk-cu")
    before = office.snapshot()
    office.back_up()
    for folder in (".Clients", ".Clients.&AMk-cu"):
        shutil.rmtree(office.maildir(ADA, folder))

    office.services.restore.run(office.ask(folders=("Clients",)))

    assert office.snapshot() == before


def test_second_restore_adds_nothing(office):
    lost = office.add_many(3)
    office.back_up()
    remove(lost)
    office.services.restore.run(office.ask())
    after_first = office.snapshot()

    second = office.services.restore.run(office.ask())

    assert second.added == ()
    assert office.snapshot() == after_first


def test_plan_changes_nothing_in_the_mailbox(office):
    remove_later = office.add_many(2)
    office.back_up()
    remove(remove_later)
    before = office.snapshot()

    plan = office.services.restore.plan(office.ask())

    assert office.snapshot() == before
    assert len(plan.selection.additions) == 2


def test_plan_says_present_moved_and_missing(office):
    stays, goes, moves = office.add(), office.add(), office.add()
    office.back_up()
    goes.unlink()
    office.add_folder(ADA, ".Archive")
    moves.rename(office.maildir(ADA, ".Archive") / "cur" / moves.name)

    selection = office.services.restore.plan(office.ask()).selection

    assert stays.exists()
    assert [addition.message.path for addition in selection.additions] == [str(goes)[1:]]
    assert (selection.present, selection.moved) == (1, (("Archive", 1),))


def test_moved_message_returns_to_its_old_folder_when_asked(office):
    moves = office.add()
    office.back_up()
    office.add_folder(ADA, ".Archive")
    moves.rename(office.maildir(ADA, ".Archive") / "cur" / moves.name)

    office.services.restore.run(office.ask(also_moved=True))

    assert sorted(folder for folder, *_ in office.snapshot()) == ["Archive", "INBOX"]


def test_restored_folder_below_restored_is_not_filled_twice(office):
    lost = office.add_many(2)
    office.back_up()
    remove(lost)
    wish = office.ask(into="restored")
    office.services.restore.run(wish)
    office.clock.pass_(days=2)

    second = office.services.restore.run(wish)

    assert {folder for folder, *_ in office.snapshot()} == {"Restored/2026-11-20/INBOX"}
    assert second.added == ()


def test_named_messages_alone_come_back(office):
    lost = office.add_many(3)
    office.back_up()
    remove(lost)
    numbers = [a.number for a in office.services.restore.plan(office.ask()).selection.additions]

    report = office.services.restore.run(office.ask(messages=(numbers[1],)))

    assert [added.folder for added in report.added] == ["INBOX"]
    assert sum(office.snapshot().values()) == 1


@pytest.mark.parametrize(("folders", "restored"), [((), 0), (("Trash",), 2)])
def test_trash_comes_back_only_when_named(office, folders, restored):
    office.add()
    office.add_many(2, folder=".Trash")
    office.back_up()
    shutil.rmtree(office.maildir(ADA, ".Trash"))

    assert len(office.services.restore.run(office.ask(folders=folders)).added) == restored


def test_older_moment_brings_back_what_later_points_lack(office):
    lost = office.add_many(2)
    office.add()
    before = office.snapshot()
    first = office.back_up()
    remove(lost)
    office.back_up()

    assert office.services.restore.run(office.ask()).added == ()
    office.services.restore.run(office.ask(at=first))
    assert office.snapshot() == before


def test_executed_plan_does_what_it_said(office):
    lost = office.add_many(2)
    before = office.snapshot()
    office.back_up()
    remove(lost)
    plan = office.services.restore.plan(office.ask())

    report = office.services.restore.execute(plan.id, initiator="test")

    assert {added.guid for added in report.added} == {
        addition.message.guid for addition in plan.selection.additions
    }
    assert office.snapshot() == before


def test_plan_is_refused_when_the_mailbox_has_changed(office):
    lost = office.add_many(3)
    office.back_up()
    remove(lost[:1])
    plan = office.services.restore.plan(office.ask())
    remove(lost[1:])
    before = office.snapshot()

    with pytest.raises(PlanOutdated, match="new plan is") as refusal:
        office.services.restore.execute(plan.id, initiator="test")
    assert office.snapshot() == before

    fresh = str(refusal.value).rstrip(".").rsplit(" ", 1)[-1]
    assert len(office.services.restore.execute(fresh, initiator="test").added) == 3


def test_backup_between_plan_and_execution_does_not_matter(office):
    lost = office.add_many(2)
    office.back_up()
    remove(lost)
    plan = office.services.restore.plan(office.ask())
    office.back_up()

    assert len(office.services.restore.execute(plan.id, initiator="test").added) == 2


def test_undo_takes_out_what_was_added_and_nothing_else(office):
    lost = office.add_many(2)
    office.add()
    office.back_up()
    remove(lost)
    without = office.snapshot()
    report = office.services.restore.run(office.ask())

    undone = office.services.restore.undo(report.id, initiator="test")

    assert office.snapshot() == without
    assert undone.undone_at == office.clock.now
    with pytest.raises(NothingToUndo, match="was undone"):
        office.services.restore.undo(report.id, initiator="test")


def test_undo_leaves_what_the_user_has_flagged_since(office):
    (lost,) = office.add_many(1)
    office.back_up()
    lost.unlink()
    report = office.services.restore.run(office.ask())
    (back,) = (office.maildir(ADA) / "cur").iterdir()
    back.rename(back.with_name(back.name.replace(":2,S", ":2,FS")))

    undone = office.services.restore.undo(report.id, initiator="test")

    assert sum(office.snapshot().values()) == 1
    assert len(undone.findings) == 1


def test_restore_waits_for_the_lease_and_names_its_holder(office):
    office.add()
    office.back_up()
    office.services.restore._lease_wait = timedelta(0)

    with (
        office.services.state.lease("office", ADA, "plan 00ff by somebody"),
        pytest.raises(LeaseHeld, match="plan 00ff by somebody"),
    ):
        office.services.restore.run(office.ask())


def test_other_mailbox_is_free_meanwhile(office):
    lost = office.add(BOB)
    office.back_up()
    lost.unlink()
    with office.services.state.lease("office", ADA, "plan 00ff by somebody"):
        assert len(office.services.restore.run(office.ask(BOB)).added) == 1


def test_each_restore_leaves_one_audit_line_with_its_reason(office):
    lost = office.add()
    office.back_up()
    lost.unlink()
    report = office.services.restore.run(office.ask(reason="ticket 7"))

    (line,) = office.services.state.audit_lines()

    assert (line.action, line.mailbox, line.who) == ("restore", ADA, "test")
    assert report.id in line.text
    assert line.text.endswith("reason: ticket 7")


@pytest.mark.parametrize(
    ("wish", "refusal"),
    [
        ({"mailbox": "nobody@example.org"}, MailboxNotFound),
        ({"mailbox": "../../etc/passwd"}, MailboxNotFound),
        ({"mailbox": "a\nb@example.org"}, MailboxNotFound),
        ({"mailbox": "$(id)@example.org"}, MailboxNotFound),
        ({"folders": ("No such",)}, FolderNotFound),
        ({"messages": (4711,)}, MessageNotFound),
        ({"at": "2026-11-19 12:00"}, MomentTooEarly),
        ({"at": "2026-11-29 12:00"}, MomentInFuture),
        ({"at": "office-2020-01-01T00:00:00Z"}, RestorePointNotFound),
    ],
)
def test_wish_that_cannot_be_met_is_refused_and_changes_nothing(office, wish, refusal):
    office.add()
    office.back_up()
    before = office.snapshot()

    with pytest.raises(refusal):
        office.services.restore.run(office.ask(**wish))

    assert office.snapshot() == before


@pytest.mark.parametrize("reason", [KeyboardInterrupt, ConnectionLost("broken")])
def test_restore_that_breaks_off_reports_what_is_in_and_can_be_undone(office, reason):
    archives = BreakingArchives()
    office.keep_archives_in_memory(archives)
    lost = office.add_many(3)
    office.back_up()
    remove(lost)
    archives.whole_readings, archives.reason = 1, reason

    with pytest.raises(KeyboardInterrupt if reason is KeyboardInterrupt else ConnectionLost):
        office.services.restore.run(office.ask())

    (report,) = office.services.state.restore_reports()
    assert sum(office.snapshot().values()) == len(report.added) == 1
    assert [finding.text for finding in report.failed] == ["it was not reached"] * 2
    office.services.restore.undo(report.id, initiator="test")
    assert [line.action for line in office.services.state.audit_lines()] == ["undo", "restore"]
    assert not office.snapshot()


def test_report_stands_when_the_quota_cannot_be_asked_for_afterwards(office):
    wired = office.services
    settings = wired.connect("office").mail._settings
    connected = replace(wired.connect("office"), mail=LaterSilent(settings))
    restore = Restore(
        lambda _: connected, wired.state, Note(), zone=wired.config.zone, clock=office.clock
    )
    lost = office.add_many(2)
    office.back_up()
    remove(lost)

    report = restore.run(office.ask())

    assert (len(report.added), report.quota) == (2, None)
    text = "its quota could not be asked for: The mail server does not answer."
    assert report.findings == (Finding(ADA, text),)
    assert restore.undo(report.id, initiator="test").findings == (Finding(ADA, text),) * 2


def test_undo_that_waited_for_another_undo_takes_nothing_out(office):
    lost = office.add()
    office.back_up()
    lost.unlink()
    report = office.services.restore.run(office.ask())
    state = office.services.state
    with ThreadPoolExecutor() as beside, state.lease("office", ADA, "another undo"):
        waiting = beside.submit(office.services.restore.undo, report.id, initiator="test")
        time.sleep(0.5)
        state.save_restore_report(replace(report, undone_at=office.clock.now))
    with pytest.raises(NothingToUndo, match="was undone"):
        waiting.result(timeout=10)
    assert sum(office.snapshot().values()) == 1


def test_copies_of_one_message_with_different_flags_come_back(office):
    first = office.add(flags="S")
    copy = first.with_name(first.name.replace(":2,S", ",N=1:2,F"))
    shutil.copy2(first, copy)
    before = office.snapshot()
    office.back_up()
    remove([first, copy])

    report = office.services.restore.run(office.ask())

    assert (office.snapshot(), report.failed) == (before, ())


def test_full_mailbox_is_no_hindrance_to_a_restore_without_additions(office):
    office.add()
    office.back_up()
    set_quota(office, 100, 200)
    assert office.services.restore.run(office.ask()).added == ()


def test_over_quota_is_refused_in_words_and_done_when_asked(office):
    lost = office.add(text="x" * 3000)
    office.back_up()
    lost.unlink()
    set_quota(office, 4096, 3000)

    with pytest.raises(OverQuota) as refusal:
        office.services.restore.run(office.ask())
    assert str(refusal.value) == (
        "1 message with 5.9 KiB do not fit into the quota of ada@example.org: "
        "2.9 KiB in 1 message are used of 4.0 KiB."
    )

    assert len(office.services.restore.run(office.ask(over_quota=True)).added) == 1


def test_point_that_the_catalogue_lacks_is_not_restored_from(office):
    lost = office.add()
    first = office.back_up()
    lost.unlink()
    office.add()
    second = office.services.back_up.archive("office", initiator="test")

    assert office.services.restore.plan(office.ask()).point == first
    with pytest.raises(RestorePointNotFound, match=f"{second} is not in the catalogue yet"):
        office.services.restore.plan(office.ask(at=second))


def test_lost_catalogue_is_named_instead_of_the_mailbox(office):
    office.add()
    office.back_up()
    office.lose_catalogue()
    office.keep_archives_in_memory(office.services.connect("office").archives)

    with pytest.raises(RestorePointNotFound, match="is not in the catalogue yet") as refusal:
        office.services.restore.plan(office.ask())
    assert "mailrewind backup office --yes" in refusal.value.advice


def test_plan_of_a_point_that_was_removed_is_refused(office):
    lost = office.add()
    point = office.back_up()
    lost.unlink()
    plan = office.services.restore.plan(office.ask())
    office.back_up()
    office.services.state.end_point(point, PointStatus.REMOVED, office.clock())

    with pytest.raises(RestorePointNotFound, match=point):
        office.services.restore.execute(plan.id, initiator="test")
    assert not office.snapshot()


def test_unknown_system_is_refused(office):
    with pytest.raises(UnknownSystem):
        office.services.browse.resolve("elsewhere")


@pytest.mark.parametrize("plan_id", ["00000000", "", "'; drop table plan; --", "\udcff"])
def test_unknown_plan_is_refused(office, plan_id):
    with pytest.raises(PlanNotFound):
        office.services.restore.execute(plan_id, initiator="test")
