"""A catalogue that simply remembers every point: slow, and easy to believe."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from mailrewind.model.mail import Headers, Message
from mailrewind.model.reports import IndexChanges

FIRST = datetime(2026, 11, 1, 23, 30, tzinfo=UTC)
MAILBOXES = ("ada@example.org", "bob@example.org", "odd\udcff\x00'\"@example.org")
FOLDERS = ("INBOX", "Projects/Harbour", "Entw\N{LATIN SMALL LETTER U WITH DIAERESIS}rfe", "Trash")
GUIDS = ("g1", "g2", "g3", "g4")
FLAGS = ("\\Seen", "\\Answered", "$label", "\\Odd")


@dataclass(frozen=True)
class Point:
    """All that one restore point holds."""

    messages: tuple[Message, ...]
    folders: frozenset[tuple[str, str]]

    @property
    def all_folders(self) -> set[tuple[str, str]]:
        return {(m.mailbox, m.folder) for m in self.messages} | self.folders


@dataclass
class Memory:
    """The points as they were recorded, and when each message was last seen to be gone."""

    points: dict[datetime, Point] = field(default_factory=dict)
    gone_at: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def record(self, at: datetime, point: Point) -> IndexChanges:
        before = next(reversed(self.points.values()), Point((), frozenset()))
        old, new = _names(before), _names(point)
        self.gone_at.update(dict.fromkeys(old - new, at))
        for name in new:
            self.gone_at.pop(name, None)
        self.points[at] = point
        stayed = old & new
        return IndexChanges(
            messages=len(point.messages),
            mailboxes=len({mailbox for mailbox, _ in point.all_folders}),
            appeared=len(new - old),
            vanished=len(old - new),
            moved=sum(_moves(before, point, name) for name in stayed),
            flagged=sum(_flagged(before, point, name) for name in stayed),
        )

    def forget(self, kept: Iterable[datetime]) -> int:
        """Keep these points and the newest one; return how many messages nobody holds now."""
        known = self.known()
        newest = max(self.points, default=None)
        stay = {*kept, newest}
        self.points = {at: point for at, point in self.points.items() if at in stay}
        dropped = known - self.known()
        for name in dropped:
            self.gone_at.pop(name, None)
        return len(dropped)

    def known(self) -> set[tuple[str, str]]:
        return {name for point in self.points.values() for name in _names(point)}


def messages_of(point: Point, mailbox: str) -> "Counter[Message]":
    return Counter(message for message in point.messages if message.mailbox == mailbox)


def folders_of(point: Point, mailbox: str) -> list[tuple[str, int, int, int]]:
    rows = []
    for path in sorted(path for owner, path in point.all_folders if owner == mailbox):
        inside = [m for m in point.messages if (m.mailbox, m.folder) == (mailbox, path)]
        unseen = sum("\\Seen" not in m.flags for m in inside)
        rows.append((path, len(inside), unseen, sum(m.size_bytes for m in inside)))
    return sorted(rows, key=lambda row: row[0] != "INBOX")


def mailboxes_of(point: Point) -> list[tuple[str, int, int]]:
    rows = []
    for mailbox in sorted({mailbox for mailbox, _ in point.all_folders}):
        inside = [m for m in point.messages if m.mailbox == mailbox]
        rows.append((mailbox, len(inside), sum(m.size_bytes for m in inside)))
    return rows


def headers_for(messages: Sequence[Message]) -> dict[tuple[str, str], Headers]:
    return {(m.mailbox, m.guid): headers_of(m) for m in messages}


def headers_of(message: Message) -> Headers:
    """Headers that a test can tell from those of every other message."""
    name = (
        f"{message.guid} of {message.mailbox}".encode("ascii", "replace")
        .decode()
        .replace("\0", "?")
    )
    return Headers(
        subject=f"Steel order {name}",
        sender="Paul <paul@example.com>",
        recipients="Ada <ada@example.org>, Bob <bob@example.org>",
        message_id=f"<{message.guid}@example.com>",
        sent=FIRST - timedelta(days=400),
        attachments=("plan.pdf", "\N{GREEK SMALL LETTER SIGMA}.txt"),
        digest=f"{len(name):032x}",
    )


def _message(mailbox: str, folder: str, guid: str, flags: frozenset[str], extra: int) -> Message:
    letters = "".join(sorted(flag.strip("\\$")[0] for flag in flags))
    return Message(
        mailbox=mailbox,
        folder=folder,
        guid=guid,
        flags=flags,
        # Now and then from the future, as mail with a wrong date is.
        received=FIRST + timedelta(days=extra * 3 - 5, microseconds=extra * 333_333 + 1),
        size_bytes=100 + extra,
        path=f"mail/{mailbox}/{folder}/cur/{guid},{extra}:2,{letters}",
    )


messages = st.builds(
    _message,
    st.sampled_from(MAILBOXES),
    st.sampled_from(FOLDERS),
    st.sampled_from(GUIDS),
    st.frozensets(st.sampled_from(FLAGS), max_size=2),
    st.integers(0, 2),
)
points = st.builds(
    Point,
    # The same message twice with the same path cannot be: a path is one file.
    st.lists(messages, max_size=12, unique_by=lambda m: m.path).map(tuple),
    st.frozensets(st.tuples(st.sampled_from(MAILBOXES), st.sampled_from(FOLDERS)), max_size=4),
)


def _names(point: Point) -> set[tuple[str, str]]:
    return {(m.mailbox, m.guid) for m in point.messages}


def _copies(point: Point, name: tuple[str, str]) -> list[Message]:
    return [m for m in point.messages if (m.mailbox, m.guid) == name]


def _moves(before: Point, after: Point, name: tuple[str, str]) -> int:
    old = Counter(m.folder for m in _copies(before, name))
    new = Counter(m.folder for m in _copies(after, name))
    return min((old - new).total(), (new - old).total())


def _flagged(before: Point, after: Point, name: tuple[str, str]) -> int:
    """Count copies that stayed in their folder and have other flags than before."""
    total = 0
    for folder in {m.folder for m in _copies(before, name)}:
        old = [m for m in _copies(before, name) if m.folder == folder]
        new = [m for m in _copies(after, name) if m.folder == folder]
        untouched = set(old) & set(new)
        old_flags = Counter(m.flags for m in old if m not in untouched)
        new_flags = Counter(m.flags for m in new if m not in untouched)
        pairs = min(old_flags.total(), new_flags.total())
        total += pairs - (old_flags & new_flags).total()
    return total
