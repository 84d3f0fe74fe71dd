"""Load a dump beside the living database, and exchange the two when it is whole.

The living database is not touched before everything has been loaded and counted. The exchange is
one statement, which MariaDB does wholly or not at all (since 10.6 even when it crashes meanwhile).
"""

import logging
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from mailrewind.errors import DatabaseUnreachable, DumpDamaged, MailServerFailed
from mailrewind.formats.sql_dump import DumpCounter
from mailrewind.systems.mailcow.clients import CHARACTERS, LARGEST_ROW, SERVICE, program
from mailrewind.transports.containers import Project
from mailrewind.transports.mariadb import Connection, quoted
from mailrewind.transports.processes import Completed

logger = logging.getLogger(__name__)

PREFIX = "mailrewind_"
_NAMES = ("mariadb", "mysql")
_GONE = frozenset({"1053", "1927", "2002", "2003", "2006", "2013"})
# The rest of the line quotes what was loaded.
_ERROR = re.compile(r"ERROR (\d+) \(\w+\)(?: at line (\d+))?")


def load(
    connection: Connection, project: Project, name: str, pieces: Iterable[bytes]
) -> Mapping[str, int]:
    """Load a dump into a new database and return its rows by table.

    A user of its own does it, who may do nothing outside of that database: whatever the dump says,
    it says it there.

    Args:
        connection: As root.
        project: Where the database's container is.
        name: Of the new database; begins with ``PREFIX``. One that exists is replaced.
        pieces: The dump.

    Raises:
        DumpDamaged: It is not whole, or not what the database takes for one.
        DatabaseUnreachable: The database went away meanwhile.
        MailSystemError: Another reason.
    """
    remove(connection, name)
    try:
        return _load(connection, project, name, pieces)
    except BaseException:
        _try_to_remove(connection, name)
        raise


def exchange(connection: Connection, living: str, name: str) -> None:
    """Put what was loaded in the place of the living database, and remove what was there.

    Nobody else may use the database meanwhile.

    Raises:
        MailSystemError: Nothing was exchanged.
    """
    old = f"{name}_old"
    remove(connection, old)
    connection.execute(f"CREATE DATABASE {quoted(old)} CHARACTER SET utf8mb4")
    # Read before the tables move: a view whose tables are elsewhere is shown in another way.
    before, after = _views(connection, living), _views(connection, name)
    with _without_triggers(connection, living), _without_triggers(connection, name, put_in=living):
        _rename(connection, (living, old), (name, living))
    try:
        _replace_views(connection, living, after)
    except BaseException:
        _rename(connection, (living, name), (old, living))
        _replace_views(connection, living, before)
        raise
    _exchange_routines(connection, living, name)
    _exchange_events(connection, living, name)
    remove(connection, name)
    remove(connection, old)


def remove(connection: Connection, name: str) -> None:
    """Remove a database that was loaded, and its user; one that is gone is no error."""
    if not name.startswith(PREFIX):
        raise ValueError(f"{name!r} is none of ours")
    connection.execute(f"DROP DATABASE IF EXISTS {quoted(name)}")
    connection.execute(f"DROP USER IF EXISTS {_user(name)}")


def leftovers(connection: Connection) -> list[str]:
    """Return the databases that a load left behind whose process was killed."""
    found = connection.rows("SELECT schema_name AS name FROM information_schema.schemata")
    return [name for row in found if (name := str(row["name"])).startswith(PREFIX)]


def rows_by_table(connection: Connection, name: str) -> dict[str, int]:
    """Count the rows of each table of a database."""
    tables = tables_of(connection, name)
    count = "SELECT COUNT(*) FROM {}.{}"
    return {t: connection.number(count.format(quoted(name), quoted(t))) for t in tables}


def tables_of(connection: Connection, name: str, kind: str = "BASE TABLE") -> list[str]:
    """Return the names of a database's tables, sorted; with another kind, of its views."""
    found = connection.rows(
        "SELECT table_name AS name FROM information_schema.tables"
        " WHERE table_schema = %s AND table_type = %s ORDER BY table_name",
        (name, kind),
    )
    return [str(row["name"]) for row in found]


