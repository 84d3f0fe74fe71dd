"""Look at a mailbox as it was at a moment."""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)

from mailrewind.catalog.flags import FlagSets
from mailrewind.catalog.schema import (
    OPEN,
    folder,
    folder_count,
    folder_life,
    mailbox,
    message,
    moment,
    presence,
)
from mailrewind.model.mail import Headers, Message
from mailrewind.model.restores import Then
from mailrewind.transports.columns import from_microseconds, from_seconds

_INFINITY = (1 << 63) - 1
Cursor = tuple[int, int]


def newest_moment(connection: Connection, system_id: int) -> int | None:
    """Return the newest recorded moment, or None."""
    return connection.execute(
        select(func.max(moment.c.at)).where(moment.c.system_id == system_id)
    ).scalar()


def mailboxes_at(connection: Connection, system_id: int, at: int) -> Iterator[tuple[str, int, int]]:
    """Yield (address, messages, bytes) of each mailbox that has a folder, in any order."""
    count = folder_count.c
    rows = connection.execute(
        _folders_with_counts(system_id, at)
        .join(
            mailbox,
            and_(mailbox.c.system_id == folder.c.system_id, mailbox.c.id == folder.c.mailbox_id),
        )
        .with_only_columns(mailbox.c.address, func.sum(count.messages), func.sum(count.bytes))
        .group_by(mailbox.c.id, mailbox.c.address)
    )
    for address, messages, size in rows:
        yield address, int(messages or 0), int(size or 0)


def folders_at(
    connection: Connection, system_id: int, address: str, at: int
) -> dict[str, tuple[int, int, int, int]]:
    """Return (id, messages, unseen, bytes) of each folder of a mailbox, by path."""
    count = folder_count.c
    rows = connection.execute(
        _folders_with_counts(system_id, at)
        .with_only_columns(folder.c.path, folder.c.id, count.messages, count.unseen, count.bytes)
        .where(folder.c.mailbox_id == _mailbox_id(system_id, address))
    )
    return {
        path: (number, messages or 0, unseen or 0, size or 0)
        for path, number, messages, unseen, size in rows
    }


def messages_at(
    connection: Connection,
    system_id: int,
    address: str,
    at: int,
    *,
    folders: dict[int, str],
    flags: FlagSets,
) -> list[Then]:
    """Return what lies in some folders of one mailbox, oldest number first."""
    newest = newest_moment(connection, system_id)
    rows = connection.execute(
        select(*_THEN_COLUMNS)
        .join(message, _OF_MESSAGE)
        .where(
            presence.c.system_id == system_id,
            presence.c.folder_id.in_(list(folders)),
            *_standing(presence, is_now=newest is not None and at >= newest),
        )
        .order_by(presence.c.message_id, presence.c.id),
        {"at": at},
    )
    return [_then(row, address, folders[row.folder_id], flags, connection) for row in rows]


def folder_at(
    connection: Connection, system_id: int, address: str, path: str, at: int
) -> int | None:
    """Return a folder's number, or None if it was not there."""
    values = {"system": system_id, "address": address, "path": path, "at": at}
    return connection.execute(_folder_query(), values).scalar()


