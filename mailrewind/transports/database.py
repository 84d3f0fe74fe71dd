"""Our databases: opened, brought up to date, and their errors told in our own words.

SQLite by default: one file of mode 0600, write-ahead log, one writer at a time that readers do not
notice. On PostgreSQL writers of the same records wait for each other in the same way, by an
advisory lock, so that what is written above this module needs to be right only once.
"""

import errno
import os
import sqlite3
import threading
import time
import weakref
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, inspect, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from mailrewind.errors import (
    RecordsBusy,
    RecordsError,
    RecordsFull,
    RecordsOutdated,
    RecordsUnreadable,
)

_BUSY_TIMEOUT = timedelta(seconds=30)
_WAL_TICK_SECONDS = 0.02
_BATCH = 2000
_WRITES = "mailrewind_writes"
# Alembic keeps the running migration in module globals.
_MIGRATING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Records:
    """One kind of database.

    Attributes:
        what: What its errors call it, such as "the catalogue of office".
        migrations: Directory of its Alembic scripts, which holds ``versions``.
        head: Newest revision there.
        version_table: Where its revision is written; one name per kind, so that several kinds
            can lie in one PostgreSQL database.
        is_derived: Whether losing the last changes in a power cut does no harm, because they are
            made again; then SQLite need not wait for the disk each time.
    """

    what: str
    migrations: Path
    head: str
    version_table: str
    is_derived: bool