def _load(
    connection: Connection, project: Project, name: str, pieces: Iterable[bytes]
) -> Mapping[str, int]:
    connection.execute(f"CREATE DATABASE {quoted(name)} CHARACTER SET utf8mb4")
    counter = DumpCounter()
    with _loader(connection, name) as password:
        ended = _pour(project, name, password, _counted(pieces, counter))
    if ended.returncode:
        raise _failure(ended)
    dumped, loaded = counter.end(), rows_by_table(connection, name)
    if not dumped.is_complete:
        raise DumpDamaged("the dump ends before its last line")
    if wrong := sorted({t for t, _ in loaded.items() ^ dumped.tables.items()}):
        raise DumpDamaged(f"not all rows of the dump were loaded: {', '.join(wrong)}")
    return loaded


@contextmanager
def _loader(connection: Connection, name: str) -> Iterator[str]:
    """Have a user for the time of one load; gives its password."""
    user, password = _user(name), secrets.token_hex(16)
    connection.execute(f"CREATE USER {user} IDENTIFIED BY %s", (password,))
    try:
        connection.execute(f"GRANT ALL ON {quoted(name)}.* TO {user}")
        # Views and events name the user who owns them.
        connection.execute(f"GRANT SET USER ON *.* TO {user}")
        yield password
    finally:
        _try_to_remove_user(connection, user)


def _user(name: str) -> str:
    return f"'{name}'@'localhost'"


def _pour(project: Project, name: str, password: str, pieces: Iterable[bytes]) -> Completed:
    # In any other mode the client carries out commands of its own that it finds in the dump, even
    # ones for a shell.
    options = ["--batch", "--binary-mode", CHARACTERS, LARGEST_ROW, f"--user={name}"]
    argv = [program(project, _NAMES), *options, name]
    # The standard input is the dump's, so the password of this one load goes another way.
    with project.stream(
        SERVICE, argv, user="mysql", environment={"MYSQL_PWD": password}, stdin=pieces
    ) as stream:
        return stream.finish()


def _counted(pieces: Iterable[bytes], counter: DumpCounter) -> Iterator[bytes]:
    for piece in pieces:
        counter.feed(piece)
        yield piece


def _failure(ended: Completed) -> Exception:
    match = _ERROR.search(ended.stderr)
    if match is None:
        return MailServerFailed(f"loading the dump ended with code {ended.returncode}")
    code, line = match.groups()
    if code in _GONE or line is None:
        return DatabaseUnreachable(f"the database went away during a load: error {code}")
    return DumpDamaged(f"the database does not take line {line} of the dump: error {code}")


def _rename(connection: Connection, *ways: tuple[str, str]) -> None:
    """Move all tables of databases into others, in one statement."""
    moves = [
        f"{quoted(source)}.{quoted(table)} TO {quoted(target)}.{quoted(table)}"
        for source, target in ways
        for table in tables_of(connection, source)
    ]
    connection.execute(f"RENAME TABLE {', '.join(moves)}")


@contextmanager
def _without_triggers(connection: Connection, name: str, *, put_in: str = "") -> Iterator[None]:
    """Take the triggers away, for a table that has one cannot leave its database.

    Args:
        connection: As root.
        name: Whose triggers.
        put_in: Where they are made again when the block has ended well; "" for nowhere. When it
            fails they are made again where they were.
    """
    connection.execute(f"USE {quoted(name)}")
    names = [str(row["Trigger"]) for row in connection.rows("SHOW TRIGGERS")]
    made = [connection.rows(f"SHOW CREATE TRIGGER {quoted(trigger)}")[0] for trigger in names]
    back = name
    try:
        for trigger in names:
            connection.execute(f"DROP TRIGGER {quoted(name)}.{quoted(trigger)}")
        yield
        back = put_in
    finally:
        if back:
            connection.execute(f"USE {quoted(back)}")
            for statement in made:
                _create(connection, statement, "SQL Original Statement")


