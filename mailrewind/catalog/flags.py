r"""Sets of flags as one number: six bits for IMAP's own, and the number of a set for all others.

Keywords are anybody's words, but a mailbox has few different combinations of them.
"""

import json

from sqlalchemy import Connection, insert, select

from mailrewind.catalog.numbering import Numbers
from mailrewind.catalog.schema import keyword_set

SEEN = 1
_BITS = {
    "\\Seen": SEEN,
    "\\Answered": 2,
    "\\Flagged": 4,
    "\\Deleted": 8,
    "\\Draft": 16,
    "\\Recent": 32,
}
_OWN = frozenset(_BITS)
_SHIFT = 8


class FlagSets:
    """What the numbers mean; a set's number never changes, so what is known stays right."""

    def __init__(self, system_id: int) -> None:
        self._system_id = system_id
        self._keywords: dict[int, frozenset[str]] = {0: frozenset()}
        self._decoded: dict[int, frozenset[str]] = {}

    def decode(self, connection: Connection, value: int) -> frozenset[str]:
        """Return the flags of a number."""
        flags = self._decoded.get(value)
        if flags is None:
            if value >> _SHIFT not in self._keywords:
                self._load(connection)
            bits = frozenset(flag for flag, bit in _BITS.items() if value & bit)
            flags = self._decoded[value] = bits | self._keywords[value >> _SHIFT]
        return flags

    def encode(
        self, connection: Connection, sets: list[frozenset[str]], numbers: Numbers
    ) -> list[int]:
        """Return the number of each set, giving new ones where needed."""
        self._load(connection)
        known = {keywords: number for number, keywords in self._keywords.items()}
        values = []
        for flags in sets:
            keywords = flags - _OWN
            if keywords not in known:
                known[keywords] = self._add(connection, keywords, numbers)
            bits = sum(bit for flag, bit in _BITS.items() if flag in flags)
            values.append(known[keywords] << _SHIFT | bits)
        return values

    def _load(self, connection: Connection) -> None:
        rows = connection.execute(
            select(keyword_set.c.id, keyword_set.c.names).where(
                keyword_set.c.system_id == self._system_id
            )
        )
        self._keywords |= {number: frozenset(json.loads(names)) for number, names in rows}

    def _add(self, connection: Connection, keywords: frozenset[str], numbers: Numbers) -> int:
        # Not kept in memory here: the transaction may yet fail.
        number = numbers.take("next_keywords")
        names = json.dumps(sorted(keywords))
        connection.execute(
            insert(keyword_set).values(system_id=self._system_id, id=number, names=names)
        )
        return number
