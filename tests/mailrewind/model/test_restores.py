from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mailrewind.model.mail import Message, is_in_folders, is_trash_or_junk
from mailrewind.model.restores import RestoreRequest, Selection, Then, select

TOP = "Restored/2026-11-20"
FOLDERS = ["INBOX", "INBOX/Trash", "Clients", "Clients/Écu", "Trash", "Junk", f"{TOP}/INBOX"]
REQUEST = RestoreRequest("office", "ada@example.org")


def message(folder, guid):
    return Message(
        mailbox="ada@example.org",
        folder=folder,
        guid=guid,
        flags=frozenset(),
        received=datetime(2026, 11, 12, tzinfo=UTC),
        size_bytes=100,
        path=f"var/vmail/{folder}/cur/{guid}",
    )


# Few folders and fewer messages, so that copies, moves and losses meet in one mailbox.
places = st.lists(st.builds(message, st.sampled_from(FOLDERS), st.sampled_from("abc")), max_size=10)
mailboxes_then = places.map(
    lambda found: [Then(number, each, None) for number, each in enumerate(found, start=1)]
)
requests = st.builds(
    replace,
    st.just(REQUEST),
    folders=st.sets(st.sampled_from(FOLDERS), max_size=2).map(tuple),
    messages=st.just(()) | st.sets(st.integers(1, 12), max_size=4).map(tuple),
    also_moved=st.booleans(),
)
tops = st.sampled_from(["", TOP])


def is_wanted(entry, request):
    named = not request.messages or entry.number in request.messages
    if request.folders:
        return named and is_in_folders(entry.message.folder, request.folders)
    return named and (bool(request.messages) or not is_trash_or_junk(entry.message.folder))


def after(live, selection):
    """Return the mailbox as it is when every addition lies in its folder."""
    return live + [replace(each.message, folder=each.target) for each in selection.additions]


def target_of(entry, top):
    return f"{top}/{entry.message.folder}" if top else entry.message.folder


@given(mailboxes_then, places, requests, tops)
def test_second_restore_adds_nothing(then, live, request, top):
    first = select(then, live, request, top=top)
    second = select(then, after(live, first), request, top=top)
    assert second.additions == ()


@given(mailboxes_then, places, requests, tops)
def test_every_wanted_message_is_counted_once(then, live, request, top):
    selection = select(then, live, request, top=top)
    wanted = sum(is_wanted(entry, request) for entry in then)
    moved = 0 if request.also_moved else sum(count for _, count in selection.moved)
    assert selection.present + moved + len(selection.additions) == wanted


@given(mailboxes_then, places, requests, tops)
def test_only_wanted_messages_are_added_each_once_and_where_they_belong(then, live, request, top):
    additions = select(then, live, request, top=top).additions
    by_number = {entry.number: entry for entry in then}
    assert len({each.number for each in additions}) == len(additions)
    for each in additions:
        entry = by_number[each.number]
        assert is_wanted(entry, request)
        assert (each.message, each.target) == (entry.message, target_of(entry, top))


@given(mailboxes_then, places, requests, tops)
def test_what_is_present_is_not_added(then, live, request, top):
    """No folder gets more copies of a message than it had, or was to have."""
    added = Counter(
        (each.target, each.message.guid) for each in select(then, live, request, top=top).additions
    )
    due = Counter((target_of(entry, top), entry.message.guid) for entry in then)
    there = Counter((each.folder, each.guid) for each in live)
    for place, count in added.items():
        assert count <= due[place] - there[place], place


@given(mailboxes_then, places, requests, tops)
def test_what_the_mailbox_holds_elsewhere_is_not_added(then, live, request, top):
    selection = select(then, live, replace(request, also_moved=False), top=top)
    added = Counter(each.message.guid for each in selection.additions)
    due = Counter(entry.message.guid for entry in then)
    there = Counter(each.guid for each in live)
    for guid, count in added.items():
        assert count <= due[guid] - there[guid], guid


@given(mailboxes_then, requests, tops)
def test_untouched_mailbox_gets_nothing(then, request, top):
    live = [entry.message for entry in then]
    wanted = sum(is_wanted(entry, request) for entry in then)
    assert select(then, live, request, top=top) == Selection((), wanted, ())


@given(mailboxes_then, requests, tops)
def test_emptied_mailbox_gets_everything_wanted(then, request, top):
    selection = select(then, [], request, top=top)
    wanted = [entry.number for entry in then if is_wanted(entry, request)]
    assert [each.number for each in selection.additions] == wanted
    assert (selection.present, selection.moved) == (0, ())


@given(mailboxes_then, places, tops)
def test_trash_and_junk_come_back_only_when_named(then, live, top):
    selection = select(then, live, REQUEST, top=top)
    assert not [each for each in selection.additions if is_trash_or_junk(each.message.folder)]
    named = select(then, [], replace(REQUEST, folders=("Trash",)), top=top)
    in_trash = [entry.number for entry in then if entry.message.folder == "Trash"]
    assert [each.number for each in named.additions] == in_trash


def test_copy_that_came_back_is_not_taken_for_another_that_moved():
    then = [Then(1, message("Clients", "a"), None), Then(2, message("INBOX", "a"), None)]
    live = [message(f"{TOP}/INBOX", "a")]
    selection = select(then, live, replace(REQUEST, also_moved=True), top=TOP)
    assert [each.target for each in selection.additions] == [f"{TOP}/Clients"]
    assert selection.present == 1


def test_moved_message_is_counted_by_the_folder_it_lies_in_now():
    then = [Then(1, message("INBOX", "a"), None)]
    live = [message("Clients", "a")]
    assert select(then, live, REQUEST) == Selection((), 0, (("Clients", 1),))


def test_moved_message_is_put_back_too_when_asked():
    then = [Then(1, message("INBOX", "a"), None)]
    live = [message("Clients", "a")]
    selection = select(then, live, replace(REQUEST, also_moved=True))
    assert [(each.number, each.target) for each in selection.additions] == [(1, "INBOX")]
    assert (selection.present, selection.moved) == (0, (("Clients", 1),))


def test_message_in_the_trash_now_counts_as_moved():
    then = [Then(1, message("INBOX", "a"), None)]
    assert select(then, [message("Trash", "a")], REQUEST) == Selection((), 0, (("Trash", 1),))
