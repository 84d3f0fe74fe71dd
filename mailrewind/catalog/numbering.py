"""Numbers that are given once."""

from sqlalchemy import Connection, insert, select, update

from mailrewind.catalog.schema import system
from mailrewind.errors import RecordsUnreadable


class Numbers:
    """The next free numbers of a system, for the time of one transaction."""

    def __init__(self, connection: Connection, system_id: int) -> None:
        self._connection = connection
        self._system_id = system_id
        row = connection.execute(select(system).where(system.c.id == system_id)).one()
        self._next: dict[str, int] = {
            name: value for name, value in row._mapping.items() if name.startswith("next_")
        }

    def take(self, name: str) -> int:
        """Return a free number, and never again."""
        number = self._next[name]
        self._next[name] = number + 1
        return number

    def save(self) -> None:
        """Note what was given."""
        self._connection.execute(
            update(system).where(system.c.id == self._system_id).values(self._next)
        )


def system_id_of(connection: Connection, name: str, *, is_alone: bool) -> int:
    """Return the system's number, giving it one when it is met for the first time.

    Args:
        connection: Inside a writing transaction.
        name: Name of the system.
        is_alone: Whether the database may hold no other system.

    Raises:
        RecordsUnreadable: It holds another system.
    """
    known = {row.name: row.id for row in connection.execute(select(system.c.id, system.c.name))}
    if name in known:
        return int(known[name])
    if known and is_alone:
        raise RecordsUnreadable(
            f"the catalogue that should be of {name} is of {', '.join(sorted(known))}"
        )
    number = max(known.values(), default=0) + 1
    first = {column.name: 1 for column in system.c if column.name.startswith("next_")}
    connection.execute(insert(system).values(id=number, name=name, **first))
    return number
