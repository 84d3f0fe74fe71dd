"""Calendars and contacts brought back into a mailcow that runs, seen through CalDAV."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mailrewind.errors import (
    CalendarItemNotFound,
    ChoiceNeeded,
    ConfirmationMissing,
    ExportDamaged,
    FolderNotFound,
    MailboxNotFound,
    MailServerUnreachable,
    NothingToUndo,
    PlanOutdated,
    RestorePointNotFound,
)
from mailrewind.formats.sogo import read_export, write_export
from mailrewind.model.operations import Change, Effect
from mailrewind.model.reports import Finding
from tests.groupware_desk import BOOK, CALENDAR, SYSTEM, Desk, contact, counted, event

pytest_plugins = ["tests.mailcow"]


@pytest.fixture(scope="module")
def desk(mailcow, tmp_path_factory):
    with Desk(mailcow, tmp_path_factory.mktemp("data")) as opened:
        yield opened


@pytest.fixture
def ada(desk):
    """A user with two events and a contact, of whom a restore point was made."""
    user = desk.new_user()
    desk.put(user, lost="Dentist", edited="Lunch")
    desk.stack.put_contact(user, "personal", "grace.vcf", contact("Grace Hopper"))
    desk.make_point()
    return user


def file_in(desk, point, user, content):
    """Put another content in the place of a user's export in a restore point."""
    items = desk.archives.archives[f"{point}-sogo"]
    desk.archives.archives[f"{point}-sogo"] = [
        (file, content if file.path == f"sogo/{user}" else was) for file, was in items
    ]


def test_a_merge_adds_what_is_missing_and_changes_nothing_else(desk, ada):
    other = desk.new_user()
    desk.delete(ada, "lost")
    desk.put(ada, edited="Lunch, moved", later="Party")
    desk.stack.share(ada, "personal", other)
    desk.stack.groupware.rename(ada, CALENDAR, "Mine")
    plan = desk.plan(ada)
    assert plan.draft.changes == (
        Change(Effect.ADD, CALENDAR, "missing now: lost.ics", 1),
        Change(Effect.KEEP, CALENDAR, "changed since, stay as they are: edited.ics", 1),
        Change(Effect.KEEP, CALENDAR, "not there then, stay: later.ics", 1),
    )
    assert not plan.draft.is_destructive
    assert counted(desk.execute(plan)) == {"events added": 1}
    assert desk.events(ada) == {
        "lost.ics": event("Dentist", "lost"),
        "edited.ics": event("Lunch, moved", "edited"),
        "later.ics": event("Party", "later"),
    }
    assert desk.shares(ada) == {(other, "PublicViewer")}
    assert desk.stack.groupware.title(ada, CALENDAR) == "Mine"


def test_a_second_merge_adds_nothing(desk, ada):
    desk.delete(ada, "lost")
    assert desk.restore(ada) == {"events added": 1}
    before = desk.state_of(ada)
    assert desk.plan(ada).draft.changes == ()
    assert desk.restore(ada) == {}
    assert desk.state_of(ada) == before


def test_a_reset_brings_back_exactly_the_old_state(desk):
    user, friend, stranger = desk.new_user(), desk.new_user(), desk.new_user()
    desk.put(user, lost="Dentist", edited="Lunch")
    desk.stack.put_contact(user, "personal", "grace.vcf", contact("Grace Hopper"))
    desk.stack.make_calendar(user, "work")
    desk.stack.put_event(user, "work", "review.ics", event("Review"))
    desk.stack.share(user, "personal", friend)
    desk.make_point()
    then = desk.state_of(user)
    desk.delete(user, "lost")
    desk.put(user, edited="Lunch, moved", later="Party")
    desk.stack.groupware.delete(user, BOOK, "grace.vcf")
    desk.stack.groupware.rename(user, CALENDAR, "Mine")
    desk.stack.share(user, "personal", stranger, "ObjectEditor")
    plan = desk.plan(user, mode="reset")
    assert plan.draft.changes == (
        Change(Effect.ADD, CALENDAR, "missing now: lost.ics", 1),
        Change(Effect.REVERT, CALENDAR, "changed since: edited.ics", 1),
        Change(Effect.LOSE, CALENDAR, "not there then: later.ics", 1),
        Change(Effect.REVERT, CALENDAR, "whom it is shared with", 1),
        Change(Effect.REVERT, CALENDAR, "its display name", 1),
        Change(Effect.ADD, BOOK, "missing now: grace.vcf", 1),
    )
    assert counted(desk.execute(plan)) == {
        "contacts added": 1,
        "events added": 1,
        "removed": 1,
        "reverted": 1,
    }
    assert desk.state_of(user) == then


