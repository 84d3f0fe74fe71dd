"""What is to be done for a deleted mailbox, and how a plan and a report say it."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailrewind.model.mail import Message
from mailrewind.model.operations import Change, Effect
from mailrewind.model.points import RestorePoint
from mailrewind.model.reports import Finding

_TOLD = 20
_PASSWORD = (
    "is created with a password that nobody knows: set one in mailcow's own pages afterwards"
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the mail comes from.

    Attributes:
        then: All messages, as those of the mailbox.
        candidate: Name of the deleted mailbox; "" for a restore point.
        point: The restore point; None for a deleted mailbox.
        owner: Whose mail it seems to be, where that is somebody else; else "".
    """

    then: tuple[Message, ...]
    candidate: str = ""
    point: RestorePoint | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done, found out anew for plan and execution alike.

    Attributes:
        source: Where the mail comes from.
        exists: Whether there is the mailbox.
        living: What it holds now.
        missing: What of the source no folder of it holds.
    """

    source: Source
    exists: bool
    living: tuple[Message, ...]
    missing: tuple[Message, ...]


def warnings(work: Work, mailbox: str) -> Iterable[Finding]:
    """Yield what the plan's reader should know."""
    if not work.exists:
        yield Finding(mailbox, _PASSWORD)
    if work.source.owner:
        yield Finding(work.source.candidate, f"is the mail of {work.source.owner}")


def changes(work: Work, mailbox: str) -> Iterable[Change]:
    """Yield what would come back, and what stays."""
    if not work.exists:
        yield Change(Effect.ADD, mailbox, "the mailbox itself")
    for folder, number in sorted(Counter(one.folder for one in work.missing).items()):
        yield Change(Effect.ADD, folder, "", number)
    if work.living:
        yield Change(Effect.KEEP, mailbox, "in the mailbox now", len(work.living))


def facts(work: Work) -> str:
    """Say by what a plan is known to do the same as another."""
    lines = sorted(f"{one.folder}\0{one.guid}" for one in work.missing)
    text = "\n".join(lines).encode(errors="replace")
    return json.dumps(
        {
            "candidate": work.source.candidate,
            "exists": work.exists,
            "missing": hashlib.blake2b(text, digest_size=16).hexdigest(),
        }
    )


def shortfall(then: Sequence[Message], now: Sequence[Message]) -> list[Finding]:
    """Return what was meant to be there and is not."""
    wanted, found = (Counter(message.guid for message in some) for some in (then, now))
    folders = {message.guid: message.folder for message in then}
    return [Finding(f"{folders[guid]} {guid}", "is not there") for guid in (wanted - found)][:_TOLD]
