"""What a restore of calendars would write, and what folders hold afterwards: pure functions.

``sogo-tool`` writes whole folders: a merge adds to one and replaces its shares, a reset drops it
first. So whatever is wanted is put together here as folders, from then and now.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from mailrewind.errors import CalendarItemNotFound, FolderNotFound
from mailrewind.formats.icalendar import summary
from mailrewind.formats.property_lists import Opaque
from mailrewind.formats.sogo import SogoExport, SogoFolder, SogoRecord, difference, only
from mailrewind.model.reports import Finding
from mailrewind.services.calendars.likeness import by_path, contents, is_same, shares

NO_SHARES = Opaque("{\n}")

_UID = re.compile(r"^UID(?:;[^:\r\n]*)?:([^\r\n]+)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which part of a user's calendars is meant.

    Attributes:
        folders: Paths or display names; none for all.
        items: Names of events and contacts, or words that stand in their titles; none for all.
    """

    folders: tuple[str, ...] = ()
    items: tuple[str, ...] = ()


def chosen(export: SogoExport, wish: Wish, *, system: str) -> SogoExport:
    """Return the part of an export that is wished for.

    Raises:
        FolderNotFound: The export has no such folder.
        CalendarItemNotFound: None of its folders that are wished for has such an item.
    """
    paths = {path for word in wish.folders for path in _folders_called(export, word, system)}
    part = only(export, folders=paths) if wish.folders else export
    if not wish.items:
        return part
    records = {
        (folder.path, name)
        for word in wish.items
        for folder, name in _records_called(part, word, system)
    }
    return only(part, records=records)


def moved_since(then: SogoExport, living: SogoExport) -> frozenset[tuple[str, str]]:
    """Return (path, name) of what is missing in its folder and came to another one since.

    Args:
        then: All folders as they were.
        living: All folders as they are.
    """
    before, now = by_path(then), by_path(living)
    came = {
        (_kind_of(path), _identity(record))
        for path, folder in now.items()
        for record in folder.records
        if path not in before or record.name not in contents(before[path])
    }
    return frozenset(
        (path, record.name)
        for path, folder in before.items()
        for record in folder.records
        if (path not in now or record.name not in contents(now[path]))
        and (_kind_of(path), _identity(record)) in came
    )


def to_merge(
    then: SogoExport, living: SogoExport, *, moved: Collection[tuple[str, str]] = ()
) -> SogoExport:
    """Return what a merge has to write: only what is missing, with the shares of now.

    Edited records are left out, so that nothing can be done to them.

    Args:
        then: The wished part of what was there.
        living: What is there.
        moved: (path, name) of records that are left out because they are in another folder now.
    """
    folders = []
    now = by_path(living)
    for folder, changed in zip(then.folders, difference(then, living), strict=True):
        missing = tuple(r for r in changed.missing if (folder.path, r.name) not in moved)
        there = now.get(folder.path)
        if missing or (there is None and not folder.records):
            folders.append(replace(there or folder, records=missing))
    return replace(then, folders=tuple(folders))


def to_reset(then: SogoExport, living: SogoExport, *, whole_folders: bool) -> SogoExport:
    """Return what a reset has to write: folders that are not as they are meant to be.

    Args:
        then: The folders that are wished for; with a part of their records only, if single ones
            are.
        living: What is there.
        whole_folders: Whether folders become what they were; else only the records in ``then`` do.
    """
    now = by_path(living)
    meant = []
    for folder in then.folders:
        there = now.get(folder.path)
        if there is not None and not whole_folders:
            folder = _with_records(there, folder.records)
        if there is None or not is_same(folder, there):
            meant.append(folder)
    return replace(then, folders=tuple(meant))


def after_merge(written: SogoExport, living: SogoExport) -> SogoExport:
    """Return what the folders of a merge hold when it is done."""
    now = by_path(living)
    folders = [
        replace(folder, records=(*there.records, *folder.records))
        if (there := now.get(folder.path))
        else folder
        for folder in written.folders
    ]
    return replace(written, folders=tuple(folders))


def taken_back(
    before: SogoExport, meant: SogoExport, living: SogoExport, *, was_finished: bool = True
) -> SogoExport:
    """Return what undoing has to write: what is still as the restore left it becomes as before.

    What the user has changed, added or deleted since stays as it is.

    Args:
        before: What was there before the restore.
        meant: What the restored folders held when it was done.
        living: What is there.
        was_finished: Whether it was done. Else what is missing was lost on the way, for a reset
            drops a folder before it fills it again, and nobody has deleted it.
    """
    then, now = by_path(before), by_path(living)
    folders = []
    for folder in meant.folders:
        there, origin = now.get(folder.path), then.get(folder.path)
        if there is None:
            if not was_finished and origin is not None:
                folders.append(origin)
            continue
        made = replace(folder, acl=NO_SHARES, records=())
        undone = _folder_taken_back(origin or made, folder, there, was_finished=was_finished)
        if not is_same(undone, there):
            folders.append(undone)
    return replace(living, uid=meant.uid, folders=tuple(folders))


