"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "keyword_set",
        sa.Column("system_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("system_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mailbox",
        sa.Column("system_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("next_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("system_id", "id"),
        sa.UniqueConstraint("system_id", "address"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "moment",
        sa.Column("system_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("mailboxes", sa.BigInteger(), nullable=False),
        sa.Column("appeared", sa.BigInteger(), nullable=False),
        sa.Column("vanished", sa.BigInteger(), nullable=False),
        sa.Column("moved", sa.BigInteger(), nullable=False),
        sa.Column("flagged", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("system_id", "at"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "system",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("next_mailbox", sa.BigInteger(), nullable=False),
        sa.Column("next_folder", sa.BigInteger(), nullable=False),
        sa.Column("next_presence", sa.BigInteger(), nullable=False),
        sa.Column("next_keywords", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "folder",
        sa.Column("system_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mailbox_id", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["system_id", "mailbox_id"], ["mailbox.system_id", "mailbox.id"]),
        sa.PrimaryKeyConstraint("system_id", "id"),
        sa.UniqueConstraint("system_id", "mailbox_id", "path"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mailbox_day",
        sa.Column("system_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mailbox_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("appeared", sa.BigInteger(), nullable=False),
        sa.Column("vanished", sa.BigInteger(), nullable=False),
        sa.Column("moved", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["system_id", "mailbox_id"], ["mailbox.system_id", "mailbox.id"]),
        sa.PrimaryKeyConstraint("system_id", "mailbox_id", "day"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message",
        sa.Column("system_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mailbox_id", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("guid", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipients", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("attachments", sa.Text(), nullable=False),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["system_id", "mailbox_id"], ["mailbox.system_id", "mailbox.id"]),
        sa.PrimaryKeyConstraint("system_id", "id"),
        sa.UniqueConstraint("system_id", "mailbox_id", "guid"),
    )
    op.create_index(
        "message_gone",
        "message",
        [
            "system_id",
            "mailbox_id",
            sa.literal_column("gone_at DESC"),
            sa.literal_column("id DESC"),
        ],
        unique=False,
        sqlite_where=sa.text("gone_at IS NOT NULL"),
        postgresql_where=sa.text("gone_at IS NOT NULL"),
    )
    op.create_table(
        "folder_count",
        sa.Column("system_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("folder_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("unseen", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["system_id", "folder_id"], ["folder.system_id", "folder.id"]),
        sa.PrimaryKeyConstraint("system_id", "folder_id", "at"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "folder_life",
        sa.Column("system_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("folder_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seen_from", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seen_to", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["system_id", "folder_id"], ["folder.system_id", "folder.id"]),
        sa.PrimaryKeyConstraint("system_id", "folder_id", "seen_from"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "presence",
        sa.Column("system_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("mailbox_id", sa.BigInteger(), nullable=False),
        sa.Column("folder_id", sa.BigInteger(), nullable=False),
        sa.Column("sort", sa.BigInteger(), nullable=False),
        sa.Column("seen_from", sa.BigInteger(), nullable=False),
        sa.Column("seen_to", sa.BigInteger(), nullable=False),
        sa.Column("flags", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["system_id", "folder_id"], ["folder.system_id", "folder.id"]),
        sa.ForeignKeyConstraint(["system_id", "message_id"], ["message.system_id", "message.id"]),
        sa.PrimaryKeyConstraint("system_id", "id"),
    )
    op.create_index(
        "presence_gone",
        "presence",
        ["system_id", "mailbox_id", "seen_to"],
        unique=False,
        sqlite_where=sa.text("seen_to < 1099511627776"),
        postgresql_where=sa.text("seen_to < 1099511627776"),
    )
    op.create_index(
        "presence_list",
        "presence",
        [
            "system_id",
            "folder_id",
            sa.literal_column("sort DESC"),
            sa.literal_column("id DESC"),
            "seen_from",
            "seen_to",
            "message_id",
            "flags",
        ],
        unique=False,
    )
    op.create_index(
        "presence_live",
        "presence",
        [
            "system_id",
            "folder_id",
            sa.literal_column("sort DESC"),
            sa.literal_column("id DESC"),
            "seen_to",
        ],
        unique=False,
        sqlite_where=sa.text("seen_to = 1099511627776"),
        postgresql_where=sa.text("seen_to = 1099511627776"),
    )
    op.create_index(
        "presence_message", "presence", ["system_id", "message_id", "seen_from"], unique=False
    )