def test_a_reset_that_loses_something_must_be_confirmed(desk, ada):
    desk.put(ada, later="Party")
    plan = desk.plan(ada, mode="reset")
    with pytest.raises(ConfirmationMissing):
        desk.operations.execute(plan.id, initiator="test")
    assert "later.ics" in desk.events(ada)


def test_a_second_reset_does_nothing(desk, ada):
    desk.put(ada, later="Party")
    desk.restore(ada, mode="reset")
    assert desk.plan(ada, mode="reset").draft.changes == ()
    assert desk.restore(ada, mode="reset") == {}


def test_a_reset_is_refused_when_more_would_be_lost_than_was_planned(desk, ada):
    desk.put(ada, later="Party")
    plan = desk.plan(ada, mode="reset")
    desk.put(ada, evenlater="Breakfast")
    with pytest.raises(PlanOutdated):
        desk.execute(plan)
    assert {"later.ics", "evenlater.ics"} <= desk.events(ada).keys()


def test_undoing_a_reset_brings_back_what_it_lost_and_keeps_what_came_since(desk, ada):
    friend = desk.new_user()
    desk.delete(ada, "lost")
    desk.put(ada, edited="Lunch, moved", later="Party")
    desk.stack.share(ada, "personal", friend)
    before = desk.events(ada)
    done = desk.execute(desk.plan(ada, mode="reset"))
    desk.put(ada, since="Breakfast")
    undone = desk.operations.undo(done.id, initiator="test")
    assert desk.events(ada) == before | {"since.ics": event("Breakfast", "since")}
    assert desk.shares(ada) == {(friend, "PublicViewer")}
    assert undone.taken_back.counts == (("folders as before", 1),)


def test_undoing_a_merge_takes_out_what_it_added_and_the_user_left_alone(desk):
    user = desk.new_user()
    desk.put(user, one="One", two="Two", three="Three")
    desk.make_point()
    desk.delete(user, "one", "two")
    done = desk.execute(desk.plan(user))
    desk.put(user, two="Two, moved")
    undone = desk.operations.undo(done.id, initiator="test")
    assert desk.events(user) == {
        "two.ics": event("Two, moved", "two"),
        "three.ics": event("Three", "three"),
    }
    assert undone.taken_back.findings == (
        Finding(f"{CALENDAR}/two.ics", "was changed since, and stays so"),
    )


def test_what_is_gone_again_cannot_be_undone(desk, ada):
    desk.delete(ada, "lost")
    done = desk.execute(desk.plan(ada))
    desk.delete(ada, "lost")
    with pytest.raises(NothingToUndo):
        desk.operations.undo(done.id, initiator="test")


def test_a_reset_that_was_broken_off_half_way_can_be_undone_or_done_again(desk):
    user, friend = desk.new_user(), desk.new_user()
    desk.put(user, lost="Dentist", edited="Lunch")
    desk.make_point()
    desk.delete(user, "lost")
    desk.put(user, edited="Lunch, moved", later="Party")
    desk.stack.share(user, "personal", friend)
    before = desk.state_of(user)

    def broken_off():
        plan = desk.plan(user, mode="reset")
        with HalfWay(desk.calendars), pytest.raises(MailServerUnreachable):
            desk.execute(plan)
        return desk.state.operation_reports(limit=1)[0].id

    report_id = broken_off()
    assert desk.events(user) != before[CALENDAR][1]
    desk.operations.undo(report_id, initiator="test")
    assert desk.state_of(user) == before
    broken_off()
    desk.restore(user, mode="reset")
    assert desk.events(user) == {
        "lost.ics": event("Dentist", "lost"),
        "edited.ics": event("Lunch", "edited"),
    }


