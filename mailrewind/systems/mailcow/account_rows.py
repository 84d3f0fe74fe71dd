"""One account's rows: found in a dump, compared with the living ones, put back and taken back.

A row is the same row when its natural key is: numbers that the database gives out, and when a row
was written, say nothing. What is living and was not there then stays.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mailrewind.errors import MailboxNotFound, MailServerFailed
from mailrewind.formats.sql_dump import Value as Dumped
from mailrewind.formats.sql_dump import rows
from mailrewind.model.databases import AccountRows, Cell, RowStep
from mailrewind.model.operations import Change, Effect
from mailrewind.model.reports import Finding
from mailrewind.systems.mailcow.account_tables import SOGO_LIST, TABLES, WISHES, Scope, Table
from mailrewind.systems.mailcow.credentials import LOGIN_ATTRIBUTES
from mailrewind.transports.mariadb import Connection, Row, quoted

_VERSIONS = "versions"
_IGNORED = frozenset({"created", "modified"})


@dataclass(frozen=True, slots=True)
class RowPlan:
    """What putting one account's rows back would do.

    Attributes:
        steps: Row by row; they hold secrets.
        changes: As the lines of a plan, which hold none.
        findings: What the reader should know.
    """

    steps: tuple[RowStep, ...]
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]


def rows_in(dump: Iterable[bytes], address: str) -> AccountRows:
    """Find one account's rows in a dump.

    Raises:
        MailboxNotFound: The account did not exist then.
        DumpDamaged: The dump makes no sense, or has no end.
    """
    tables = {table.name: table for table in TABLES}
    found: dict[str, list[Mapping[str, Cell]]] = defaultdict(list)
    for name, columns, values in rows(dump, {*tables, _VERSIONS}):
        row = {column: cell(value) for column, value in zip(columns, values, strict=True)}
        if name == _VERSIONS or tables[name].owns(row, address):
            found[name].append(row)
    if "mailbox" not in found:
        raise MailboxNotFound(f"the dump has no mailbox {address}")
    return {name: tuple(those) for name, those in found.items()}


def version_in(rows: AccountRows, application: str) -> str:
    """Return what the dump that rows are from says of a version, "" for nothing."""
    found = (r["version"] for r in rows.get(_VERSIONS, ()) if r["application"] == application)
    return str(next(found, "") or "")


def cell(value: Dumped) -> Cell:
    """Return a dump's value as the living database writes it."""
    return value if isinstance(value, str | bytes) or value is None else str(value)


def plan_rows(
    connection: Connection,
    address: str,
    archived: AccountRows,
    *,
    keeps: bool,
    wishes: frozenset[str] = WISHES,
) -> RowPlan:
    """Compare archived rows with the living ones.

    Args:
        connection: To mailcow's database.
        address: The account's.
        archived: Its rows then.
        keeps: Whether what decides about logins stays as it is now, if the account exists.
        wishes: Which parts of the account are meant. One that does not exist comes back wholly.

    Raises:
        MailSystemError: The database cannot be asked.
    """
    state = connection.value("SELECT active FROM mailbox WHERE username = %s", (address,))
    scope = Scope(keeps and state is not None, WISHES if state is None else wishes)
    steps: list[RowStep] = []
    changes: list[Change] = []
    findings: list[Finding] = []
    for table in TABLES:
        rows_then = archived.get(table.name, ())
        if not scope.includes(table) or (table.name == SOGO_LIST and scope.keeps and state != "1"):
            continue
        if scope.keeps and table.logins == ("*",):
            changes.append(Change(Effect.KEEP, table.what, "as now"))
            continue
        living = _Living(connection, table, address, rows_then)
        if not living.columns:
            if rows_then:
                findings.append(Finding(table.what, f"mailcow has no table {table.name} any more"))
            continue
        those, kept = _steps(living, rows_then, scope)
        steps += those
        changes += _changes(table, those, kept)
        findings += _unknown_columns(living, rows_then)
    if scope.keeps:
        changes.append(Change(Effect.KEEP, "login", "password and disabled state as now"))
    if state is None:
        text = "was deleted since: it comes back with the password of then"
        findings.append(Finding(address, text))
    return RowPlan(tuple(steps), tuple(changes), tuple(findings))


