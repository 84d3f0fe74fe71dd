import shutil
from datetime import timedelta

import pytest

from mailrewind.errors import (
    FolderNotFound,
    LeaseHeld,
    MailboxNotFound,
    MessageNotFound,
    MomentInFuture,
    MomentTooEarly,
    NothingToUndo,
    PlanNotFound,
    PlanOutdated,
    RestorePointNotFound,
    UnknownSystem,
)
from tests.office import ADA, BOB, Office, remove


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

    fresh = str(refusal.value).rsplit(" ", 1)[-1]
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


def test_unknown_system_is_refused(office):
    with pytest.raises(UnknownSystem):
        office.services.browse.resolve("elsewhere")


def test_unknown_plan_is_refused(office):
    with pytest.raises(PlanNotFound):
        office.services.restore.execute("00000000", initiator="test")
