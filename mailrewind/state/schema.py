"""Tables of the state: one database for all systems.

What is looked for stands in columns; what only travels as a whole (plans, reports) is a document.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from mailrewind.transports.columns import ExactText, Instant

HEAD = "0002"
VERSION_TABLE = "state_version"

metadata = MetaData()


def _process_columns() -> list[Column[Any]]:
    """Evidence of who does it, and when it was last heard of."""
    return [
        Column("host", String, nullable=False),
        Column("pid", BigInteger, nullable=False),
        Column("boot_id", String, nullable=False),
        Column("started", BigInteger, nullable=False),
        Column("renewed", Instant, nullable=False),
    ]


restore_point = Table(
    "restore_point",
    metadata,
    Column("name", String, primary_key=True),
    Column("system", String, nullable=False),
    Column("repository", String, nullable=False),
    Column("taken_at", Instant, nullable=False),
    Column("status", String, nullable=False),
    Column("ended_at", Instant),
    *_process_columns(),
)
Index("restore_point_list", restore_point.c.system, restore_point.c.taken_at)

restore_point_part = Table(
    "restore_point_part",
    metadata,
    Column("point", String, ForeignKey("restore_point.name"), primary_key=True),
    Column("part", String, primary_key=True),
    Column("position", Integer, nullable=False),
)

backup_report = Table(
    "backup_report",
    metadata,
    Column("point", String, primary_key=True),
    Column("system", String, nullable=False),
    Column("taken_at", Instant, nullable=False),
    Column("document", Text, nullable=False),
)
Index("backup_report_list", backup_report.c.system, backup_report.c.taken_at)

plan = Table(
    "plan",
    metadata,
    Column("id", String, primary_key=True),
    Column("system", String, nullable=False),
    Column("mailbox", ExactText, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("document", Text, nullable=False),
)

restore_report = Table(
    "restore_report",
    metadata,
    Column("id", String, primary_key=True),
    Column("system", String, nullable=False),
    Column("mailbox", ExactText, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("document", Text, nullable=False),
)
Index("restore_report_list", restore_report.c.started_at)

operation_plan = Table(
    "operation_plan",
    metadata,
    Column("id", String, primary_key=True),
    Column("system", String, nullable=False),
    Column("target", ExactText, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("document", Text, nullable=False),
)

operation_report = Table(
    "operation_report",
    metadata,
    Column("id", String, primary_key=True),
    Column("system", String, nullable=False),
    Column("target", ExactText, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("document", Text, nullable=False),
)
Index("operation_report_list", operation_report.c.started_at)

lease = Table(
    "lease",
    metadata,
    Column("system", String, primary_key=True),
    Column("mailbox", ExactText, primary_key=True),
    Column("holder", ExactText, nullable=False),
    Column("since", Instant, nullable=False),
    # New with every taking, so that nobody renews or releases what somebody else holds.
    Column("token", String, nullable=False),
    *_process_columns(),
)

# The migration adds triggers that refuse to change or delete a line.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("who", ExactText, nullable=False),
    Column("action", String, nullable=False),
    Column("system", String, nullable=False),
    Column("mailbox", ExactText, nullable=False),
    Column("text", ExactText, nullable=False),
)

alarm = Table(
    "alarm",
    metadata,
    Column("key", String, primary_key=True),
    Column("text", ExactText, nullable=False),
    Column("since", Instant, nullable=False),
)
