"""Tables of the catalogue: intervals, not a row per message and archive.

Words: an interval reaches from ``seen_from``, the first recorded moment with it, to ``seen_to``,
the first one without it; ``seen_to`` is ``OPEN`` while it is in the newest one. So something was
there at a moment T if ``seen_from <= T < seen_to``. Moments are seconds since 1970.

Every key begins with ``system_id``, which is constant within one SQLite file, so that the same
tables can hold many systems in one PostgreSQL database.

Query rules, each bought with a measurement:

1. ``sort = min(received, seen_from)``. Then ``sort <= T`` follows from ``seen_from <= T``, and a
   list at T starts at T in its index.
2. A page has one bound, ``(sort, id) < (cursor)``, and the first cursor is ``(T, infinity)``.
3. Counts are kept, not counted.
4. A search is scoped by the range of message ids that its mailbox has.
5. What is gone is read from ``message``, not joined back from ``presence``.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
)

from mailrewind.transports.columns import ExactText, Hexadecimal, ShownText

HEAD = "0001"
VERSION_TABLE = "catalog_version"

OPEN = 1 << 40

metadata = MetaData()


def _system_id() -> Column[int]:
    return Column("system_id", Integer, primary_key=True, autoincrement=False)


def _id(name: str = "id") -> Column[int]:
    return Column(name, BigInteger, primary_key=True, autoincrement=False)


def _number(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _where(condition: ColumnElement[bool]) -> dict[str, Any]:
    return {"sqlite_where": condition, "postgresql_where": condition}


system = Table(
    "system",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False, unique=True),
    # Next free numbers; none is ever given twice.
    _number("next_mailbox"),
    _number("next_folder"),
    _number("next_presence"),
    _number("next_keywords"),
)

# Rows stay when a mailbox is gone: a public number is never given twice.
mailbox = Table(
    "mailbox",
    metadata,
    _system_id(),
    _id(),
    Column("address", ExactText, nullable=False),
    _number("next_number"),
    UniqueConstraint("system_id", "address"),
    sqlite_with_rowid=False,
)

folder = Table(
    "folder",
    metadata,
    _system_id(),
    _id(),
    _number("mailbox_id"),
    Column("path", ExactText, nullable=False),
    ForeignKeyConstraint(["system_id", "mailbox_id"], ["mailbox.system_id", "mailbox.id"]),
    UniqueConstraint("system_id", "mailbox_id", "path"),
    sqlite_with_rowid=False,
)

# A folder that is deleted and made again keeps its number and has two lives.
folder_life = Table(
    "folder_life",
    metadata,
    _system_id(),
    _id("folder_id"),
    _id("seen_from"),
    _number("seen_to"),
    ForeignKeyConstraint(["system_id", "folder_id"], ["folder.system_id", "folder.id"]),
    sqlite_with_rowid=False,
)

# Sets of flags beyond the six that have a bit of their own; see ``flags``.
keyword_set = Table(
    "keyword_set",
    metadata,
    _system_id(),
    _id(),
    Column("names", Text, nullable=False),
    sqlite_with_rowid=False,
)

# id = mailbox_id << 32 | n, and n is the public number within the mailbox.
message = Table(
    "message",
    metadata,
    _system_id(),
    _id(),
    _number("mailbox_id"),
    _number("n"),
    Column("guid", ExactText, nullable=False),
    Column("subject", ShownText, nullable=False),
    Column("sender", ShownText, nullable=False),
    Column("recipients", ShownText, nullable=False),
    Column("message_id", ShownText, nullable=False),
    Column("digest", Hexadecimal, nullable=False),
    _number("sent", nullable=True),
    _number("received"),
    _number("size"),
    Column("attachments", Text, nullable=False),
    # First moment at which it lay in no folder any more.
    _number("gone_at", nullable=True),
    ForeignKeyConstraint(["system_id", "mailbox_id"], ["mailbox.system_id", "mailbox.id"]),
    UniqueConstraint("system_id", "mailbox_id", "guid"),
)
IS_GONE = message.c.gone_at.is_not(None)
Index(
    "message_gone",
    message.c.system_id,
    message.c.mailbox_id,
    message.c.gone_at.desc(),
    message.c.id.desc(),
    **_where(IS_GONE),
)

# One message in one folder with one path and one set of flags, over one interval.
presence = Table(
    "presence",
    metadata,
    _system_id(),
    _id(),
    _number("message_id"),
    _number("mailbox_id"),
    _number("folder_id"),
    _number("sort"),
    _number("seen_from"),
    _number("seen_to"),
    _number("flags"),
    Column("path", ExactText, nullable=False),
    # INTERNALDATE in microseconds.
    _number("received"),
    _number("size"),
    ForeignKeyConstraint(["system_id", "folder_id"], ["folder.system_id", "folder.id"]),
    ForeignKeyConstraint(["system_id", "message_id"], ["message.system_id", "message.id"]),
)
# Written out in the SQL text: with a bound value SQLite would not use the partial indexes.
IS_OPEN = presence.c.seen_to == literal_column(str(OPEN))
IS_CLOSED = presence.c.seen_to < literal_column(str(OPEN))
Index(
    "presence_list",
    presence.c.system_id,
    presence.c.folder_id,
    presence.c.sort.desc(),
    presence.c.id.desc(),
    presence.c.seen_from,
    presence.c.seen_to,
    presence.c.message_id,
    presence.c.flags,
)
Index(
    "presence_live",
    presence.c.system_id,
    presence.c.folder_id,
    presence.c.sort.desc(),
    presence.c.id.desc(),
    # Always the same, but without it the index would not cover a list of now, and SQLite would
    # take ``presence_list`` and walk over everything that has ever been in the folder.
    presence.c.seen_to,
    **_where(IS_OPEN),
)
Index(
    "presence_gone",
    presence.c.system_id,
    presence.c.mailbox_id,
    presence.c.seen_to,
    **_where(IS_CLOSED),
)
Index(
    "presence_message",
    presence.c.system_id,
    presence.c.message_id,
    presence.c.seen_from,
)

# One row per change: what a folder held from this moment on.
folder_count = Table(
    "folder_count",
    metadata,
    _system_id(),
    _id("folder_id"),
    _id("at"),
    _number("messages"),
    _number("unseen"),
    _number("bytes"),
    ForeignKeyConstraint(["system_id", "folder_id"], ["folder.system_id", "folder.id"]),
    sqlite_with_rowid=False,
)

# Days since 1970, UTC.
mailbox_day = Table(
    "mailbox_day",
    metadata,
    _system_id(),
    _id("mailbox_id"),
    _id("day"),
    _number("appeared"),
    _number("vanished"),
    _number("moved"),
    ForeignKeyConstraint(["system_id", "mailbox_id"], ["mailbox.system_id", "mailbox.id"]),
    sqlite_with_rowid=False,
)

# The recorded moments, with what each one changed.
moment = Table(
    "moment",
    metadata,
    _system_id(),
    _id("at"),
    _number("messages"),
    _number("mailboxes"),
    _number("appeared"),
    _number("vanished"),
    _number("moved"),
    _number("flagged"),
    sqlite_with_rowid=False,
)
