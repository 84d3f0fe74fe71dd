"""What a restore would do, decided without touching anything, and what it did."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mailrewind.model.mail import Message, Quota, is_in_folders, is_trash_or_junk
from mailrewind.model.reports import Finding

Into = Literal["same", "restored"]


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """What somebody wants back.

    Attributes:
        system: Name of the system.
        mailbox: Address.
        at: "latest", a restore point's name, or a moment such as "2026-11-12 13:00".
        folders: Only these folders and those below them; empty means all but trash and junk.
        messages: Only these public numbers of the mailbox; empty means all.
        into: "same" folders, or below "Restored/<date>".
        also_moved: Put back into the old folder what now lies in another one, too.
        over_quota: Go on when the mailbox's quota would be exceeded.
        reason: Why, in the operator's words; goes into the audit line.
        initiator: Who asked, such as "cli:root" or "prefect".
        tell: An address that is told of start and end, besides the operators; "" for none.
    """

    system: str
    mailbox: str
    at: str = "latest"
    folders: tuple[str, ...] = ()
    messages: tuple[int, ...] = ()
    into: Into = "same"
    also_moved: bool = False
    over_quota: bool = False
    reason: str = ""
    initiator: str = ""
    tell: str = ""


@dataclass(frozen=True, slots=True)
class Then:
    """One message as the catalogue knows it at the restore point.

    Attributes:
        number: Public number within the mailbox.
        message: Where and how it was.
        vanished_at: First restore point without it, UTC; None while it is in the newest.
    """

    number: int
    message: Message
    vanished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Addition:
    """One message that a restore would add.

    Attributes:
        number: Public number within the mailbox.
        message: As it was; its ``folder`` is the folder then.
        target: The folder it goes to.
        vanished_at: First restore point without it, UTC; None if it vanished since the newest.
    """

    number: int
    message: Message
    target: str
    vanished_at: datetime | None

    @property
    def subject(self) -> str:
        """What a finding calls it: a subject line is nobody's business."""
        return f"{self.target} #{self.number}"


@dataclass(frozen=True, slots=True)
class Selection:
    """How every message of the request is decided.

    Attributes:
        additions: What is missing and would be added.
        present: Still in its folder.
        moved: How many now lie in another folder, by that folder's path.
    """

    additions: tuple[Addition, ...]
    present: int
    moved: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore would do; the dry run is this.

    Attributes:
        id: Eight characters; execution takes it.
        request: What was asked.
        point: Name of the restore point.
        moment: The restore point's moment, UTC.
        made_at: When the plan was made, UTC.
        selection: The decisions.
        unreadable: Messages whose content the archive does not give, with the reason.
        quota: The mailbox's quota before, None where the mail system has none.
        free_bytes: Free space on the mail system's disk.
        findings: What the reader of the plan should know.
    """

    id: str
    request: RestoreRequest
    point: str
    moment: datetime
    made_at: datetime
    selection: Selection
    unreadable: tuple[Finding, ...]
    quota: Quota | None
    free_bytes: int
    findings: tuple[Finding, ...]

    @property
    def added_bytes(self) -> int:
        """Bytes of all additions."""
        return sum(addition.message.size_bytes for addition in self.selection.additions)

    @property
    def is_over_quota(self) -> bool:
        """Whether the additions do not fit into the quota; nothing fits into a full one too."""
        if self.quota is None or not self.selection.additions:
            return False
        return self.quota.refuses(
            added_bytes=self.added_bytes, added_messages=len(self.selection.additions)
        )

    @property
    def digest(self) -> str:
        """Equal for plans that would do the same: 16 hexadecimal digits."""
        facts = [self.request.system, self.request.mailbox, self.point]
        facts += sorted(f"{a.number} {a.message.path} {a.target}" for a in self.selection.additions)
        return hashlib.blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Added:
    """One message that a restore added, as undo needs it.

    Attributes:
        folder: Where it went.
        guid: What the mail system calls it there.
        flags: As delivered.
    """

    folder: str
    guid: str
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore, or an undo, did.

    Attributes:
        id: The plan's id.
        plan: The executed plan; its numbers are what was meant.
        started_at: UTC.
        finished_at: UTC.
        added: What was delivered and read back.
        failed: What was not, with the reason.
        quota: Afterwards.
        findings: What did not fail the restore.
        undone_at: When it was undone, UTC; None while it stands.
    """

    id: str
    plan: RestorePlan
    started_at: datetime
    finished_at: datetime
    added: tuple[Added, ...]
    failed: tuple[Finding, ...]
    quota: Quota | None
    findings: tuple[Finding, ...]
    undone_at: datetime | None = None


def select(
    then: Sequence[Then], live: Iterable[Message], request: RestoreRequest, *, top: str = ""
) -> Selection:
    """Decide for each requested message whether it is missing, present or moved.

    A message is missing when the mailbox holds fewer copies of its GUID than it did then; copies
    are matched in their own folder first, so that only what lies nowhere else counts as missing.

    Args:
        then: Every message of the mailbox at the restore point, in all folders.
        live: Every message of the mailbox now, in all folders.
        request: Which of ``then`` are wanted.
        top: Folder below which additions go, such as "Restored/2026-11-20"; "" for their own.
    """
    copies = Counter((message.folder, message.guid) for message in live)
    numbers = frozenset(request.messages)
    wanted = {n for n, entry in enumerate(then) if _is_wanted(entry, request.folders, numbers)}
    absent: list[int] = []
    for index in sorted(range(len(then)), key=lambda index: _turn(then[index], index in wanted)):
        entry = then[index]
        places = [entry.message.folder]
        if index in wanted:
            places.append(_target(entry, top))
        if not any(_take(copies, place, entry.message.guid) for place in places):
            absent.append(index)
    missing = sorted(wanted.intersection(absent))

    elsewhere: dict[str, list[str]] = defaultdict(list)
    for (folder, guid), count in sorted(copies.items()):
        elsewhere[guid] += [folder] * count
    moved: Counter[str] = Counter()
    additions: list[Addition] = []
    for entry in (then[index] for index in missing):
        if others := elsewhere[entry.message.guid]:
            moved[others.pop(0)] += 1
            if not request.also_moved:
                continue
        target = _target(entry, top)
        additions.append(Addition(entry.number, entry.message, target, entry.vanished_at))
    return Selection(tuple(additions), len(wanted) - len(missing), tuple(sorted(moved.items())))


def _turn(entry: Then, is_wanted: bool) -> tuple[int, bool]:
    """Order the entries for their choice of a copy.

    Short paths first: below ``top``, one message's target may be another's own folder. Wanted ones
    first: of equal copies in one folder, the restored one is there when it is asked for again.
    """
    return len(entry.message.folder), not is_wanted


def _target(entry: Then, top: str) -> str:
    return f"{top}/{entry.message.folder}" if top else entry.message.folder


def _take(copies: Counter[tuple[str, str]], folder: str, guid: str) -> bool:
    if copies[folder, guid] == 0:
        return False
    copies[folder, guid] -= 1
    return True


def _is_wanted(entry: Then, folders: Sequence[str], numbers: frozenset[int]) -> bool:
    if numbers and entry.number not in numbers:
        return False
    if folders:
        return is_in_folders(entry.message.folder, folders)
    return bool(numbers) or not is_trash_or_junk(entry.message.folder)