class Database:
    """An open database whose schema is the one that this version knows.

    Attributes:
        dialect: "sqlite" or "postgresql".
    """

    def __init__(
        self, place: Path | str, records: Records, *, busy_timeout: timedelta = _BUSY_TIMEOUT
    ) -> None:
        """Open a file, which is created where it is missing, or a URL.

        Raises:
            RecordsOutdated: A newer version wrote it.
            RecordsError: It cannot be opened, by kind.
        """
        self._records = records
        with self._translated():
            self._engine = _engine(place, busy_timeout, records)
        self.dialect = self._engine.dialect.name
        self.close = weakref.finalize(self, self._engine.dispose)
        self._migrate()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Lend a connection, on which ``reading`` and ``writing`` blocks may follow each other."""
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """See one unchanging state of everything."""
        with self.connect() as connection, self.reading(connection):
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Change something wholly or not at all, with no other writer at the same time."""
        with self.connect() as connection, self.writing(connection):
            yield connection

    @contextmanager
    def reading(self, connection: Connection) -> Iterator[None]:
        """As ``read``, on a connection that was lent."""
        connection.execution_options(**{_WRITES: False})
        with connection.begin():
            yield

    @contextmanager
    def writing(self, connection: Connection) -> Iterator[None]:
        """As ``write``, on a connection that was lent."""
        connection.execution_options(**{_WRITES: True})
        with connection.begin():
            if self.dialect == "postgresql":
                key = zlib.crc32(self._records.what.encode())
                connection.execute(select(func.pg_advisory_xact_lock(key)))
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise _records_error(error.orig or error, self._records.what) from error
        except sqlite3.Error as error:  # of a connection that could not be made
            raise _records_error(error, self._records.what) from error
        except SQLAlchemyError as error:
            raise RecordsUnreadable(f"{self._records.what} cannot be used: {error}") from error

    def _migrate(self) -> None:
        with self.read() as connection:
            if self._revision(connection) == self._records.head:
                return
        with _MIGRATING, self.write() as connection:
            revision = self._revision(connection)
            if revision != self._records.head:
                _upgrade(connection, self._records, revision)

    def _revision(self, connection: Connection) -> str | None:
        table = self._records.version_table
        names = inspect(connection).get_table_names()
        if table in names:
            return connection.exec_driver_sql(f"SELECT version_num FROM {table}").scalar()
        if names and self.dialect == "sqlite":
            raise RecordsUnreadable(f"{self._records.what} is not in this file: it is not ours")
        return None


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many rows, each with all columns of the table.

    The same as SQLAlchemy's own ``insert`` with a list, at a third of its cost per row.
    """
    dialect = connection.dialect
    names = [column.name for column in table.columns]
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    quote = dialect.identifier_preparer.quote
    statement = (
        f"INSERT INTO {quote(table.name)} ({', '.join(map(quote, names))}) "
        f"VALUES ({', '.join([mark] * len(names))})"
    )
    values_of = itemgetter(*names)
    for start in range(0, len(rows), _BATCH):
        values = list(zip(*map(values_of, rows[start : start + _BATCH]), strict=True))
        for place, column in enumerate(table.columns):
            if process := column.type.dialect_impl(dialect).bind_processor(dialect):
                values[place] = tuple(map(process, values[place]))
        connection.exec_driver_sql(statement, list(zip(*values, strict=True)))


def _engine(place: Path | str, busy_timeout: timedelta, records: Records) -> Engine:
    url: URL | str
    if isinstance(place, Path):
        _prepare(place, records.what)
        url = URL.create("sqlite", database=str(place))
    else:
        url = place
    try:
        engine = create_engine(url)
    except ImportError as error:
        advice = "Install the driver that the URL names, such as psycopg."
        raise RecordsUnreadable(f"{records.what} needs {error.name}", advice=advice) from error
    if engine.dialect.name == "sqlite":
        _configure_sqlite(engine, busy_timeout, is_derived=records.is_derived)
    return engine


def _prepare(path: Path, what: str) -> None:
    """Create the file and the directories above it, readable by nobody else."""
    try:
        for directory in [d for d in reversed(path.parents) if not d.exists()]:
            directory.mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise _records_error(error, what) from error


def _enter_wal(connection: sqlite3.Connection, busy_timeout: timedelta) -> None:
    """Switch a new file over; of several processes at once SQLite lets one in and none wait."""
    last = time.monotonic() + busy_timeout.total_seconds()
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > last:
                raise
            time.sleep(_WAL_TICK_SECONDS)
        else:
            return


def _configure_sqlite(engine: Engine, busy_timeout: timedelta, *, is_derived: bool) -> None:
    milliseconds = busy_timeout // timedelta(milliseconds=1)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        # The module's own implicit transactions would begin too late to be snapshots.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
        _enter_wal(connection, busy_timeout)
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if is_derived else 'FULL'}")
        connection.execute("PRAGMA foreign_keys = ON")
        # 16 MB: a first recording touches the pages of its indexes in random order.
        connection.execute("PRAGMA cache_size = -16384")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and then writes would fail, not wait, when another
        # writer came in between: https://sqlite.org/lang_transaction.html
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _upgrade(connection: Connection, records: Records, revision: str | None) -> None:
    # Imported here because a database that is up to date, the usual case, does without.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(records.migrations))
    known = {script.revision for script in scripts.walk_revisions()}
    if revision is not None and revision not in known:
        raise RecordsOutdated(
            f"{records.what} was written by a newer version: its schema is {revision}, "
            f"the newest known here is {records.head}"
        )
    context = MigrationContext.configure(connection, opts={"version_table": records.version_table})
    pending = list(scripts.iterate_revisions(records.head, revision or "base"))
    with Operations.context(context):
        for script in reversed(pending):
            script.module.upgrade()
    context.stamp(scripts, records.head)


_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
# The index beside the write-ahead log is mapped into memory; it cannot grow on a full disk.
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_FULL_ERRNO = frozenset({errno.ENOSPC, errno.EDQUOT})
# https://www.postgresql.org/docs/15/errcodes-appendix.html
_BUSY_STATES = frozenset({"55P03", "40001", "40P01"})
_FULL_STATES = frozenset({"53100"})


def _records_error(error: BaseException, what: str) -> RecordsError:
    code = getattr(error, "sqlite_errorcode", None) or 0
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    number = error.errno if isinstance(error, OSError) else None
    if code in _FULL or state in _FULL_STATES or number in _FULL_ERRNO:
        return RecordsFull(f"no space is left for {what}")
    if code & 0xFF in _BUSY or state in _BUSY_STATES:
        return RecordsBusy(f"another process is writing to {what}")
    return RecordsUnreadable(f"{what} cannot be used: {error}")