def page_at(
    connection: Connection,
    system_id: int,
    folder_id: int,
    at: int,
    *,
    after: Cursor | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Return one page of a folder's rows, newest first."""
    newest = newest_moment(connection, system_id)
    sort, number = after if after is not None else (at, _INFINITY)
    values = {
        "system": system_id,
        "folder": folder_id,
        "at": at,
        "after_sort": sort,
        "after_id": number,
        "limit": limit,
    }
    query = page_query(is_now=newest is not None and at >= newest)
    return connection.execute(query, values).all()


@cache
def page_query(*, is_now: bool) -> Select[Any]:
    """Build the query of a page.

    The inner query touches nothing but its index, however many rows it must pass over that came
    or went at other times; the outer one looks up what the page shows.

    Args:
        is_now: Whether the moment is the newest one, for which there is an index of its own.
    """
    row = presence.alias("row")
    found = (
        select(row.c.id, row.c.sort)
        .where(
            row.c.system_id == bindparam("system"),
            row.c.folder_id == bindparam("folder"),
            tuple_(row.c.sort, row.c.id) < tuple_(bindparam("after_sort"), bindparam("after_id")),
            *_standing(row, is_now=is_now),
        )
        .order_by(row.c.sort.desc(), row.c.id.desc())
        .limit(bindparam("limit"))
        .subquery("found")
    )
    return (
        select(*_THEN_COLUMNS, *_HEADER_COLUMNS)
        .select_from(found)
        .join(
            presence,
            and_(presence.c.system_id == bindparam("system"), presence.c.id == found.c.id),
        )
        .join(message, _OF_MESSAGE)
        .order_by(found.c.sort.desc(), found.c.id.desc())
    )


def as_page(
    rows: Sequence[Row[Any]],
    address: str,
    path: str,
    *,
    flags: FlagSets,
    connection: Connection,
) -> list[tuple[Then, Headers, Cursor]]:
    """Read the rows of a page, each with its cursor."""
    return [
        (_then(row, address, path, flags, connection), _headers(row), (row.sort, row.id))
        for row in rows
    ]


_OF_MESSAGE = and_(
    message.c.system_id == presence.c.system_id, message.c.id == presence.c.message_id
)
_THEN_COLUMNS = (
    presence.c.id,
    presence.c.sort,
    presence.c.folder_id,
    presence.c.flags,
    presence.c.path,
    presence.c.received,
    presence.c.size,
    message.c.n,
    message.c.guid,
    message.c.gone_at,
)
_HEADER_COLUMNS = (
    message.c.subject,
    message.c.sender,
    message.c.recipients,
    message.c.message_id,
    message.c.sent,
    message.c.attachments,
    message.c.digest,
)


def _mailbox_id(system_id: int, address: str) -> Any:
    return (
        select(mailbox.c.id)
        .where(mailbox.c.system_id == system_id, mailbox.c.address == address)
        .scalar_subquery()
    )


def _folders_with_counts(system_id: int, at: int) -> Select[Any]:
    """Join each folder that is alive with its last count; one without a count has none."""
    count, earlier = folder_count, folder_count.alias("earlier")
    last = (
        select(func.max(earlier.c.at))
        .where(
            earlier.c.system_id == folder.c.system_id,
            earlier.c.folder_id == folder.c.id,
            earlier.c.at <= at,
        )
        .scalar_subquery()
    )
    return (
        select(folder.c.id)
        .select_from(folder)
        .join(
            folder_life,
            and_(
                folder_life.c.system_id == folder.c.system_id,
                folder_life.c.folder_id == folder.c.id,
                folder_life.c.seen_from <= at,
                folder_life.c.seen_to > at,
            ),
        )
        .outerjoin(
            count,
            and_(
                count.c.system_id == folder.c.system_id,
                count.c.folder_id == folder.c.id,
                count.c.at == last,
            ),
        )
        .where(folder.c.system_id == system_id)
    )


def _standing(rows: FromClause, *, is_now: bool) -> list[ColumnElement[bool]]:
    """Whether an interval holds the moment ``at``."""
    if is_now:
        return [rows.c.seen_to == literal_column(str(OPEN))]
    at = bindparam("at", type_=BigInteger)
    return [rows.c.seen_from <= at, rows.c.seen_to > at]


@cache
def _folder_query() -> Select[Any]:
    at = bindparam("at", type_=BigInteger)
    return (
        select(folder.c.id)
        .join(
            mailbox,
            and_(mailbox.c.system_id == folder.c.system_id, mailbox.c.id == folder.c.mailbox_id),
        )
        .join(
            folder_life,
            and_(
                folder_life.c.system_id == folder.c.system_id,
                folder_life.c.folder_id == folder.c.id,
            ),
        )
        .where(
            mailbox.c.system_id == bindparam("system"),
            mailbox.c.address == bindparam("address"),
            folder.c.path == bindparam("path"),
            folder_life.c.seen_from <= at,
            folder_life.c.seen_to > at,
        )
    )


def _then(row: Row[Any], address: str, path: str, flags: FlagSets, connection: Connection) -> Then:
    return Then(
        number=row.n,
        message=Message(
            mailbox=address,
            folder=path,
            guid=row.guid,
            flags=flags.decode(connection, row.flags),
            received=from_microseconds(row.received),
            size_bytes=row.size,
            path=row.path,
        ),
        vanished_at=None if row.gone_at is None else from_seconds(row.gone_at),
    )


def _headers(row: Row[Any]) -> Headers:
    return Headers(
        subject=row.subject,
        sender=row.sender,
        recipients=row.recipients,
        message_id=row.message_id,
        sent=None if row.sent is None else from_seconds(row.sent),
        attachments=tuple(json.loads(row.attachments)),
        digest=row.digest,
    )