def test_an_undo_that_was_broken_off_half_way_is_finished_by_the_next(desk):
    user = desk.new_user()
    desk.put(user, one="One", two="Two")
    desk.make_point()
    desk.put(user, one="One, moved", three="Three")
    before = desk.events(user)
    done = desk.execute(desk.plan(user, mode="reset"))
    desk.put(user, since="Four")
    with HalfWay(desk.calendars), pytest.raises(MailServerUnreachable):
        desk.operations.undo(done.id, initiator="test")
    desk.operations.undo(done.id, initiator="test")
    assert desk.events(user) == before | {"since.ics": event("Four", "since")}


class HalfWay:
    """While it lasts, SOGo is given the first record of a folder, and is gone then."""

    def __init__(self, calendars):
        self._calendars = calendars
        self._reset = calendars.reset

    def __enter__(self):
        self._calendars.reset = self._stop_half_way

    def __exit__(self, *_):
        self._calendars.reset = self._reset

    def _stop_half_way(self, user, content):
        export = read_export(content)
        folders = tuple(replace(each, records=each.records[:1]) for each in export.folders)
        self._reset(user, write_export(replace(export, folders=folders)))
        raise MailServerUnreachable("sogo-mailcow stopped while sogo-tool ran")


def test_an_event_that_was_moved_to_another_calendar_is_not_doubled(desk, ada):
    desk.stack.make_calendar(ada, "work")
    desk.delete(ada, "lost", "edited")
    desk.stack.put_event(ada, "work", "moved.ics", event("Dentist, moved", "lost"))
    plan = desk.plan(ada)
    assert plan.draft.changes == (
        Change(Effect.ADD, CALENDAR, "missing now: edited.ics", 1),
        Change(Effect.KEEP, CALENDAR, "moved to another folder since, stay there: lost.ics", 1),
    )
    assert counted(desk.execute(plan)) == {"events added": 1}
    assert list(desk.events(ada)) == ["edited.ics"]
    assert desk.restore(ada, records="lost.ics") == {"events added": 1}


def test_one_folder_comes_back_and_no_other(desk, ada):
    desk.delete(ada, "lost")
    desk.stack.groupware.delete(ada, BOOK, "grace.vcf")
    assert desk.restore(ada, folders=BOOK) == {"contacts added": 1}
    assert (list(desk.events(ada)), list(desk.stack.contacts(ada))) == (
        ["edited.ics"],
        ["grace.vcf"],
    )


def test_a_folder_may_be_named_as_its_owner_sees_it(desk, ada):
    desk.delete(ada, "lost")
    assert desk.restore(ada, folders="personal calendar") == {"events added": 1}


@pytest.mark.parametrize("item", ["lost.ics", "dentist", "DENT"])
def test_a_single_event_comes_back_by_its_name_or_by_words_of_its_title(desk, ada, item):
    desk.delete(ada, "lost", "edited")
    assert desk.restore(ada, records=item) == {"events added": 1}
    assert list(desk.events(ada)) == ["lost.ics"]


def test_a_single_event_is_reset_without_touching_the_others(desk, ada):
    friend = desk.new_user()
    desk.delete(ada, "lost")
    desk.put(ada, edited="Lunch, moved", later="Party")
    desk.stack.share(ada, "personal", friend)
    assert desk.restore(ada, mode="reset", records="edited.ics") == {"reverted": 1}
    assert desk.events(ada) == {
        "edited.ics": event("Lunch", "edited"),
        "later.ics": event("Party", "later"),
    }
    assert desk.shares(ada) == {(friend, "PublicViewer")}