def shortfall(meant: SogoExport, now: SogoExport, *, exactly: bool) -> list[Finding]:
    """Say what is not as it was meant.

    Args:
        meant: The folders as they should be.
        now: What is there.
        exactly: Whether there may be nothing else in them.
    """
    there = by_path(now)
    found: list[Finding] = []
    for folder in meant.folders:
        living = there.get(folder.path)
        if living is None:
            found.append(Finding(folder.path, "the folder is not there"))
        else:
            found += _folder_shortfall(folder, living, exactly=exactly)
    return found


def _folders_called(export: SogoExport, word: str, system: str) -> set[str]:
    folders = by_path(export)
    if word in folders:
        return {word}
    found = {
        folder.path
        for folder in export.folders
        if folder.display_name.casefold() == word.casefold()
    }
    if not found:
        raise FolderNotFound(
            f"There was no calendar or address book {word!r} then.",
            advice=f"See `mailrewind calendars {system} {export.uid or 'USER'}` for the folders.",
        )
    return found


def _records_called(export: SogoExport, word: str, system: str) -> list[tuple[SogoFolder, str]]:
    words = word.casefold().split()
    found = [
        (folder, record.name)
        for folder in export.folders
        for record in folder.records
        if record.name == word or _speaks_of(words, record)
    ]
    if not found:
        raise CalendarItemNotFound(
            f"There was no event or contact {word!r} in these folders then.",
            advice=f"See `mailrewind calendars {system} {export.uid} FOLDER` for the names.",
        )
    return found


def _speaks_of(words: Sequence[str], record: SogoRecord) -> bool:
    title = summary(record.content).title.casefold()
    return bool(words) and all(word in title for word in words)


def _with_records(folder: SogoFolder, records: Sequence[SogoRecord]) -> SogoFolder:
    names = {record.name for record in records}
    rest = tuple(record for record in folder.records if record.name not in names)
    return replace(folder, records=(*rest, *records))


def _folder_taken_back(
    before: SogoFolder, meant: SogoFolder, now: SogoFolder, *, was_finished: bool
) -> SogoFolder:
    was, should, living = (_by_name(folder) for folder in (before, meant, now))
    records = []
    for name in {**living, **was}:
        is_untouched = _content(living, name) == _content(should, name)
        is_lost = not was_finished and name not in living
        record = (was if is_untouched or is_lost else living).get(name)
        if record is not None:
            records.append(record)
    has_our_shares = not was_finished or shares(now.acl) == shares(meant.acl)
    has_our_name = not was_finished or now.display_name == meant.display_name
    return replace(
        now,
        acl=before.acl if has_our_shares else now.acl,
        display_name=before.display_name if has_our_name else now.display_name,
        records=tuple(records),
    )


def _folder_shortfall(meant: SogoFolder, now: SogoFolder, *, exactly: bool) -> list[Finding]:
    should, living = contents(meant), contents(now)
    found = [
        Finding(f"{meant.path}/{name}", "is not there" if name not in living else "is not as meant")
        for name, content in should.items()
        if living.get(name) != content
    ]
    if exactly:
        later = living.keys() - should.keys()
        found += [Finding(f"{meant.path}/{name}", "should not be there") for name in sorted(later)]
    if shares(now.acl) != shares(meant.acl):
        found.append(Finding(meant.path, "is not shared as it was meant to be"))
    if now.display_name != meant.display_name:
        found.append(Finding(meant.path, "does not have the display name that was meant"))
    return found


def _kind_of(path: str) -> str:
    """Return "Calendar" of "Calendar/personal": things move among folders of one kind."""
    return path.partition("/")[0]


def _identity(record: SogoRecord) -> str:
    """Return what a record keeps when it is moved: its UID or, without one, its content."""
    match = _UID.search(record.content)
    return match[1].strip() if match else record.content


def _by_name(folder: SogoFolder) -> dict[str, SogoRecord]:
    return {record.name: record for record in folder.records}


def _content(records: Mapping[str, SogoRecord], name: str) -> str | None:
    record = records.get(name)
    return None if record is None else record.content
