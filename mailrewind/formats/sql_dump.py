r"""Dumps of a database as ``mariadb-dump`` writes them: how much lies in them, and what.

How values are written follows from mariadb-dump's source (client/mysqldump.c): NULL, numbers as
they are, strings as ``mysql_real_escape_string`` escapes them (``\0 \n \r \\ \' \" \Z``), bytes
and bits as 0x… with --hex-blob; without, bytes as _binary '…' and bits as b'…'; no bytes as ''
either way. What else a backslash means is in MariaDB's manual, "String Literals". For the rest see
``sql_statements``.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from mailrewind.errors import DumpDamaged, FormatUnsupported
from mailrewind.formats.sql_statements import STRING, Created, Inserted, Statements

Value = str | bytes | int | Decimal | None

_VALUE = re.compile(
    rb"(?:(_\w+) ?)?(" + STRING + rb"(?:" + STRING + rb")*+)|0x((?:[0-9A-Fa-f]{2})*+)|([^',]++)",
    re.DOTALL,
)
_INTEGER = re.compile(r"-?[0-9]+")
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?", re.IGNORECASE)
_BITS = re.compile(rb"b'([01]*)'")
_ESCAPE = re.compile(rb"\\(.)|''", re.DOTALL)
_ESCAPED = {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"Z": b"\x1a"}


@dataclass(frozen=True, slots=True)
class DumpSummary:
    """How much a dump holds.

    Attributes:
        tables: Rows by table, empty tables included, views not; "database.table" in a dump of
            several databases.
        is_complete: Whether it ends with the line that only a dump without failure has.
    """

    tables: Mapping[str, int]
    is_complete: bool


class DumpCounter:
    """Counts the rows of a dump that streams by."""

    def __init__(self) -> None:
        self._statements = Statements()
        self._rows: dict[tuple[str, str], int] = {}

    def feed(self, chunk: bytes) -> None:
        """Take the next piece, of any size.

        Raises:
            DumpDamaged: What should be rows makes no sense.
        """
        self._count(self._statements.feed(chunk))

    def end(self) -> DumpSummary:
        """Return what has been counted, once the dump has ended."""
        self._count(self._statements.end())
        is_one = len({database for database, _ in self._rows}) < 2
        tables = {
            table if is_one else f"{database}.{table}": count
            for (database, table), count in self._rows.items()
        }
        return DumpSummary(tables, self._statements.is_complete)

    def _count(self, pieces: Iterator[Created | Inserted]) -> None:
        for piece in pieces:
            count = len(piece.rows) if isinstance(piece, Inserted) else 0
            key = piece.database, piece.table
            self._rows[key] = self._rows.get(key, 0) + count


def rows(
    stream: Iterable[bytes], tables: Collection[str]
) -> Iterator[tuple[str, tuple[str, ...], tuple[Value, ...]]]:
    """Yield (table, columns, values) for each row of some tables of a dump.

    Text that is not UTF-8 has surrogate escapes. Numbers that are no integers are decimals as they
    were written. Columns that the database computes are among them: do not write those back.

    Args:
        stream: The dump of one database, in pieces of any size.
        tables: Names; one that the dump lacks yields nothing.

    Raises:
        DumpDamaged: It makes no sense, or, after its rows, it has no proper end.
        FormatUnsupported: Its text is not in UTF-8.
    """
    statements = Statements()
    structures: dict[str, Created] = {}
    for piece in _pieces(statements, stream):
        if piece.table not in tables:
            continue
        if isinstance(piece, Created):
            structures[piece.table] = piece
            continue
        if not statements.charset.startswith("utf8"):
            raise FormatUnsupported(f"the dump's text is in {statements.charset or 'no charset'}")
        yield from _rows(piece, structures.get(piece.table))
    if not statements.is_complete:
        raise DumpDamaged("the dump of a database has no end")


def _pieces(statements: Statements, stream: Iterable[bytes]) -> Iterator[Created | Inserted]:
    for chunk in stream:
        yield from statements.feed(chunk)
    yield from statements.end()


def _rows(
    piece: Inserted, structure: Created | None
) -> Iterator[tuple[str, tuple[str, ...], tuple[Value, ...]]]:
    columns = piece.columns or (structure.columns if structure else ())
    binary = structure.binary if structure else frozenset()
    for row in piece.rows:
        values = tuple(_values(row))
        if len(values) != len(columns):
            raise DumpDamaged(f"a row of the dump's table {piece.table} does not fit its columns")
        read = (
            _empty_bytes(value) if name in binary else value
            for name, value in zip(columns, values, strict=True)
        )
        yield piece.table, columns, tuple(read)


def _values(row: bytes) -> Iterator[Value]:
    position, end = 1, len(row) - 1
    while position < end:
        match = _BITS.match(row, position) or _VALUE.match(row, position, end)
        if match is None or row[match.end() : match.end() + 1] not in (b",", b")"):
            raise DumpDamaged("a value of the dump makes no sense")
        yield int(match[1] or b"0", 2) if match.re is _BITS else _value(*match.groups())
        position = match.end() + 1


def _value(
    charset: bytes | None, string: bytes | None, hexadecimal: bytes | None, bare: bytes | None
) -> Value:
    if string is not None:
        raw = _ESCAPE.sub(_character, string[1:-1])
        return raw if charset == b"_binary" else raw.decode("utf-8", "surrogateescape")
    if hexadecimal is not None:
        return bytes.fromhex(hexadecimal.decode())
    text = (bare or b"").decode("utf-8", "surrogateescape")
    return None if text == "NULL" else _number(text)


def _number(text: str) -> int | Decimal:
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    raise DumpDamaged("a value of the dump makes no sense")


def _character(match: re.Match[bytes]) -> bytes:
    escaped: bytes | None = match[1]
    if escaped is None:
        return b"'"
    # A pattern's wildcards keep their backslash.
    return match[0] if escaped in b"%_" else _ESCAPED.get(escaped, escaped)


def _empty_bytes(value: Value) -> Value:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
