"""Prove by reading back that what was delivered is there as it was."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailrewind.errors import MailSystemError
from mailrewind.formats.rfc5322 import digest_of
from mailrewind.model.mail import Message
from mailrewind.model.reports import Finding
from mailrewind.model.restores import Added, Addition
from mailrewind.ports import MailSystem

_RECENT = frozenset({"\\Recent"})
_READ_MEANWHILE = frozenset({"\\Seen"})


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message whose content went out to the mail system.

    Attributes:
        addition: What it was meant to be.
        digest: Of its content, blind to line ends.
    """

    addition: Addition
    digest: str


def read_back(
    mail: MailSystem,
    mailbox: str,
    before: Iterable[Message],
    additions: Sequence[Addition],
    delivered: Sequence[Delivered],
    *,
    unread: str,
) -> tuple[tuple[Added, ...], tuple[Finding, ...]]:
    """Compare what is there now with what was meant.

    Args:
        mail: The mail system.
        mailbox: Address.
        before: What the mailbox held before.
        additions: What was meant to be added.
        delivered: Those of them whose content went out.
        unread: Why the others' content did not.

    Returns:
        What is back, and per message that is not as it was, the reason.

    Raises:
        MailSystemError: The mailbox cannot be read.
    """
    fresh = _fresh(before, mail.messages(mailbox)) if delivered else {}
    added: list[Added] = []
    failed: list[Finding] = []
    digests = {id(entry.addition): entry.digest for entry in delivered}
    for addition in additions:
        subject = addition.subject
        arrivals = fresh.get((addition.target, addition.message.guid), [])
        digest = digests.get(id(addition))
        if digest is None:
            failed.append(Finding(subject, unread))
        elif not arrivals:
            failed.append(Finding(subject, "the mail system does not show it in its folder"))
        else:
            arrival = _best(arrivals, addition.message)
            arrivals.remove(arrival)
            added.append(Added(arrival.folder, arrival.guid, arrival.flags))
            if difference := _difference(mail, addition, digest, arrival):
                failed.append(Finding(subject, difference))
    return tuple(added), tuple(failed)


def _fresh(
    before: Iterable[Message], after: Iterable[Message]
) -> dict[tuple[str, str], list[Message]]:
    known = Counter(message.path for message in before)
    fresh: dict[tuple[str, str], list[Message]] = defaultdict(list)
    for message in after:
        if known[message.path] == 0:
            fresh[message.folder, message.guid].append(message)
    return fresh


def _best(arrivals: Sequence[Message], wanted: Message) -> Message:
    """Choose the copy that is most like the wanted one: copies may differ in flags and date."""
    return min(
        arrivals,
        key=lambda arrival: (
            _flags_differ(arrival, wanted),
            arrival.received.replace(microsecond=0) != wanted.received.replace(microsecond=0),
        ),
    )


def _difference(mail: MailSystem, addition: Addition, digest: str, arrival: Message) -> str:
    wanted = addition.message
    if _flags_differ(arrival, wanted):
        return f"its flags are {sorted(arrival.flags)}, they were {sorted(wanted.flags)}"
    if arrival.received.replace(microsecond=0) != wanted.received.replace(microsecond=0):
        return f"its date is {arrival.received:%F %T} UTC, it was {wanted.received:%F %T} UTC"
    try:
        content = mail.content(arrival)
    except MailSystemError as error:
        return f"it cannot be read back: {error}"
    return "" if digest_of(content) == digest else "its content is not what was delivered"


def _flags_differ(arrival: Message, wanted: Message) -> bool:
    changed = (arrival.flags ^ wanted.flags) - _RECENT
    return bool(changed - (arrival.flags & _READ_MEANWHILE))  # its owner may have opened it
