"""The catalogue of one system in a database of ours."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, select

from mailrewind.catalog import queries
from mailrewind.catalog.flags import FlagSets
from mailrewind.catalog.forgetting import forget
from mailrewind.catalog.listing import Listing
from mailrewind.catalog.numbering import system_id_of
from mailrewind.catalog.recording import Recording, known_guids
from mailrewind.catalog.schema import HEAD, VERSION_TABLE, mailbox, moment
from mailrewind.errors import FolderNotFound, MailboxNotFound, RecordsError
from mailrewind.model.mail import Headers, Message
from mailrewind.model.reports import IndexChanges
from mailrewind.model.restores import Then
from mailrewind.transports.columns import from_seconds, seconds
from mailrewind.transports.database import Database, Records

logger = logging.getLogger(__name__)

_MIGRATIONS = Path(__file__).parent / "migrations"


class SqlCatalog:
    """Which message of a system was where, from when to when; the contract is ``ports.Catalog``.

    Any moment may be asked for: what is shown is the newest recorded one at or before it.
    """

    def __init__(
        self,
        place: Path | str,
        system: str,
        *,
        busy_timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        """Open a catalogue, which is created where there is none.

        Args:
            place: A file of this system's own, or the URL of a database that many may share.
            system: Name of the system.
            busy_timeout: How long to wait for another writer.

        Raises:
            RecordsOutdated: A newer version wrote it.
            RecordsUnreadable: It is damaged, of another system, or something else.
            RecordsBusy, RecordsFull: By kind.
        """
        self._system = system
        records = Records(
            what=f"the catalogue of {system}",
            migrations=_MIGRATIONS,
            head=HEAD,
            version_table=VERSION_TABLE,
            is_derived=True,
        )
        self._database = Database(place, records, busy_timeout=busy_timeout)
        with self._database.write() as connection:
            is_alone = self._database.dialect == "sqlite"
            self._id = system_id_of(connection, system, is_alone=is_alone)
        self._flags = FlagSets(self._id)

    def close(self) -> None:
        """Close the database; it also closes by itself."""
        self._database.close()

    def recorded(self) -> datetime | None:
        """Return the moment of the newest recorded point, or None."""
        with self._database.read() as connection:
            newest = queries.newest_moment(connection, self._id)
        return None if newest is None else from_seconds(newest)

    def unknown(self, messages: Iterable[Message]) -> Sequence[Message]:
        """Return those whose GUID the catalogue has not met in their mailbox, one per GUID."""
        met: dict[str, dict[str, Message]] = defaultdict(dict)
        for message in messages:
            met[message.mailbox].setdefault(message.guid, message)
        with self._database.read() as connection:
            for address, by_guid in met.items():
                for guid in self._known(connection, address, list(by_guid)):
                    del by_guid[guid]
        return [message for by_guid in met.values() for message in by_guid.values()]

    def record(
        self,
        at: datetime,
        messages: Iterable[Message],
        folders: Iterable[tuple[str, str]],
        headers: Mapping[tuple[str, str], Headers],
    ) -> IndexChanges:
        """Record everything that a restore point holds, in one transaction.

        Args:
            at: The point's moment; must be newer than every recorded one.
            messages: All of them, read once before anything is locked.
            folders: (mailbox, folder) of all folders, empty ones included.
            headers: By (mailbox, GUID), for what ``unknown`` returned.

        Raises:
            RecordsBusy: Another process is writing.
            RecordsFull: The disk is full; nothing was recorded.
            RecordsError: A newer point has been recorded already.
        """
        moment_at = seconds(at)
        with self._database.connect() as connection:
            with self._database.reading(connection):
                if done := self._changes_of(connection, moment_at):
                    return done
                listing = Listing(connection)
                listing.fill(messages, folders)
            with self._database.writing(connection):
                changes = self._changes_of(connection, moment_at)
                if changes is None:
                    recording = Recording(
                        connection, self._id, moment_at, headers=headers, flags=self._flags
                    )
                    changes = recording.run(listing)
                listing.drop()
        logger.info("%s: catalogue stands at %s: %s", self._system, at, changes)
        return changes

    def forget(self, kept: Sequence[datetime]) -> int:
        """Drop messages that none of the kept points holds; return how many went.

        The newest recorded point counts as kept: the next one is compared with it.
        """
        with self._database.write() as connection:
            return forget(connection, self._id, map(seconds, kept))

    def mailboxes(self, at: datetime) -> Sequence[tuple[str, int, int]]:
        """Return (address, messages, bytes) as of a point, sorted by address."""
        with self._database.read() as connection:
            return sorted(queries.mailboxes_at(connection, self._id, seconds(at)))

    def folders(self, mailbox: str, at: datetime) -> Sequence[tuple[str, int, int, int]]:
        """Return (path, messages, unseen, bytes) as of a point, INBOX first, then sorted.

        Raises:
            MailboxNotFound: The mailbox did not exist at that point.
        """
        with self._database.read() as connection:
            found = self._folders_of(connection, mailbox, at)
        ordered = sorted(found.items(), key=lambda item: (item[0] != "INBOX", item[0]))
        return [(path, *counts) for path, (_, *counts) in ordered]  # type: ignore[misc]  # mypy forgets the length of what is starred

    def messages(self, mailbox: str, at: datetime) -> Sequence[Then]:
        """Return every message of a mailbox as of a point, in all folders, by number.

        Raises:
            MailboxNotFound: The mailbox did not exist at that point.
        """
        with self._database.read() as connection:
            found = self._folders_of(connection, mailbox, at)
            return queries.messages_at(
                connection,
                self._id,
                mailbox,
                seconds(at),
                folders={number: path for path, (number, *_) in found.items()},
                flags=self._flags,
            )

    def page(
        self,
        mailbox: str,
        folder: str,
        at: datetime,
        *,
        after: tuple[int, int] | None = None,
        limit: int = 50,
    ) -> Sequence[tuple[Then, Headers, tuple[int, int]]]:
        """Return one page of a folder's list, newest first, with each row's cursor.

        Raises:
            MailboxNotFound: The mailbox did not exist at that point.
            FolderNotFound: The folder did not exist at that point.
        """
        with self._database.read() as connection:
            number = queries.folder_at(connection, self._id, mailbox, folder, seconds(at))
            if number is None:
                self._folders_of(connection, mailbox, at)
                raise FolderNotFound(
                    f"The mailbox {mailbox} had no folder {folder} at {at:%Y-%m-%d %H:%M %Z}"
                )
            rows = queries.page_at(
                connection, self._id, number, seconds(at), after=after, limit=limit
            )
            return queries.as_page(rows, mailbox, folder, flags=self._flags, connection=connection)

    def _known(self, connection: Connection, address: str, guids: list[str]) -> Iterable[str]:
        owner = connection.execute(
            select(mailbox.c.id).where(
                mailbox.c.system_id == self._id, mailbox.c.address == address
            )
        ).scalar()
        return () if owner is None else known_guids(connection, self._id, owner, guids)

    def _changes_of(self, connection: Connection, at: int) -> IndexChanges | None:
        """Return what an already recorded moment changed, None where it can be recorded."""
        newest = queries.newest_moment(connection, self._id)
        if newest is None or at > newest:
            return None
        row = connection.execute(
            select(moment).where(moment.c.system_id == self._id, moment.c.at == at)
        ).one_or_none()
        if row is None:
            raise RecordsError(
                f"the catalogue of {self._system} has reached {from_seconds(newest):%F %T} and "
                f"cannot go back to {from_seconds(at):%F %T}",
                advice="Check the clock; moving the file away has the catalogue built anew.",
            )
        return IndexChanges(
            messages=row.messages,
            mailboxes=row.mailboxes,
            appeared=row.appeared,
            vanished=row.vanished,
            moved=row.moved,
            flagged=row.flagged,
        )

    def _folders_of(
        self, connection: Connection, mailbox: str, at: datetime
    ) -> dict[str, tuple[int, int, int, int]]:
        found = queries.folders_at(connection, self._id, mailbox, seconds(at))
        if not found:
            raise MailboxNotFound(
                f"The system {self._system} had no mailbox {mailbox} at {at:%Y-%m-%d %H:%M %Z}"
            )
        return found
