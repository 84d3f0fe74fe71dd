"""What a plan says of calendars, and what their report counts."""

from collections import Counter
from collections.abc import Iterator, Sequence

from mailrewind.formats.icalendar import summary
from mailrewind.formats.sogo import SogoExport, SogoFolder, SogoRecord, difference
from mailrewind.model.operations import Change, Effect
from mailrewind.model.reports import Finding
from mailrewind.services.calendars.likeness import (
    by_path,
    has_other_shares,
    has_same_preferences,
    kinds,
)
from mailrewind.services.calendars.work import CalendarWork

_NAMED = 5


def changes(work: CalendarWork, *, with_titles: bool) -> Iterator[Change]:
    """Say what would become of what, folder by folder.

    Args:
        work: What is to be done.
        with_titles: Whether records are named by their titles, too.
    """
    now, meant = by_path(work.living), by_path(work.meant)
    for folder, since in zip(work.then.folders, difference(work.then, work.living), strict=True):
        told = _Told(folder.path, with_titles)
        if folder.path in meant:
            yield from _written(told, meant[folder.path], now.get(folder.path))
        if not work.is_reset:
            moved = [r for r in since.missing if (folder.path, r.name) in work.moved]
            yield from told.records(Effect.KEEP, moved, "moved to another folder since, stay there")
            living = [there for _, there in since.changed]
            yield from told.records(Effect.KEEP, living, "changed since, stay as they are")
            yield from told.records(Effect.KEEP, since.newer, "not there then, stay")
    if work.preferences is not None:
        yield Change(Effect.REVERT, "preferences", "all settings, filters and signatures of SOGo")


def remarks(work: CalendarWork) -> Iterator[Finding]:
    """Say what the reader of the plan should know besides."""
    if not work.then.folders:
        yield Finding(work.source.name, "held no calendars and address books of this user")
    if work.is_reset and work.written.folders:
        yield Finding(work.user, "memcached is restarted afterwards, or SOGo would not see them")


class _Told:
    """Words for the changes of one folder."""

    def __init__(self, path: str, with_titles: bool) -> None:
        self._path = path
        self._with_titles = with_titles

    def records(self, effect: Effect, records: Sequence[SogoRecord], text: str) -> Iterator[Change]:
        if records:
            yield Change(effect, self._path, f"{text}: {self._named(records)}", len(records))

    def folder(self, effect: Effect, text: str) -> Change:
        return Change(effect, self._path, text)

    def _named(self, records: Sequence[SogoRecord]) -> str:
        said = []
        for record in sorted(records, key=lambda record: record.name)[:_NAMED]:
            title = summary(record.content).title if self._with_titles else ""
            said.append(f"{record.name} ({title})" if title else record.name)
        more = len(records) - len(said)
        return ", ".join(said) + (f" and {more:,} more" if more else "")


def _written(told: _Told, meant: SogoFolder, there: SogoFolder | None) -> Iterator[Change]:
    if there is None:
        if not meant.records:
            yield told.folder(Effect.ADD, "the folder itself, empty")
        yield from told.records(Effect.ADD, meant.records, "with the folder itself")
        return
    was = {record.name: record.content for record in there.records}
    should = {record.name for record in meant.records}
    added = [record for record in meant.records if record.name not in was]
    changed = [r for r in meant.records if r.name in was and was[r.name] != r.content]
    lost = [record for record in there.records if record.name not in should]
    yield from told.records(Effect.ADD, added, "missing now")
    yield from told.records(Effect.REVERT, changed, "changed since")
    yield from told.records(Effect.LOSE, lost, "not there then")
    if has_other_shares(meant, there):
        yield told.folder(Effect.REVERT, "whom it is shared with")
    if meant.display_name != there.display_name:
        yield told.folder(Effect.REVERT, "its display name")


def counts(work: CalendarWork, now: SogoExport) -> tuple[tuple[str, int], ...]:
    """Count what is there afterwards and was not before, by kind; and what was made as it was."""
    added: Counter[str] = Counter()
    before, after = by_path(work.living), by_path(now)
    folders = reverted = lost = 0
    for folder in work.meant.folders:
        there, was = after.get(folder.path), before.get(folder.path)
        if there is None:
            continue
        folders += was is None
        old = {record.name: record.content for record in was.records} if was else {}
        new = {record.name for record in there.records}
        should = {record.name: record.content for record in folder.records}
        added += kinds(
            record
            for record in there.records
            if record.name not in old and should.get(record.name) == record.content
        )
        reverted += sum(
            record.name in old
            and old[record.name] != record.content
            and should.get(record.name) == record.content
            for record in there.records
        )
        lost += len(old.keys() - new)
    told = [(f"{kind} added", number) for kind, number in sorted(added.items())]
    others = [("folders brought back", folders), ("reverted", reverted), ("removed", lost)]
    told += [(what, number) for what, number in others if number]
    if work.preferences is not None and has_same_preferences(work.preferences, now):
        told.append(("preferences", 1))
    return tuple(told)


def left_alone(before: SogoExport, meant: SogoExport, living: SogoExport) -> Iterator[Finding]:
    """Say what undoing leaves as the user has made it since."""
    now, then = by_path(living), by_path(before)
    for folder in meant.folders:
        there = now.get(folder.path)
        if there is None:
            yield Finding(folder.path, "was removed since, and stays so")
            continue
        if folder.path not in then:
            yield Finding(folder.path, "was not there before; the folder itself stays")
        contents = {record.name: record.content for record in there.records}
        for record in folder.records:
            if contents.get(record.name) != record.content:
                yield Finding(f"{folder.path}/{record.name}", "was changed since, and stays so")
