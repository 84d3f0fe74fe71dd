"""What is written into calendars, and what undoing writes: decided without any server."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.errors import CalendarItemNotFound, FolderNotFound
from mailrewind.formats.property_lists import Opaque
from mailrewind.formats.sogo import SogoExport, SogoFolder, SogoRecord
from mailrewind.services.calendars.changes import (
    Wish,
    after_merge,
    chosen,
    moved_since,
    shortfall,
    taken_back,
    to_merge,
    to_reset,
)
from mailrewind.services.calendars.likeness import (
    fingerprint,
    has_same_preferences,
    is_same,
    shared_with,
)

PATH = "Calendar/personal"
NOBODY = Opaque("{\n}")

contents = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["one", "two", "three"]))
shares = st.sampled_from(
    [NOBODY, Opaque('{"bob@example.org" = (Viewer);}'), Opaque("{eve = (Editor, Viewer);}")]
)


def folder(items, *, path=PATH, acl=NOBODY, name="Personal Calendar"):
    records = tuple(SogoRecord(key, event(title)) for key, title in items.items())
    return SogoFolder(path, name, acl, records)


def event(title):
    return f"BEGIN:VEVENT\r\nSUMMARY:{title}\r\nEND:VEVENT"


def export(*folders):
    return SogoExport("ada@example.org", None, None, folders)


def held(folder):
    return {record.name: record.content for record in folder.records}


def of(items):
    return {key: event(title) for key, title in items.items()}


@given(then=contents, now=contents, old=shares, new=shares)
def test_a_merge_adds_each_missing_record_and_keeps_everything_else(then, now, old, new):
    living = export(folder(now, acl=new, name="Mine"))
    written = to_merge(export(folder(then, acl=old)), living)
    after = after_merge(written, living).folders or living.folders
    assert held(after[0]) == of(then) | of(now)
    assert (after[0].acl, after[0].display_name) == (new, "Mine")
    given_to_sogo = [record.name for each in written.folders for record in each.records]
    assert set(given_to_sogo) == then.keys() - now.keys()


@given(then=contents, now=contents, old=shares, new=shares)
def test_a_reset_leaves_the_folder_as_it_was(then, now, old, new):
    was, living = folder(then, acl=old), folder(now, acl=new)
    written = to_reset(export(was), export(living), whole_folders=True)
    assert is_same((written.folders or (living,))[0], was)
    assert bool(written.folders) != is_same(was, living)


@given(then=contents, now=contents, new=shares, names=st.sets(st.sampled_from("abcd")))
def test_a_reset_of_single_records_touches_no_other(then, now, new, names):
    part = folder({key: title for key, title in then.items() if key in names})
    living = folder(now, acl=new)
    written = to_reset(export(part), export(living), whole_folders=False)
    after = (written.folders or (living,))[0]
    assert held(after) == of(now) | held(part)
    assert after.acl == new


@given(before=contents, meant=contents, since=contents, acls=st.tuples(shares, shares, shares))
def test_undoing_reverts_exactly_what_the_user_left_alone(before, meant, since, acls):
    was, left, living = (
        folder(items, acl=acl) for items, acl in zip((before, meant, since), acls, strict=True)
    )
    written = taken_back(export(was), export(left), export(living))
    after = (written.folders or (living,))[0]
    for key in "abcd":
        is_untouched = since.get(key) == meant.get(key)
        assert held(after).get(key) == of(before if is_untouched else since).get(key)
    assert after.acl == (acls[0] if acls[1] == acls[2] else acls[2])


@given(before=contents, meant=contents, since=contents)
def test_undoing_what_was_broken_off_loses_nothing_of_before(before, meant, since):
    was, left, living = (folder(items) for items in (before, meant, since))
    written = taken_back(export(was), export(left), export(living), was_finished=False)
    after = held((written.folders or (living,))[0])
    assert after.keys() >= before.keys()
    for key in before:
        is_the_users = key in since and since[key] != meant.get(key)
        assert after[key] == of(since if is_the_users else before)[key]


def test_undoing_what_was_broken_off_brings_a_dropped_folder_back():
    was = folder({"a": "one"}, acl=Opaque("{bob = (Viewer);}"))
    left = export(folder({"a": "old"}))
    assert taken_back(export(was), left, export(), was_finished=False).folders == (was,)


def test_undoing_leaves_a_folder_that_was_removed_since():
    assert taken_back(export(), export(folder({"a": "one"})), export()).folders == ()


def test_undoing_empties_a_folder_that_the_restore_had_made():
    made = folder({"a": "one"})
    (after,) = taken_back(export(), export(made), export(made)).folders
    assert held(after) == {}


def test_a_folder_that_is_gone_is_merged_with_the_shares_that_it_had():
    was = folder({"a": "one"}, acl=Opaque("{bob = (Viewer);}"))
    assert to_merge(export(was), export()).folders == (was,)


def test_an_empty_folder_that_is_gone_is_merged_too():
    was = folder({})
    assert to_merge(export(was), export()).folders == (was,)


def test_what_was_moved_to_another_folder_is_not_doubled():
    card = SogoRecord("a.ics", "UID:1\r\nSUMMARY:One")
    lost = SogoRecord("b.ics", "UID:2\r\nSUMMARY:Two")
    moved = SogoRecord("x.ics", "UID:1\r\nSUMMARY:One, edited")
    private, work = folder({}), folder({}, path="Calendar/work")
    then = export(replace(private, records=(card, lost)), work)
    living = export(private, replace(work, records=(moved,)))
    found = moved_since(then, living)
    assert found == {(PATH, "a.ics")}
    (written,) = to_merge(then, living, moved=found).folders
    assert (written.path, written.records) == (PATH, (lost,))


def test_a_copy_that_was_there_before_does_not_stand_for_what_is_missing():
    card = SogoRecord("a.ics", "UID:1")
    private = folder({})
    work = folder({}, path="Calendar/work")
    copy = replace(work, records=(SogoRecord("x.ics", "UID:1"),))
    then = export(replace(private, records=(card,)), copy)
    assert moved_since(then, export(private, copy)) == frozenset()


def test_a_contact_is_not_moved_by_an_event_of_the_same_uid():
    card = SogoRecord("a.vcf", "UID:1")
    book = folder({}, path="Contacts/personal")
    event_of_that_uid = replace(folder({}), records=(SogoRecord("x.ics", "UID:1"),))
    then = export(replace(book, records=(card,)))
    assert moved_since(then, export(book, event_of_that_uid)) == frozenset()


def test_shares_are_compared_whatever_order_sogo_gives_them_in():
    one = folder({}, acl=Opaque('{ "b@x.org" = ( One, Two ); a = (Three); }'))
    other = folder({}, acl=Opaque('{a=("Three");\n"b@x.org" = (\n Two,\n One\n );}'))
    assert is_same(one, other)
    assert shared_with(one) == ("a", "b@x.org")
    assert not is_same(one, replace(other, acl=Opaque('{a=("Three");"b@x.org" = (Two);}')))


def test_preferences_are_compared_by_what_they_say():
    one = replace(export(), preferences=Opaque('({ a = b; }, { "c d" = (1, 2); })'))
    other = replace(export(), preferences=Opaque('(\n\t{\n\ta = b;\n},{"c d" = (1,2);})'))
    assert has_same_preferences(one, other)
    assert not has_same_preferences(one, replace(one, preferences=Opaque("({ a = c; }, {})")))


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"a": "one", "b": "two"}, []),
        ({"a": "one"}, [(f"{PATH}/b", "is not there")]),
        ({"a": "one", "b": "other"}, [(f"{PATH}/b", "is not as meant")]),
        ({"a": "one", "b": "two", "c": "new"}, [(f"{PATH}/c", "should not be there")]),
    ],
)
def test_whatever_is_not_as_meant_is_named(now, said):
    meant = export(folder({"a": "one", "b": "two"}))
    found = shortfall(meant, export(folder(now)), exactly=True)
    assert [(finding.subject, finding.text) for finding in found] == said


def test_what_came_later_is_no_shortfall_of_a_merge():
    later = export(folder({"a": "one", "z": "new"}))
    assert shortfall(export(folder({"a": "one"})), later, exactly=False) == []


@pytest.mark.parametrize("change", [{"acl": Opaque("{bob = (Viewer);}")}, {"display_name": "X"}])
def test_lost_shares_and_names_are_a_shortfall(change):
    meant = export(folder({"a": "one"}))
    now = export(replace(folder({"a": "one"}), **change))
    assert [f.subject for f in shortfall(meant, now, exactly=False)] == [PATH]


def test_a_missing_folder_is_a_shortfall():
    assert [f.text for f in shortfall(export(folder({})), export(), exactly=False)] == [
        "the folder is not there"
    ]


def test_a_fingerprint_stands_for_contents_and_where_asked_for_shares():
    one = export(folder({"a": "one", "b": "two"}))
    turned = export(folder({"b": "two", "a": "one"}, acl=Opaque("{bob = (Viewer);}")))
    assert fingerprint(one, with_shares=False) == fingerprint(turned, with_shares=False)
    assert fingerprint(one, with_shares=True) != fingerprint(turned, with_shares=True)
    other = export(folder({"a": "one", "b": "three"}))
    assert fingerprint(one, with_shares=False) != fingerprint(other, with_shares=False)


def test_a_wish_is_met_by_paths_names_and_words():
    work = folder({"w": "Review of plans"}, path="Calendar/work", name="Daily Grind")
    whole = export(folder({"a": "Dentist", "b": "Lunch with Ada"}), work)

    def names(*, folders=(), items=()):
        part = chosen(whole, Wish(folders, items), system="office")
        return {record.name for each in part.folders for record in each.records}

    assert names() == {"a", "b", "w"}
    assert names(folders=("daily grind",)) == {"w"}
    assert names(folders=(PATH,)) == {"a", "b"}
    assert names(items=("b",)) == {"b"}
    assert names(items=("ada lunch", "REVIEW")) == {"b", "w"}
    with pytest.raises(FolderNotFound):
        names(folders=("nowhere",))
    with pytest.raises(CalendarItemNotFound):
        names(folders=(PATH,), items=("review",))
