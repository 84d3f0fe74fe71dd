"""Restores beyond messages: planned, confirmed, carried out and undone in one common way.

An operation is one kind of restore, such as "calendars" or "server". What it would do is a list of
changes that a person can judge; what it did is a list of counts. Everything that only the
operation itself understands travels as text in ``facts`` and ``undo``.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mailrewind.model.reports import Finding

_DEEDS = {
    "calendars": "restore the calendars and contacts",
    "replace": "replace the mailbox",
    "deleted": "restore the deleted mailbox",
    "database": "restore the database",
    "account": "restore the account",
    "server": "restore the whole server",
}


# What choices are called where their names alone do not say it.
_TITLES_OF_CHOICES = {
    "create": "Create the mailbox",
    "from_another": "From another mailcow",
    "into_user": "Into another user",
    "newer": "What came since the newest restore point",
    "preferences": "Preferences too",
    "records": "Events and contacts",
    "returning": "Accounts deleted since",
    "source": "From",
    "whatever_it_holds": "Whoever's mail it is",
}


class Effect(StrEnum):
    """What becomes of a thing."""

    ADD = "added"
    LOSE = "lost"
    REVERT = "reverted"
    REPLACE = "replaced"
    KEEP = "kept"
    STOP = "stopped meanwhile"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan.

    Attributes:
        effect: What becomes of it.
        subject: Which thing: a folder, an account, a volume, a service.
        text: One sentence, or "".
        count: How many things the line stands for.
    """

    effect: Effect
    subject: str
    text: str = ""
    count: int = 1


def choices(**given: str | bool | Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Write choices as plain text: "yes" or "no" for what is either, nothing for what is empty."""
    return {name: values for name, value in given.items() if (values := _as_text(value))}


def title_of_choice(name: str) -> str:
    """Return what a choice is called where people read, as on its form."""
    return _TITLES_OF_CHOICES.get(name, name.replace("_", " ").capitalize())


def _as_text(value: str | bool | Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    if isinstance(value, str):
        return (value.strip(),) if value.strip() else ()
    return tuple(stripped for each in value if (stripped := each.strip()))


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """What somebody wants done.

    Attributes:
        operation: Name of the operation.
        system: Name of the system.
        target: Address of a mailbox; "" where the whole system is meant.
        at: "latest", a restore point's name, or a moment such as "2026-11-12 13:00".
        choices: What else was chosen, by the operation's own names; values are plain text.
        reason: Why, in the operator's words; goes into the audit line.
        initiator: Who asked, such as "cli:root" or "prefect".
        tell: An address that is told of start and end, besides the operators; "" for none.
    """

    operation: str
    system: str
    target: str = ""
    at: str = "latest"
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reason: str = ""
    initiator: str = ""
    tell: str = ""

    @property
    def deed(self) -> str:
        """What would be done, such as "restore the calendars of ada@example.org on office"."""
        deed = _DEEDS.get(self.operation, f"restore {self.operation}")
        return (
            f"{deed} of {self.target} on {self.system}"
            if self.target
            else (f"{deed} of {self.system}")
        )

    @property
    def changed_mailbox(self) -> str:
        """Address of the mailbox that would change; "" where the whole system would."""
        return self.chosen("into_user", self.target)

    def chosen(self, name: str, default: str = "") -> str:
        """Return the only value of a choice, or the default where nothing was chosen."""
        values = self.choices.get(name, ())
        return values[0] if values else default

    def is_chosen(self, name: str) -> bool:
        """Whether a choice that is either made or not was made."""
        return self.chosen(name) == "yes"


@dataclass(frozen=True, slots=True)
class Draft:
    """What an operation found out, before it gets an id.

    Attributes:
        point: Name of the restore point; "" where none is used.
        moment: The restore point's moment, UTC; None where none is used.
        changes: What would become of what.
        facts: What must still be so when it is carried out, as the operation writes it.
        findings: What the reader of the plan should know.
        is_destructive: Whether living data would be lost or reverted: such a plan is carried out
            only by its id and with the system's name typed.
    """

    point: str
    moment: datetime | None
    changes: tuple[Change, ...]
    facts: str
    findings: tuple[Finding, ...] = ()
    is_destructive: bool = False


@dataclass(frozen=True, slots=True)
class OperationPlan:
    """What an operation would do; the dry run is this.

    Attributes:
        id: Eight characters; execution takes it.
        request: What was asked.
        made_at: UTC.
        draft: What the operation found out.
    """

    id: str
    request: OperationRequest
    made_at: datetime
    draft: Draft

    @property
    def digest(self) -> str:
        """Equal for plans that would do the same: 16 hexadecimal digits."""
        request = self.request
        choices = {name: list(values) for name, values in sorted(request.choices.items())}
        said = [request.operation, request.system, request.target, choices]
        facts = json.dumps([*said, self.draft.point, self.draft.facts])
        return hashlib.blake2b(facts.encode(), digest_size=8).hexdigest()

    def number(self, effect: Effect) -> int:
        """Return how many things would be added, lost, ..."""
        return sum(change.count for change in self.draft.changes if change.effect is effect)

    @property
    def does_something(self) -> bool:
        """Whether anything would be other than it is."""
        return any(change.effect is not Effect.KEEP for change in self.draft.changes)

    @property
    def counted(self) -> str:
        """What would be done, in numbers, such as "2 added, 1 lost"."""
        effects = dict.fromkeys(change.effect for change in self.draft.changes)
        return ", ".join(f"{self.number(effect):,} {effect}" for effect in effects) or "no change"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation did.

    Attributes:
        counts: (what, how many), in the order in which they are told, such as ("events", 12).
        failed: What was meant and is not so afterwards, with the reason.
        findings: What did not fail it.
        undo: What taking it back needs, as the operation writes it; "" where that is impossible.
    """

    counts: tuple[tuple[str, int], ...]
    failed: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    undo: str = ""

    @property
    def counted(self) -> str:
        """What was done, in numbers, such as "events: 12, folders: 2, failed: 1"."""
        said = [f"{what}: {number:,}" for what, number in self.counts]
        if self.failed:
            said.append(f"failed: {len(self.failed):,}")
        return ", ".join(said) or "nothing was to be done"


@dataclass(frozen=True, slots=True)
class OperationReport:
    """What was done, and whether it was taken back.

    Attributes:
        id: The plan's id.
        plan: The plan that was carried out.
        started_at: UTC.
        finished_at: UTC; None while it runs, and for ever if its process died.
        outcome: What was done; None as long as it is not known.
        undone_at: When it was taken back, UTC; None while it stands.
        failure: What ended it early, in a sentence; "" for nothing.
        taken_back: What taking it back did; None as long as nobody has tried.
        undo_began_at: Since when it is being taken back, UTC; None before, and once that has ended.
    """

    id: str
    plan: OperationPlan
    started_at: datetime
    finished_at: datetime | None
    outcome: Outcome | None
    undone_at: datetime | None = None
    failure: str = ""
    taken_back: Outcome | None = None
    undo_began_at: datetime | None = None

    @property
    def unended_since(self) -> datetime | None:
        """When that began which has no end yet, the restore or its undo; None if both have."""
        return self.started_at if self.finished_at is None else self.undo_began_at
