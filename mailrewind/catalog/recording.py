"""Write a restore point into the catalogue: only what has changed since the one before."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from mailrewind.catalog.comparison import Comparison, Standing, compare
from mailrewind.catalog.flags import FlagSets
from mailrewind.catalog.folders import FolderBook
from mailrewind.catalog.listing import Listing, Place
from mailrewind.catalog.numbering import Numbers
from mailrewind.catalog.schema import IS_OPEN, OPEN, mailbox, mailbox_day, message, moment, presence
from mailrewind.model.mail import Headers
from mailrewind.model.reports import IndexChanges
from mailrewind.transports.columns import seconds
from mailrewind.transports.database import insert_rows

HeadersByGuid = Mapping[tuple[str, str], Headers]

_MICROSECONDS = 1_000_000
_DAY_SECONDS = 86_400
_BATCH = 2000
_NUMBER_BITS = 32
_UNREAD = Headers("", "", "", "", None, (), "")


class Recording:
    """One moment on its way into the catalogue, inside one writing transaction."""

    def __init__(
        self,
        connection: Connection,
        system_id: int,
        at: int,
        *,
        headers: HeadersByGuid,
        flags: FlagSets,
    ) -> None:
        self._connection = connection
        self._system_id = system_id
        self._at = at
        self._headers = headers
        self._flags = flags
        self._numbers = Numbers(connection, system_id)
        self._folders = FolderBook(connection, system_id, at, numbers=self._numbers)

    def run(self, listing: Listing) -> IndexChanges:
        """Record a listing, mailbox by mailbox."""
        flags = self._flags.encode(self._connection, listing.flags, self._numbers)
        mailbox_ids = [self._folders.mailbox_id(address) for address in listing.mailboxes]
        lived = self._folders.living()
        folder_ids = self._folders.arrange(
            (mailbox_ids[owner], path) for owner, path in listing.folders
        )
        totals = Totals()
        for number, address in enumerate(listing.mailboxes):
            standing = self._standing(lived.pop(mailbox_ids[number], []))
            changes = compare(standing, listing.places(number, folder_ids, flags))
            self._apply(mailbox_ids[number], address, changes, totals)
        for mailbox_id, folder_ids in lived.items():  # mailboxes of which nothing is left
            self._apply(mailbox_id, "", compare(self._standing(folder_ids), ()), totals)
        self._numbers.save()
        return self._conclude(listing, totals)

    def _standing(self, folder_ids: list[int]) -> Iterator[Standing]:
        if not folder_ids:
            return
        rows = self._connection.execute(
            select(
                presence.c.id,
                presence.c.message_id,
                presence.c.folder_id,
                message.c.guid,
                presence.c.path,
                presence.c.flags,
                presence.c.received,
                presence.c.size,
            )
            .join(
                message,
                (message.c.system_id == presence.c.system_id)
                & (message.c.id == presence.c.message_id),
            )
            .where(
                presence.c.system_id == self._system_id,
                presence.c.folder_id.in_(folder_ids),
                IS_OPEN,
            )
        )
        for batch in rows.partitions(_BATCH):
            for number, message_id, *place in batch:
                yield Standing(number, message_id, Place(*place))

    def _apply(self, mailbox_id: int, address: str, changes: Comparison, totals: "Totals") -> None:
        if not changes.closed and not changes.opened:
            return
        self._name_messages(mailbox_id, address, changes)
        self._close(changes)
        self._open(mailbox_id, changes)
        self._folders.count(changes)
        self._note_day(mailbox_id, changes)
        totals.add(changes)

    def _name_messages(self, mailbox_id: int, address: str, changes: Comparison) -> None:
        """Find or make the message of each GUID that appeared, and mark those that vanished."""
        returned = self._known(mailbox_id, changes.appeared)
        changes.message_ids.update(returned)
        self._mark_gone(list(returned.values()), None)
        self._mark_gone(changes.vanished, self._at)
        fresh: dict[str, Place] = {}
        for place in sorted(changes.opened, key=lambda place: (place.received, place.path)):
            if place.guid not in changes.message_ids:
                fresh.setdefault(place.guid, place)
        if fresh:
            self._create(mailbox_id, address, fresh, changes)

    def _known(self, mailbox_id: int, guids: list[str]) -> dict[str, int]:
        return known_guids(self._connection, self._system_id, mailbox_id, guids)

    def _mark_gone(self, message_ids: list[int], at: int | None) -> None:
        if message_ids:
            self._connection.execute(
                update(message)
                .where(message.c.system_id == self._system_id, message.c.id == bindparam("number"))
                .values(gone_at=at),
                [{"number": number} for number in message_ids],
            )

    def _create(
        self, mailbox_id: int, address: str, fresh: dict[str, Place], changes: Comparison
    ) -> None:
        key = (mailbox.c.system_id == self._system_id, mailbox.c.id == mailbox_id)
        n = self._connection.execute(select(mailbox.c.next_number).where(*key)).scalar_one()
        rows = []
        for n, (guid, place) in enumerate(fresh.items(), n):  # noqa: B020  # goes on from n
            number = mailbox_id << _NUMBER_BITS | n
            changes.message_ids[guid] = number
            headers = self._headers.get((address, guid), _UNREAD)
            rows.append(self._message_row(number, mailbox_id, n, place) | _header_columns(headers))
        insert_rows(self._connection, message, rows)
        self._connection.execute(update(mailbox).where(*key).values(next_number=n + 1))

    def _message_row(self, number: int, mailbox_id: int, n: int, place: Place) -> dict[str, Any]:
        return {
            "system_id": self._system_id,
            "id": number,
            "mailbox_id": mailbox_id,
            "n": n,
            "guid": place.guid,
            "received": place.received // _MICROSECONDS,
            "size": place.size,
            "gone_at": None,
        }

    def _close(self, changes: Comparison) -> None:
        if changes.closed:
            self._connection.execute(
                update(presence)
                .where(
                    presence.c.system_id == self._system_id, presence.c.id == bindparam("number")
                )
                .values(seen_to=self._at),
                [{"number": entry.id} for entry in changes.closed],
            )

    def _open(self, mailbox_id: int, changes: Comparison) -> None:
        rows = []
        for place in sorted(changes.opened, key=lambda place: (place.received, place.path)):
            rows.append(
                {
                    "system_id": self._system_id,
                    "id": self._numbers.take("next_presence"),
                    "message_id": changes.message_ids[place.guid],
                    "mailbox_id": mailbox_id,
                    "folder_id": place.folder,
                    "sort": min(place.received // _MICROSECONDS, self._at),
                    "seen_from": self._at,
                    "seen_to": OPEN,
                    "flags": place.flags,
                    "path": place.path,
                    "received": place.received,
                    "size": place.size,
                }
            )
        insert_rows(self._connection, presence, rows)

    def _note_day(self, mailbox_id: int, changes: Comparison) -> None:
        counts = {
            "appeared": len(changes.appeared),
            "vanished": len(changes.vanished),
            "moved": changes.moved,
        }
        if not any(counts.values()):
            return
        key = {
            "system_id": self._system_id,
            "mailbox_id": mailbox_id,
            "day": self._at // _DAY_SECONDS,
        }
        same = [mailbox_day.c[name] == value for name, value in key.items()]
        sums = {name: mailbox_day.c[name] + value for name, value in counts.items()}
        if not self._connection.execute(update(mailbox_day).where(*same).values(sums)).rowcount:
            self._connection.execute(insert(mailbox_day).values(key | counts))

    def _conclude(self, listing: Listing, totals: "Totals") -> IndexChanges:
        changes = IndexChanges(
            messages=listing.messages,
            mailboxes=len(listing.mailboxes),
            appeared=totals.appeared,
            vanished=totals.vanished,
            moved=totals.moved,
            flagged=totals.flagged,
        )
        self._connection.execute(
            insert(moment).values(
                system_id=self._system_id,
                at=self._at,
                messages=changes.messages,
                mailboxes=changes.mailboxes,
                appeared=changes.appeared,
                vanished=changes.vanished,
                moved=changes.moved,
                flagged=changes.flagged,
            )
        )
        return changes


class Totals:
    """Sums over all mailboxes."""

    def __init__(self) -> None:
        self.appeared = self.vanished = self.moved = self.flagged = 0

    def add(self, changes: Comparison) -> None:
        """Add one mailbox."""
        self.appeared += len(changes.appeared)
        self.vanished += len(changes.vanished)
        self.moved += changes.moved
        self.flagged += changes.flagged


def known_guids(
    connection: Connection, system_id: int, mailbox_id: int, guids: list[str]
) -> dict[str, int]:
    """Return the messages that a mailbox has or had, by GUID."""
    found: dict[str, int] = {}
    for start in range(0, len(guids), 500):
        rows = connection.execute(
            select(message.c.guid, message.c.id).where(
                message.c.system_id == system_id,
                message.c.mailbox_id == mailbox_id,
                message.c.guid.in_(guids[start : start + 500]),
            )
        )
        found |= {guid: number for guid, number in rows}
    return found


def _header_columns(headers: Headers) -> dict[str, Any]:
    return {
        "subject": headers.subject,
        "sender": headers.sender,
        "recipients": headers.recipients,
        "message_id": headers.message_id,
        "digest": headers.digest,
        "sent": None if headers.sent is None else seconds(headers.sent),
        "attachments": json.dumps(headers.attachments),
    }
