r"""The text that ``mariadb-dump`` writes, cut as it comes into what it creates and inserts.

What the text looks like follows from mariadb-dump's source (client/mysqldump.c) and was looked at
in dumps of MariaDB 10.11: a statement begins at the beginning of a line; "CREATE TABLE `t` (" is
followed by a line for each column, "  `name` type …"; "INSERT INTO `t` VALUES" by rows,
"(1,'text',NULL),\n(2,…);", all on one line in older versions; a row has a value for each column,
computed ones included, unless a list of columns stands before VALUES. Strings never hold a line
end, a backslash or a quote that is not escaped. Bodies of triggers, routines and events stand
between "DELIMITER ;;" and "DELIMITER ;". "-- Dump completed" is the last line, and only of a dump
that did not fail.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mailrewind.errors import DumpDamaged

STRING = rb"'[^'\\]*+(?:\\.[^'\\]*+)*+'"
_NAME = rb"`((?:[^`]++|``)++)`"
_NAMES = rb"`(?:[^`]++|``)++`"
_ROW = re.compile(rb"\s*+(\((?:[^'()]++|" + STRING + rb")*+\))([,;])", re.DOTALL)
_ROW_CUT = re.compile(
    rb"\s*+(?:\((?:[^'()]++|" + STRING + rb")*+(?:\)|'[^'\\]*+(?:\\.[^'\\]*+)*+\\?)?)?\Z", re.DOTALL
)
_INSERT = re.compile(
    rb"(?:INSERT|REPLACE)(?: [A-Z]++)*? INTO " + _NAME
    + rb"(?: \((" + _NAMES + rb"(?:, ?" + _NAMES + rb")*+)\))? VALUES"
)  # fmt: skip
_CREATE = re.compile(rb"CREATE(?: OR REPLACE)? TABLE (?:IF NOT EXISTS )?" + _NAME)
_COLUMN = re.compile(rb"  " + _NAME + rb" (\w+)")
_USE = re.compile(rb"USE " + _NAME)
_LIST = re.compile(_NAME)
_CHARSET = re.compile(rb"/\*!40101 SET NAMES (\w+) \*/;")
_BINARY = (b"binary", b"varbinary", b"tinyblob", b"blob", b"mediumblob", b"longblob")


@dataclass(frozen=True, slots=True)
class Created:
    """A table's structure.

    Attributes:
        database: Which one, or "" in a dump that names none.
        table: Its name.
        columns: Their names, in order.
        binary: Names of those that hold bytes.
    """

    database: str
    table: str
    columns: tuple[str, ...]
    binary: frozenset[str]


@dataclass(frozen=True, slots=True)
class Inserted:
    """Rows of a table, some at a time.

    Attributes:
        database: Which one, or "".
        table: Its name.
        columns: Those that the rows have, or () when they have all.
        rows: Each as it stands there, with its parentheses.
    """

    database: str
    table: str
    columns: tuple[str, ...]
    rows: list[bytes]


class Statements:
    """Cuts a dump as it comes.

    Attributes:
        is_complete: Whether the last line up to now is the one that ends a dump.
        charset: The character set of the strings, "" until it is named.
    """

    def __init__(self) -> None:
        self.is_complete = False
        self.charset = ""
        self._database = ""
        self._rest = b""
        self._enough = 0
        self._inserting: tuple[str, tuple[str, ...]] | None = None
        self._creating: tuple[str, list[bytes]] | None = None
        self._is_body = False

    def feed(self, chunk: bytes) -> Iterator[Created | Inserted]:
        """Take the next piece of a dump, of any size, and yield what it completes.

        Raises:
            DumpDamaged: Something else stands where rows must follow.
        """
        self._rest += chunk
        # What has been looked at for a whole row in vain is not looked at for each small piece.
        if len(self._rest) < self._enough:
            return
        position = 0
        while (step := self._step(position)) is not None:
            position, piece = step
            if piece is not None:
                yield piece
        self._rest = self._rest[position:]
        self._enough = 0 if position else 2 * len(self._rest)

    def end(self) -> Iterator[Created | Inserted]:
        """Take note that nothing follows, and yield what is left."""
        self._enough = 0
        yield from self.feed(b"" if self._inserting or not self._rest else b"\n")

    def _step(self, position: int) -> tuple[int, Created | Inserted | None] | None:
        """Read one thing; return where it ends, or None when it is not there to its end."""
        if self._inserting is not None:
            return self._rows(position, *self._inserting)
        is_plain = not self._is_body and self._creating is None
        if is_plain and (head := _INSERT.match(self._rest, position)):
            self._inserting = (_unquoted(head[1]), _unquoted_list(head[2] or b""))
            self.is_complete = False
            return head.end(), None
        end = self._rest.find(b"\n", position)
        return None if end < 0 else (end + 1, self._line(self._rest[position:end]))

    def _rows(
        self, position: int, table: str, columns: tuple[str, ...]
    ) -> tuple[int, Inserted] | None:
        rest, rows = self._rest, []
        while match := _ROW.match(rest, position):
            rows.append(match[1])
            position = match.end()
            if match[2] == b";":
                self._inserting = None
                break
        if rows:
            return position, Inserted(self._database, table, columns, rows)
        if _ROW_CUT.match(rest, position) is None:
            raise DumpDamaged(f"the dump's rows of the table {table} make no sense")
        return None

    def _line(self, line: bytes) -> Created | None:
        if line.startswith(b"DELIMITER "):
            self._is_body = line.strip() != b"DELIMITER ;"
            self.is_complete = False
        elif self._is_body:
            return None
        elif self._creating is not None:
            return self._structure(line)
        elif line.strip():
            self.is_complete = line.startswith(b"-- Dump completed")
            return self._begin(line)
        return None

    def _begin(self, line: bytes) -> Created | None:
        if match := _CREATE.match(line):
            self._creating = (_unquoted(match[1]), [])
            return self._structure(b"") if line.endswith(b";") else None
        if match := _USE.match(line):
            self._database = _unquoted(match[1])
        elif match := _CHARSET.match(line):
            self.charset = match[1].decode()
        return None

    def _structure(self, line: bytes) -> Created | None:
        assert self._creating is not None
        table, lines = self._creating
        lines.append(line)
        if line and not line.endswith(b";"):
            return None
        self._creating = None
        columns = [(_unquoted(m[1]), m[2]) for m in map(_COLUMN.match, lines) if m]
        return Created(
            self._database,
            table,
            tuple(name for name, _ in columns),
            frozenset(name for name, kind in columns if kind in _BINARY),
        )


def _unquoted(name: bytes) -> str:
    return name.replace(b"``", b"`").decode("utf-8", "surrogateescape")


def _unquoted_list(names: bytes) -> tuple[str, ...]:
    return tuple(_unquoted(name) for name in _LIST.findall(names))