def put_back(connection: Connection, steps: Sequence[RowStep]) -> tuple[RowStep, ...]:
    """Carry steps out, all or none; return them as ``take_back`` needs them.

    Raises:
        MailServerFailed: A row is not as it was when the steps were planned.
        MailSystemError: The database refuses one.
    """
    with connection.transaction():
        return tuple(_put(connection, step) for step in steps)


def take_back(connection: Connection, done: Sequence[RowStep]) -> tuple[int, list[Finding]]:
    """Undo steps, all together; rows that were changed since are left alone, with a finding."""
    taken, findings = 0, []
    with connection.transaction():
        for step in reversed(done):
            where, values = _where({**step.key, **_lasting(step.after)})
            table = quoted(step.table)
            found = connection.number(f"SELECT COUNT(*) FROM {table} WHERE {where}", values)
            if not found:
                findings.append(Finding(step.table, "a row was changed since; it is left alone"))
                continue
            if step.before:
                _update(connection, step.table, step.key, step.before)
            else:
                connection.execute(f"DELETE FROM {table} WHERE {where}", values)
            taken += 1
    return taken, findings


def facts_of(plan: RowPlan) -> str:
    """Say what must still be so when a plan is carried out; holds no secret."""
    steps = sorted(
        f"{s.table} {'~' if s.key else '+'} {','.join(sorted(s.after))}" for s in plan.steps
    )
    return json.dumps(steps)


class _Living:
    """The living rows that could be those of an account."""

    def __init__(
        self, connection: Connection, table: Table, address: str, archived: Iterable[Row]
    ) -> None:
        self.table = table
        structure = connection.rows(
            "SELECT column_name AS name, column_key AS part, extra FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND table_name = %s AND is_generated = 'NEVER'"
            " ORDER BY ordinal_position",
            (table.name,),
        )
        self.columns = [str(column["name"]) for column in structure]
        self.key = [str(c["name"]) for c in structure if c["part"] == "PRI"] or self.columns
        self.natural_key = [column for column in table.key if column in self.columns]
        self.numbered = {str(c["name"]) for c in structure if "auto_increment" in str(c["extra"])}
        self.rows = self._rows(connection, address, archived) if structure else []

    def _rows(self, connection: Connection, address: str, archived: Iterable[Row]) -> list[Row]:
        owner = quoted(self.table.owner)
        mine = f"FIND_IN_SET(%s, {owner})" if self.table.is_listed else f"{owner} = %s"
        conditions = [mine]
        values: list[Cell] = [address]
        # A row may belong to somebody else by now.
        for row in archived:
            where, those = _where({column: row.get(column) for column in self.natural_key})
            conditions.append(f"({where})")
            values += those
        wanted = ", ".join(quoted(column) for column in self.columns)
        table = quoted(self.table.name)
        return connection.rows(
            f"SELECT {wanted} FROM {table} WHERE {' OR '.join(conditions)}", values
        )


def _steps(living: _Living, archived: Sequence[Row], scope: Scope) -> tuple[list[RowStep], int]:
    """Return what is to be done, and how many living rows were not there then."""
    left = list(living.rows)
    pending: list[Row] = []
    for row in archived:
        twin = next((other for other in left if not _difference(living, row, other, scope)), None)
        if twin is None:
            pending.append(row)
        else:
            left.remove(twin)
    steps = []
    for row in pending:
        key = [row.get(column) for column in living.natural_key]
        other = next((o for o in left if [o.get(c) for c in living.natural_key] == key), None)
        if other is None:
            columns = [c for c in living.columns if c in row and c not in living.numbered]
            steps.append(RowStep(living.table.name, {}, {}, {c: row[c] for c in columns}))
            continue
        left.remove(other)
        after = _difference(living, row, other, scope)
        before = {column: other[column] for column in after}
        key_of = {column: other[column] for column in living.key}
        steps.append(RowStep(living.table.name, key_of, before, after))
    return steps, len(left)


