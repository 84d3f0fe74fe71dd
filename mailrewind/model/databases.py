"""What putting back a database, or one account's rows of it, is made of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mailrewind.model.operations import Change
from mailrewind.model.reports import Finding

Cell = str | bytes | None
"""A value as a database writes it: text, bytes where a column holds bytes, None for NULL."""

AccountRows = Mapping[str, tuple[Mapping[str, Cell], ...]]
"""The rows of one account by table, each by column name."""


@dataclass(frozen=True, slots=True)
class Returning:
    """How a database goes back in time.

    Attributes:
        keeps_credentials: Whether what decides about logins stays as it is now: passwords, app
            passwords, second factors, disabled states, administrators, keys, open sessions.
        disables_returning: Whether accounts that were deleted since come back disabled.
    """

    keeps_credentials: bool = True
    disables_returning: bool = True


@dataclass(frozen=True, slots=True)
class Examination:
    """What a dump would make of the living system.

    Attributes:
        schema: Version of the dump's tables, and of the living ones.
        installation: A sign of the installation that was dumped, and of the living one; "" where
            one says nothing of it.
        changes: As the lines of a plan.
        facts: What must still be so when it is carried out; holds no secret.
        findings: What the reader of the plan should know.
    """

    schema: tuple[str, str]
    installation: tuple[str, str]
    changes: tuple[Change, ...]
    facts: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class RowStep:
    """One row of one account that is to be, or was, put back.

    Attributes:
        table: Which one.
        key: The living row's primary key; empty for a row that is to be added.
        before: The living row's columns that change, as they are; empty for a row to be added.
        after: The columns that are written.
    """

    table: str
    key: Mapping[str, Cell]
    before: Mapping[str, Cell]
    after: Mapping[str, Cell]


def is_newer_schema(one: str, other: str) -> bool | None:
    """Whether a version of mailcow's tables, such as "19022026_1220", is newer than another.

    None where they differ and cannot be compared.
    """
    if one == other:
        return False
    first, second = _moment(one), _moment(other)
    return None if first is None or second is None else first > second


def steps_to_json(steps: tuple[RowStep, ...]) -> str:
    """Write steps as text; they hold secrets."""
    told = [
        [step.table, _plain(step.key), _plain(step.before), _plain(step.after)] for step in steps
    ]
    return json.dumps(told)


def steps_from_json(text: str) -> tuple[RowStep, ...]:
    """Read what ``steps_to_json`` wrote."""
    return tuple(
        RowStep(table, _cells(key), _cells(before), _cells(after))
        for table, key, before, after in json.loads(text)
    )


def _plain(row: Mapping[str, Cell]) -> dict[str, object]:
    return {
        name: {"hex": value.hex()} if isinstance(value, bytes) else value
        for name, value in row.items()
    }


def _cells(row: Mapping[str, object]) -> dict[str, Cell]:
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: object) -> Cell:
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return None if value is None else str(value)


def _moment(version: str) -> tuple[str, ...] | None:
    day, _, time = version.partition("_")
    if len(day) != 8 or not day.isdigit() or not time.isdigit():
        return None
    return day[4:], day[2:4], day[:2], time
