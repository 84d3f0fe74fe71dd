"""A restore point's listing on its way into the catalogue.

It waits in a temporary table, ordered by mailbox, so that memory does not grow with it and the
catalogue is locked only after the caller has read the last message from its archive.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Table, select
from sqlalchemy.schema import CreateTable, DropTable

from mailrewind.model.mail import Message
from mailrewind.transports.columns import ExactText, microseconds
from mailrewind.transports.database import insert_rows

_BATCH = 2000

_listed = Table(
    "listed",
    MetaData(),
    Column("mailbox", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("folder", Integer, nullable=False),
    Column("guid", ExactText, nullable=False),
    Column("path", ExactText, nullable=False),
    Column("flags", Integer, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    prefixes=["TEMPORARY"],
    sqlite_with_rowid=False,
)


class Place(NamedTuple):
    """Where and how one copy of a message lies; ``folder`` and ``flags`` are numbers."""

    folder: int
    guid: str
    path: str
    flags: int
    received: int
    size: int


class Listing:
    """What a restore point holds.

    Attributes:
        mailboxes: Addresses, by number.
        folders: (mailbox number, path), by number.
        flags: Sets of flags, by number.
        messages: How many there are.
    """

    def __init__(self, connection: Connection) -> None:
        self.mailboxes: list[str] = []
        self.folders: list[tuple[int, str]] = []
        self.flags: list[frozenset[str]] = []
        self.messages = 0
        self._connection = connection
        self._mailbox_numbers: dict[str, int] = {}
        self._folder_numbers: dict[tuple[str, str], int] = {}
        self._flag_numbers: dict[frozenset[str], int] = {}
        connection.execute(DropTable(_listed, if_exists=True))
        connection.execute(CreateTable(_listed))

    def fill(self, messages: Iterable[Message], folders: Iterable[tuple[str, str]]) -> None:
        """Read everything, once."""
        iterator = iter(messages)
        while batch := [self._row(message) for message in itertools.islice(iterator, _BATCH)]:
            insert_rows(self._connection, _listed, batch)
        for mailbox, path in folders:
            self._folder_number(mailbox, path)

    def places(self, mailbox: int, folders: list[int], flags: list[int]) -> Iterator[Place]:
        """Yield what lies in one mailbox.

        Args:
            mailbox: Its number here.
            folders: The catalogue's number of each folder.
            flags: The catalogue's number of each set of flags.
        """
        columns = _listed.c
        rows = self._connection.execute(
            select(
                columns.folder,
                columns.guid,
                columns.path,
                columns.flags,
                columns.received,
                columns.size,
            ).where(columns.mailbox == mailbox)
        )
        for batch in rows.partitions(_BATCH):
            for folder, guid, path, flag, received, size in batch:
                yield Place(folders[folder], guid, path, flags[flag], received, size)

    def drop(self) -> None:
        """Give the space back."""
        self._connection.execute(DropTable(_listed, if_exists=True))

    def _row(self, message: Message) -> dict[str, Any]:
        number = self.messages
        self.messages += 1
        flags = self._flag_numbers.get(message.flags)
        if flags is None:
            flags = self._flag_numbers[message.flags] = len(self.flags)
            self.flags.append(message.flags)
        folder = self._folder_number(message.mailbox, message.folder)
        return {
            "mailbox": self.folders[folder][0],
            "number": number,
            "folder": folder,
            "guid": message.guid,
            "path": message.path,
            "flags": flags,
            "received": microseconds(message.received),
            "size": message.size_bytes,
        }

    def _folder_number(self, mailbox: str, path: str) -> int:
        number = self._folder_numbers.get((mailbox, path))
        if number is None:
            owner = self._mailbox_numbers.setdefault(mailbox, len(self.mailboxes))
            if owner == len(self.mailboxes):
                self.mailboxes.append(mailbox)
            number = self._folder_numbers[mailbox, path] = len(self.folders)
            self.folders.append((owner, path))
        return number