def _difference(living: _Living, row: Row, other: Row, scope: Scope) -> dict[str, Cell]:
    """Return the columns of a living row that would change, with what they become."""
    passed_over = {*_IGNORED, *living.numbered}
    changed: dict[str, Cell] = {}
    for column in living.columns:
        if column in passed_over or column not in row or row[column] == other[column]:
            continue
        if scope.leaves(living.table, column):
            continue
        value = row[column]
        if (
            column == "attributes"
            and (value := _attributes(row, other, scope.keeps)) == other[column]
        ):
            continue
        changed[column] = value
    return changed


def _attributes(row: Row, other: Row, keeps: bool) -> Cell:
    """Return a mailbox's attributes of then, with those of now that decide about logins."""
    try:
        then, now = (json.loads(str(r["attributes"] or "{}")) for r in (row, other))
    except ValueError:
        return row["attributes"]
    if keeps:
        then = {name: value for name, value in then.items() if name not in LOGIN_ATTRIBUTES}
        then |= {name: value for name, value in now.items() if name in LOGIN_ATTRIBUTES}
    return other["attributes"] if then == now else json.dumps(then)


def _changes(table: Table, steps: Sequence[RowStep], kept: int) -> list[Change]:
    added = [step for step in steps if not step.key]
    changes = []
    if added:
        names = [str(step.after[table.names]) for step in added] if table.names else []
        changes.append(Change(Effect.ADD, table.what, ", ".join(sorted(names)), len(added)))
    if reverted := [step for step in steps if step.key]:
        columns = sorted({column for step in reverted for column in step.after})
        text = f"as then: {', '.join(columns)}"
        changes.append(Change(Effect.REVERT, table.what, text, len(reverted)))
    if kept:
        changes.append(Change(Effect.KEEP, table.what, "exist now, and did not then", kept))
    return changes


def _unknown_columns(living: _Living, archived: Sequence[Row]) -> list[Finding]:
    unknown = sorted({column for row in archived for column in row} - {*living.columns})
    if not unknown:
        return []
    return [Finding(living.table.what, f"mailcow has no column {', '.join(unknown)} any more")]


def _put(connection: Connection, step: RowStep) -> RowStep:
    if step.key:
        _update(connection, step.table, step.key, step.after, before=step.before)
        return step
    columns = ", ".join(quoted(column) for column in step.after)
    places = ", ".join(["%s"] * len(step.after))
    connection.execute(
        f"INSERT INTO {quoted(step.table)} ({columns}) VALUES ({places})", [*step.after.values()]
    )
    number = connection.value("SELECT LAST_INSERT_ID()")
    numbered = connection.value(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        " AND table_name = %s AND extra LIKE '%%auto_increment%%'",
        (step.table,),
    )
    return replace(step, key={str(numbered): number}) if numbered else step


def _update(
    connection: Connection,
    table: str,
    key: Mapping[str, Cell],
    values: Mapping[str, Cell],
    *,
    before: Mapping[str, Cell] | None = None,
) -> None:
    where, found = _where({**key, **(before or {})})
    columns = ", ".join(f"{quoted(column)} = %s" for column in values)
    changed = connection.execute(
        f"UPDATE {quoted(table)} SET {columns} WHERE {where}", [*values.values(), *found]
    )
    if changed != 1:
        raise MailServerFailed(
            f"a row of {table} was changed meanwhile, so nothing was put back",
            advice="Plan again.",
        )


def _where(values: Mapping[str, Cell]) -> tuple[str, list[Cell]]:
    return " AND ".join(f"{quoted(column)} <=> %s" for column in values), [*values.values()]


def _lasting(values: Mapping[str, Cell]) -> dict[str, Cell]:
    return {column: value for column, value in values.items() if column not in _IGNORED}