def test_another_user_gets_the_folders_without_their_shares(desk):
    user, friend, other = desk.new_user(), desk.new_user(), desk.new_user()
    desk.put(user, meeting="Dentist")
    desk.stack.make_calendar(user, "work")
    desk.stack.put_event(user, "work", "review.ics", event("Review"))
    desk.stack.share(user, "work", friend)
    desk.make_point()
    desk.delete(user, "meeting")
    desk.put(other, own="Mine")
    before = desk.state_of(user)
    assert desk.restore(user, into_user=other) == {"events added": 2, "folders brought back": 1}
    assert desk.events(other) == {
        "meeting.ics": event("Dentist", "meeting"),
        "own.ics": event("Mine", "own"),
    }
    assert list(desk.events(other, "work")) == ["review.ics"]
    assert desk.shares(other, "Calendar/work") == set()
    assert desk.state_of(user) == before


def test_another_user_may_never_have_opened_sogo(desk, ada):
    other = desk.new_user()
    desk.restore(ada, into_user=other, folders=CALENDAR)
    assert desk.events(other) == desk.events(ada)


def test_a_deleted_calendar_comes_back_with_its_shares(desk):
    user, friend = desk.new_user(), desk.new_user()
    desk.stack.make_calendar(user, "work")
    desk.stack.put_event(user, "work", "review.ics", event("Review"))
    desk.stack.groupware.rename(user, "Calendar/work", "Daily grind")
    desk.stack.share(user, "work", friend)
    desk.make_point()
    then = desk.state_of(user)
    desk.stack.groupware.delete(user, "Calendar", "work/")
    assert "Calendar/work" not in desk.state_of(user)
    assert desk.restore(user) == {"events added": 1, "folders brought back": 1}
    assert desk.state_of(user) == then


def test_preferences_come_back_only_if_wished_for(desk, ada):
    def set_to(zone):
        desk.stack.sql(
            "UPDATE sogo_user_profile SET c_defaults = %s WHERE c_uid = %s",
            f'{{"SOGoTimeZone": "{zone}"}}',
            ada,
        )
        desk.stack.restart("memcached")

    def zone():
        ((defaults,),) = desk.stack.sql(
            "SELECT c_defaults FROM sogo_user_profile WHERE c_uid = %s", ada
        )
        return "Asia/Tokyo" if "Tokyo" in str(defaults) else str(defaults)

    set_to("Asia/Tokyo")
    desk.make_point()
    set_to("Europe/Rome")
    assert desk.restore(ada) == {}
    assert "Rome" in zone()
    done = desk.execute(desk.plan(ada, preferences="yes"))
    assert counted(done) == {"preferences": 1}
    assert zone() == "Asia/Tokyo"
    assert desk.restore(ada, preferences="yes") == {}
    desk.operations.undo(done.id, initiator="test")
    assert "Rome" in zone()


def test_preferences_are_for_nobody_else(desk, ada):
    with pytest.raises(ChoiceNeeded):
        desk.plan(ada, into_user=desk.new_user(), preferences="yes")


def test_titles_stand_in_a_plan_only_if_asked_for(desk, ada):
    desk.delete(ada, "lost")
    (change,) = desk.plan(ada).draft.changes
    assert "Dentist" not in change.text
    (change,) = desk.plan(ada, titles="yes").draft.changes
    assert change.text == "missing now: lost.ics (Dentist)"


def test_a_folder_that_the_point_lacks_is_refused(desk, ada):
    with pytest.raises(FolderNotFound):
        desk.plan(ada, folders="Calendar/nowhere")


def test_an_item_that_the_point_lacks_is_refused(desk, ada):
    with pytest.raises(CalendarItemNotFound):
        desk.plan(ada, records="never.ics")


def test_a_user_whom_the_point_lacks_is_refused(desk, ada):
    with pytest.raises(MailboxNotFound):
        desk.plan("nobody@example.org")


def test_a_user_whom_sogo_does_not_know_is_refused(desk, ada):
    with pytest.raises(MailboxNotFound, match="SOGo does not know this user"):
        desk.plan(ada, into_user="nobody@example.org")


def test_a_mode_that_does_not_exist_is_refused(desk, ada):
    with pytest.raises(ChoiceNeeded):
        desk.plan(ada, mode="overwrite")


