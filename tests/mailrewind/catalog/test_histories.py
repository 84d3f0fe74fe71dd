"""Random lives of a few mailboxes, told by the catalogue as by plain memory."""

import shutil
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrewind.catalog import SqlCatalog
from mailrewind.errors import FolderNotFound, MailboxNotFound
from tests.mailrewind.catalog.histories import (
    FIRST,
    FOLDERS,
    MAILBOXES,
    Memory,
    Point,
    folders_of,
    headers_for,
    headers_of,
    mailboxes_of,
    messages_of,
    points,
)

steps = st.lists(
    st.one_of(points, st.lists(st.integers(0, 9), max_size=4).map(frozenset)), max_size=9
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue to copy, which is cheaper than to migrate a new one."""
    place = tmp_path_factory.mktemp("empty") / "office.db"
    SqlCatalog(place, "office").close()
    return place


@settings(max_examples=60)
@given(steps=steps)
def test_catalogue_tells_every_kept_point_as_it_was(
    empty: Path, steps: list[Point | frozenset[int]]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        shutil.copy(empty, directory)
        catalog = SqlCatalog(Path(directory) / "office.db", "office")
        memory = Memory()
        numbers = _Numbers()
        at = FIRST
        for step in steps:
            if isinstance(step, Point):
                at += timedelta(minutes=47)
                unknown = catalog.unknown(step.messages)
                _check_unknown(memory, step, unknown)
                changes = catalog.record(at, step.messages, step.folders, headers_for(unknown))
                assert changes == memory.record(at, step)
                assert catalog.record(at, (), (), {}) == changes
            else:
                moments = list(memory.points)
                kept = [moments[place] for place in step if place < len(moments)]
                assert catalog.forget(kept) == memory.forget(kept)
                numbers.forget(memory.known())
            assert catalog.recorded() == max(memory.points, default=None)
            for moment, point in memory.points.items():
                _check(catalog, memory, numbers, moment, point)
        catalog.close()


class _Numbers:
    """Public numbers as they were first seen; none may change or come back for another."""

    def __init__(self) -> None:
        self._by_name: dict[tuple[str, str], int] = {}
        self._used: set[tuple[str, int]] = set()

    def forget(self, known: set[tuple[str, str]]) -> None:
        for name in self._by_name.keys() - known:
            del self._by_name[name]

    def check(self, mailbox: str, guid: str, number: int) -> None:
        if (mailbox, guid) not in self._by_name:
            assert (mailbox, number) not in self._used
            self._by_name[mailbox, guid] = number
            self._used.add((mailbox, number))
        assert self._by_name[mailbox, guid] == number


def _check_unknown(memory: Memory, point: Point, unknown: object) -> None:
    names = [(m.mailbox, m.guid) for m in unknown]
    assert len(names) == len(set(names))
    assert set(names) == {(m.mailbox, m.guid) for m in point.messages} - memory.known()


def _check(
    catalog: SqlCatalog, memory: Memory, numbers: _Numbers, at: datetime, point: Point
) -> None:
    assert catalog.mailboxes(at) == mailboxes_of(point)
    for mailbox in MAILBOXES:
        folders = folders_of(point, mailbox)
        if not folders:
            with pytest.raises(MailboxNotFound):
                catalog.folders(mailbox, at)
            with pytest.raises(MailboxNotFound):
                catalog.messages(mailbox, at)
            continue
        assert catalog.folders(mailbox, at) == folders
        then = catalog.messages(mailbox, at)
        assert Counter(entry.message for entry in then) == messages_of(point, mailbox)
        for entry in then:
            name = (mailbox, entry.message.guid)
            assert entry.vanished_at == memory.gone_at.get(name)
            numbers.check(*name, entry.number)
        for folder in FOLDERS:
            _check_pages(catalog, at, mailbox, folder, folders, then)


def _check_pages(catalog, at, mailbox, folder, folders, then) -> None:
    if folder not in [path for path, *_ in folders]:
        with pytest.raises(FolderNotFound):
            catalog.page(mailbox, folder, at)
        return
    rows = []
    after = None
    while page := catalog.page(mailbox, folder, at, after=after, limit=2):
        rows += page
        after = page[-1][2]
    assert Counter(row[0] for row in rows) == Counter(
        entry for entry in then if entry.message.folder == folder
    )
    cursors = [cursor for _, _, cursor in rows]
    assert cursors == sorted(cursors, reverse=True)
    assert all(headers == headers_of(entry.message) for entry, headers, _ in rows)
