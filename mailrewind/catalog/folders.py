"""Folders and mailboxes over one recording: their numbers, their lives and their counts."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, and_, func, insert, literal_column, select, update

from mailrewind.catalog.comparison import Comparison
from mailrewind.catalog.flags import SEEN
from mailrewind.catalog.listing import Place
from mailrewind.catalog.numbering import Numbers
from mailrewind.catalog.schema import OPEN, folder, folder_count, folder_life, mailbox


class FolderBook:
    """What is known of all folders of a system, and what a new moment changes in it."""

    def __init__(
        self, connection: Connection, system_id: int, at: int, *, numbers: Numbers
    ) -> None:
        self._connection = connection
        self._system_id = system_id
        self._at = at
        self._numbers = numbers
        self._mailboxes: dict[str, int] = self._load_mailboxes()
        self._ids: dict[tuple[int, str], int] = {}
        self._alive: dict[int, int] = {}
        self._counts: dict[int, tuple[int, int, int]] = {}
        self._load_folders()

    def mailbox_id(self, address: str) -> int:
        """Return a mailbox's number, giving it one when it is met for the first time."""
        if address not in self._mailboxes:
            number = self._mailboxes[address] = self._numbers.take("next_mailbox")
            self._connection.execute(
                insert(mailbox).values(
                    system_id=self._system_id, id=number, address=address, next_number=1
                )
            )
        return self._mailboxes[address]

    def living(self) -> dict[int, list[int]]:
        """Return the folders that are alive, by mailbox."""
        found: dict[int, list[int]] = {}
        for folder_id, mailbox_id in self._alive.items():
            found.setdefault(mailbox_id, []).append(folder_id)
        return found

    def arrange(self, folders: Iterable[tuple[int, str]]) -> list[int]:
        """Begin the lives of new folders, end those of missing ones.

        Args:
            folders: (mailbox, path) of all folders that exist now.

        Returns:
            Their numbers, in the same order.
        """
        listed = list(folders)
        for key in listed:
            if key not in self._ids:
                self._create(*key)
        ids = [self._ids[key] for key in listed]
        born = [number for number in ids if number not in self._alive]
        ended = self._alive.keys() - set(ids)
        self._begin(born)
        self._end(sorted(ended))
        return ids

    def count(self, comparison: Comparison) -> None:
        """Write what the folders of one mailbox hold from now on."""
        counts: dict[int, tuple[int, int, int]] = {}
        for entry in comparison.closed:
            _add(counts, entry.place, -1)
        for place in comparison.opened:
            _add(counts, place, +1)
        rows = []
        for folder_id, change in counts.items():
            if change != (0, 0, 0):
                before = self._counts.get(folder_id, (0, 0, 0))
                rows.append(self._count_row(folder_id, _sum(before, change)))
        if rows:
            self._connection.execute(insert(folder_count), rows)

    def _load_mailboxes(self) -> dict[str, int]:
        rows = self._connection.execute(
            select(mailbox.c.address, mailbox.c.id).where(mailbox.c.system_id == self._system_id)
        )
        return {address: number for address, number in rows}

    def _load_folders(self) -> None:
        life, count = folder_life, folder_count
        newest = (
            select(count.c.folder_id, func.max(count.c.at).label("at"))
            .where(count.c.system_id == self._system_id)
            .group_by(count.c.folder_id)
            .subquery()
        )
        rows = self._connection.execute(
            select(
                folder.c.id,
                folder.c.mailbox_id,
                folder.c.path,
                life.c.seen_to,
                count.c.messages,
                count.c.unseen,
                count.c.bytes,
            )
            .select_from(folder)
            .outerjoin(
                life,
                and_(
                    life.c.system_id == folder.c.system_id,
                    life.c.folder_id == folder.c.id,
                    life.c.seen_to == OPEN,
                ),
            )
            .outerjoin(newest, newest.c.folder_id == folder.c.id)
            .outerjoin(
                count,
                and_(
                    count.c.system_id == folder.c.system_id,
                    count.c.folder_id == folder.c.id,
                    count.c.at == newest.c.at,
                ),
            )
            .where(folder.c.system_id == self._system_id)
        )
        for folder_id, mailbox_id, path, seen_to, messages, unseen, size in rows:
            self._ids[mailbox_id, path] = folder_id
            self._counts[folder_id] = (messages or 0, unseen or 0, size or 0)
            if seen_to is not None:
                self._alive[folder_id] = mailbox_id

    def _create(self, mailbox_id: int, path: str) -> None:
        number = self._ids[mailbox_id, path] = self._numbers.take("next_folder")
        self._connection.execute(
            insert(folder).values(
                system_id=self._system_id, id=number, mailbox_id=mailbox_id, path=path
            )
        )

    def _begin(self, born: list[int]) -> None:
        if born:
            self._connection.execute(
                insert(folder_life),
                [
                    {
                        "system_id": self._system_id,
                        "folder_id": number,
                        "seen_from": self._at,
                        "seen_to": OPEN,
                    }
                    for number in born
                ],
            )

    def _end(self, ended: list[int]) -> None:
        for number in ended:
            self._connection.execute(
                update(folder_life)
                .where(
                    folder_life.c.system_id == self._system_id,
                    folder_life.c.folder_id == number,
                    folder_life.c.seen_to == literal_column(str(OPEN)),
                )
                .values(seen_to=self._at)
            )

    def _count_row(self, folder_id: int, count: tuple[int, int, int]) -> dict[str, Any]:
        messages, unseen, size = count
        return {
            "system_id": self._system_id,
            "folder_id": folder_id,
            "at": self._at,
            "messages": messages,
            "unseen": unseen,
            "bytes": size,
        }


def _add(counts: dict[int, tuple[int, int, int]], place: Place, sign: int) -> None:
    unseen = 0 if place.flags & SEEN else 1
    change = (sign, sign * unseen, sign * place.size)
    counts[place.folder] = _sum(counts.get(place.folder, (0, 0, 0)), change)


def _sum(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2])
