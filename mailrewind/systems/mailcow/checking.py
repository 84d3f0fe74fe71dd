"""Look whether mailcow's database can be dumped, before borg is asked to archive the dump."""

from collections.abc import Mapping
from dataclasses import dataclass

from mailrewind.errors import DatabaseRefused
from mailrewind.model.reports import Finding
from mailrewind.transports.mariadb import Connection, quoted

_NEEDED = frozenset({"SELECT", "SHOW VIEW", "TRIGGER", "EVENT"})
_PLAUSIBLE_FROM = 1000
_PLAUSIBLE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found before a dump.

    Attributes:
        schema: Version of mailcow's tables, "" where they say none.
        tables: About how many rows each has, as the database estimates.
        findings: What makes the dump less than a picture of one moment.
    """

    schema: str
    tables: Mapping[str, int]
    findings: tuple[Finding, ...]


def check(connection: Connection) -> Checked:
    """Touch everything that a dump will read, as the user who will dump.

    Raises:
        DatabaseUnreachable: The database does not answer.
        DatabaseRefused: The user may not read all of it.
        MailServerFailed: A table or view is broken; the text names it.
    """
    _refuse_lacking_privileges(connection)
    found = connection.rows(
        "SELECT table_name AS name, table_type AS kind, engine, table_rows AS number"
        " FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name"
    )
    for table in found:
        connection.rows(f"SELECT 1 FROM {quoted(str(table['name']))} LIMIT 1")
    _refuse_unreadable_routines(connection)
    tables = {str(t["name"]): int(t["number"] or 0) for t in found if t["kind"] == "BASE TABLE"}
    others = [t for t in found if t["kind"] == "BASE TABLE" and t["engine"] != "InnoDB"]
    return Checked(
        schema=schema_version(connection),
        tables=tables,
        findings=tuple(
            Finding(
                f"table {t['name']!s}",
                f"its engine is {t['engine']!s}, so what changes while it is dumped may not fit the"
                " rest",
            )
            for t in others
        ),
    )


def schema_version(connection: Connection) -> str:
    """Return the version of mailcow's tables, "" where they say none."""
    return _version(connection, "db_schema")


def installation_of(connection: Connection) -> str:
    """Return the sign by which mailcow knows its installation, "" where it has none yet."""
    return _version(connection, "GUID")


def differences(checked: Checked, dumped: Mapping[str, int]) -> list[Finding]:
    """Compare what was dumped with what was seen before; a dump may differ a little."""
    findings = [
        Finding(f"table {table}", "was there before the dump, and is not in it")
        for table in sorted(checked.tables.keys() - dumped.keys())
    ]
    for table, number in sorted(dumped.items()):
        expected = checked.tables.get(table, 0)
        if expected >= _PLAUSIBLE_FROM and number < expected * _PLAUSIBLE_SHARE:
            text = f"the dump has {number:,} rows of it, where some {expected:,} were expected"
            findings.append(Finding(f"table {table}", text))
    return findings


def _version(connection: Connection, application: str) -> str:
    exists = connection.number(
        "SELECT COUNT(*) FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_name = 'versions'"
    )
    if not exists:
        return ""
    wanted = "SELECT version FROM versions WHERE application = %s"
    return str(connection.value(wanted, (application,)) or "")


def _refuse_lacking_privileges(connection: Connection) -> None:
    # information_schema tells a user only of the user's own.
    granted = {
        str(row["name"])
        for level in ("user_privileges", "schema_privileges")
        for row in connection.rows(
            f"SELECT privilege_type AS name FROM information_schema.{level}"
            + (" WHERE DATABASE() LIKE table_schema" if level == "schema_privileges" else "")
        )
    }
    if lacking := sorted(_NEEDED - granted):
        raise DatabaseRefused(
            f"the database's user may not {', '.join(lacking)}, which a dump needs",
            advice="Grant mailcow's user all privileges on mailcow's database, as mailcow does.",
        )


def _refuse_unreadable_routines(connection: Connection) -> None:
    found = connection.rows(
        "SELECT routine_type AS kind, routine_name AS name FROM information_schema.routines"
        " WHERE routine_schema = DATABASE() AND routine_definition IS NULL"
    )
    if found:
        names = ", ".join(str(row["name"]) for row in found)
        raise DatabaseRefused(
            f"the database's user may not read the routines {names}",
            advice="Make them again as mailcow's user, or drop them: mailcow has none.",
        )