@pytest.mark.parametrize("spoil", [lambda c: b"", lambda c: c[:-30], lambda c: b"\x00" + c])
def test_a_damaged_export_is_refused(desk, ada, spoil):
    point = desk.make_point()
    whole = dict(desk.archives.read(f"{point}-sogo", [f"sogo/{ada}"]))[f"sogo/{ada}"]
    file_in(desk, point, ada, spoil(whole))
    with pytest.raises(ExportDamaged):
        desk.plan(ada)


def test_an_export_of_another_user_is_refused(desk, ada):
    other = desk.new_user()
    desk.put(other, meeting="Mine")
    point = desk.make_point()
    theirs = dict(desk.archives.read(f"{point}-sogo", [f"sogo/{other}"]))[f"sogo/{other}"]
    file_in(desk, point, ada, theirs)
    with pytest.raises(ExportDamaged, match=other):
        desk.plan(ada, mode="reset")


def test_a_point_without_calendars_is_refused(desk, ada):
    with pytest.raises(RestorePointNotFound):
        desk.plan(ada, at="office-2020-01-01T00:00:00Z")


def test_sogo_that_is_away_fails_the_plan(desk, ada):
    desk.stack.stop("sogo")
    try:
        with pytest.raises(MailServerUnreachable):
            desk.plan(ada)
    finally:
        desk.stack.service("sogo").start()
        desk.stack.wait("sogo")


def test_sogo_that_is_killed_while_it_resets_loses_nothing(desk):
    user = desk.new_user()
    desk.put(user, first="First")
    desk.make_point()
    many = desk.holding(user, {f"many{number:04}.ics": "Many" for number in range(800)})
    desk.calendars.merge(user, many)
    before = desk.exported(user)
    assert len(before[CALENDAR]) == 801
    file_in(desk, desk.make_point(), user, many)
    desk.put(user, later="Later")
    before = desk.exported(user)
    plan = desk.plan(user, mode="reset")
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_half_way, desk, user)
        try:
            with pytest.raises(MailServerUnreachable) as raised:
                desk.execute(plan)
        finally:
            killing.result()
            desk.stack.service("sogo").start()
            desk.stack.wait("sogo")
    assert raised.value.retryable
    assert len(desk.exported(user)[CALENDAR]) < 800
    assert desk.installation.project.service("memcached-mailcow").state == "running"
    report = desk.state.operation_reports(limit=1)[0]
    desk.operations.undo(report.id, initiator="test")
    assert desk.exported(user) == before


def kill_half_way(desk, user):
    """Kill SOGo as soon as a folder that is filled again holds some records."""
    query = (
        "SELECT COUNT(*) FROM sogo_store JOIN sogo_folder_info USING (c_folder_id) "
        "WHERE c_path = %s"
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        ((number,),) = desk.stack.sql(query, f"/Users/{user}/{CALENDAR}")
        if 0 < int(number) < 500:
            desk.stack.service("sogo").kill()
            return
        time.sleep(0.02)


def test_memcached_that_is_away_hinders_nothing(desk, ada):
    desk.delete(ada, "lost")
    desk.stack.stop("memcached")
    try:
        assert desk.restore(ada) == {"events added": 1}
    finally:
        desk.stack.service("memcached").start()
        desk.stack.wait("memcached")


def test_nothing_that_is_kept_for_undoing_can_be_read_by_others(desk, ada):
    desk.delete(ada, "lost")
    done = desk.execute(desk.plan(ada))
    directory = desk.root / "safety" / done.id
    modes = {path.name: path.stat().st_mode & 0o777 for path in (directory, *directory.iterdir())}
    assert modes == {done.id: 0o700, "before": 0o600, "meant": 0o600, "about.json": 0o600}
    kept = [read_export((directory / name).read_bytes()) for name in ("before", "meant")]
    assert [export.ldif_record for export in kept] == ['""', '""'], "no hash of a password"


def test_a_kept_export_is_restored_from_like_a_point(desk, ada):
    kept = desk.exports.run(SYSTEM, initiator="test").name
    desk.delete(ada, "lost")
    desk.make_point()
    assert desk.restore(ada, at=kept) == {"events added": 1}
