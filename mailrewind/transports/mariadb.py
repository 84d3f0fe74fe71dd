"""A MariaDB server, asked and told through pymysql.

Every value is read as the server writes it: text, bytes where a column holds bytes, None for NULL.
So a living row can be compared with the same row in a dump, which knows no other types either.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pymysql
from pymysql.connections import Connection as Link
from pymysql.converters import encoders
from pymysql.cursors import DictCursor

from mailrewind.errors import (
    DatabaseRefused,
    DatabaseUnreachable,
    MailServerFailed,
    MailSystemError,
)
from mailrewind.model.databases import Cell

Row = Mapping[str, Cell]

_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 120

# https://mariadb.com/kb/en/mariadb-error-code-reference/ and, from 2000 on, the client's own.
_PASSING = frozenset({0, 1040, 1053, 1205, 1213, 1317, 1927, 2002, 2003, 2006, 2013, 2014, 2055})
_REFUSING = frozenset({1044, 1045, 1049, 1130, 1142, 1143, 1227, 1370, 1698, 1862, 4151})
# What the server says of these quotes the values that were sent, and they may be secrets.
_QUOTING = frozenset({1062, 1064, 1292, 1366, 1411, 1525, 1690, 4025, 4038})


@dataclass(frozen=True, slots=True)
class Access:
    """Where a server is, and who asks.

    Attributes:
        user: Its name.
        password: Never shown.
        database: Which one is meant where a statement names none; "" for none.
        host: Address.
        port: TCP port.
        socket: Path of its unix socket, used instead of host and port; "" for none.
    """

    user: str
    password: str = field(repr=False)
    database: str = ""
    host: str = "127.0.0.1"
    port: int = 3306
    socket: str = ""

    @property
    def where(self) -> str:
        """What errors call it."""
        return f"the database at {self.socket or f'{self.host}:{self.port}'}"


class Connection:
    """An open connection; each statement is its own transaction unless ``transaction`` is used."""

    def __init__(self, link: "Link[DictCursor]", where: str) -> None:
        self._link = link
        self._where = where

    def rows(self, statement: str, parameters: Sequence[Cell | int] = ()) -> list[Row]:
        """Return what a query finds, by column name.

        Raises:
            MailSystemError: It cannot be asked; see ``connect``.
        """
        with _translated(self._where), self._link.cursor() as cursor:
            cursor.execute(statement, tuple(parameters) or None)
            return list(cursor.fetchall())

    def value(self, statement: str, parameters: Sequence[Cell | int] = ()) -> Cell:
        """Return the first column of the first row, None where there is no row.

        Raises:
            MailSystemError: It cannot be asked; see ``connect``.
        """
        for row in self.rows(statement, parameters):
            return next(iter(row.values()))
        return None

    def number(self, statement: str, parameters: Sequence[Cell | int] = ()) -> int:
        """Return the first column of the first row as a number, 0 where there is none.

        Raises:
            MailSystemError: It cannot be asked; see ``connect``.
        """
        return int(self.value(statement, parameters) or 0)

    def execute(self, statement: str, parameters: Sequence[Cell | int] = ()) -> int:
        """Do something; return how many rows were changed.

        Raises:
            MailSystemError: It cannot be done; see ``connect``.
        """
        with _translated(self._where), self._link.cursor() as cursor:
            return cursor.execute(statement, tuple(parameters) or None)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all that the block does, or nothing of it."""
        with _translated(self._where):
            self._link.begin()
        try:
            yield
        except BaseException:
            # Where the connection broke, the server takes it back by itself.
            with suppress(MailSystemError), _translated(self._where):
                self._link.rollback()
            raise
        with _translated(self._where):
            self._link.commit()


@contextmanager
def connect(access: Access, *, answer_seconds: float = _ANSWER_SECONDS) -> Iterator[Connection]:
    """Open a connection for the time of the block; times are read and written in UTC.

    TLS is off: the server is reached through this host's loopback or a socket.

    Args:
        access: Where, and who.
        answer_seconds: How long one statement may last.

    Raises:
        DatabaseUnreachable: It does not answer, or has stopped to.
        DatabaseRefused: It does not let this user in, or not do this.
        MailServerFailed: Any other reason that the server gives.
    """
    with _translated(access.where):
        link = pymysql.connect(
            user=access.user,
            password=access.password,
            database=access.database or None,
            host=access.host,
            port=access.port,
            unix_socket=access.socket or None,
            charset="utf8mb4",
            init_command="SET time_zone = '+00:00', lock_wait_timeout = 60",
            cursorclass=DictCursor,
            conv=encoders,  # type: ignore[arg-type]  # the stubs want a table of both ways
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=answer_seconds,
            write_timeout=answer_seconds,
            ssl_disabled=True,
        )
    try:
        yield Connection(link, access.where)
    finally:
        # Saying goodbye to a server that is gone is no news.
        with suppress(pymysql.Error, OSError):
            link.close()


def quoted(name: str) -> str:
    """Return the name of a database, table or column as SQL writes it."""
    return "`" + name.replace("`", "``") + "`"


@contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except (pymysql.Error, OSError) as error:
        # Not "from error": what the server says quotes values, and a log shows the whole chain.
        raise _told(error, where) from None


def _told(error: Exception, where: str) -> MailSystemError:
    first, *others = [*error.args, ""]
    code = first if isinstance(first, int) and isinstance(error, pymysql.Error) else 0
    said = f"{others[0]}" if code and code not in _QUOTING else ""
    reason = f"error {code}: {said}".rstrip(": ") if code else "the connection is closed"
    if code in _PASSING:
        return DatabaseUnreachable(f"{where} does not answer: {reason}")
    if code in _REFUSING:
        return DatabaseRefused(f"{where} refuses: {reason}")
    return MailServerFailed(f"{where} failed: {reason}")