def _views(connection: Connection, name: str) -> list[str]:
    """Return the statements that make a database's views, with no word of that database.

    Seen from within, a view names tables without their database, and so it fits another one. Where
    the view's owner may not read them, as in a loaded database, its columns have it all the same.
    """
    connection.execute(f"USE {quoted(name)}")
    names = tables_of(connection, name, "VIEW")
    shown = [connection.rows(f"SHOW CREATE VIEW {quoted(view)}")[0] for view in names]
    return [str(view["Create View"]).replace(f"{quoted(name)}.", "") for view in shown]


def _replace_views(connection: Connection, name: str, statements: Sequence[str]) -> None:
    connection.execute(f"USE {quoted(name)}")
    for view in tables_of(connection, name, "VIEW"):
        connection.execute(f"DROP VIEW {quoted(view)}")
    # One view may look at another, which may come later: while any could be made, try the rest.
    pending = list(statements)
    while pending:
        failed: dict[str, MailServerFailed] = {}
        for statement in pending:
            try:
                connection.execute(statement)
            except MailServerFailed as error:
                failed[statement] = error
        if len(failed) == len(pending):
            raise failed[pending[0]]
        pending = [*failed]


def _exchange_routines(connection: Connection, living: str, name: str) -> None:
    for kind, routine in _routines(connection, living):
        connection.execute(f"DROP {kind} {quoted(living)}.{quoted(routine)}")
    for kind, routine in _routines(connection, name):
        connection.execute(f"USE {quoted(name)}")
        made = connection.rows(f"SHOW CREATE {kind} {quoted(routine)}")[0]
        connection.execute(f"USE {quoted(living)}")
        _create(connection, made, f"Create {kind.capitalize()}")


def _routines(connection: Connection, name: str) -> list[tuple[str, str]]:
    found = connection.rows(
        "SELECT routine_type AS kind, routine_name AS name FROM information_schema.routines"
        " WHERE routine_schema = %s",
        (name,),
    )
    return [(str(row["kind"]), str(row["name"])) for row in found]


def _exchange_events(connection: Connection, living: str, name: str) -> None:
    for event, _ in _events(connection, living):
        connection.execute(f"DROP EVENT {quoted(living)}.{quoted(event)}")
    for event, owner in _events(connection, name):
        # Whoever alters an event owns it from then on, unless somebody is named.
        connection.execute(
            f"ALTER DEFINER = {owner} EVENT {quoted(name)}.{quoted(event)}"
            f" RENAME TO {quoted(living)}.{quoted(event)}"
        )


def _events(connection: Connection, name: str) -> list[tuple[str, str]]:
    """Return the names of a database's events, each with its owner as SQL writes it."""
    found = connection.rows(
        "SELECT event_name AS name, definer FROM information_schema.events WHERE event_schema = %s",
        (name,),
    )
    owners = (str(row["definer"]).rpartition("@") for row in found)
    return [
        (str(row["name"]), f"{quoted(user)}@{quoted(host)}")
        for row, (user, _, host) in zip(found, owners, strict=True)
    ]


def _create(connection: Connection, made: Mapping[str, object], column: str) -> None:
    connection.execute("SET @before = @@sql_mode, SESSION sql_mode = %s", (str(made["sql_mode"]),))
    try:
        connection.execute(str(made[column]))
    finally:
        connection.execute("SET SESSION sql_mode = @before")


def _try_to_remove(connection: Connection, name: str) -> None:
    try:
        remove(connection, name)
    except Exception as error:
        # What has failed already is told; the next load removes what is left.
        logger.warning("%s is left behind: %s", name, error)


def _try_to_remove_user(connection: Connection, user: str) -> None:
    try:
        connection.execute(f"DROP USER IF EXISTS {user}")
    except Exception as error:
        logger.warning("the user %s is left behind: %s", user, error)
