"""Prove by reading back that what was delivered is there as it was."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mailrewind.errors import MailSystemError
from mailrewind.formats.rfc5322 import digest_of
from mailrewind.model.mail import Message
from mailrewind.model.reports import Finding
from mailrewind.model.restores import Added, Addition
from mailrewind.ports import MailSystem
from mailrewind.services.contents import plain_contents

Again = Callable[[Sequence[str]], Iterable[tuple[str, bytes]]]

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
    refused: Mapping[str, str],
    again: Again,
) -> tuple[tuple[Added, ...], tuple[Finding, ...]]:
    """Compare what is there now with what was meant.

    Args:
        mail: The mail system.
        mailbox: Address.
        before: What the mailbox held before.
        additions: What was meant to be added.
        delivered: Those of them whose content went out.
        unread: Why the others' content did not.
        refused: Why single ones did not, by their paths in the archive.
        again: Gives contents by their paths in the archive once more.

    Returns:
        What is back, and per message that is not as it was, the reason.

    Raises:
        MailSystemError: The mailbox cannot be read.
    """
    fresh = _fresh(before, mail.messages(mailbox)) if delivered else {}
    added: list[Added] = []
    failed: list[Finding] = []
    saved_anew: list[tuple[Addition, str]] = []
    digests = {id(entry.addition): entry.digest for entry in delivered}
    for addition in additions:
        subject = addition.subject
        arrivals = fresh.get((addition.target, addition.message.guid), [])
        digest = digests.get(id(addition))
        if digest is None:
            failed.append(Finding(subject, refused.get(addition.message.path, unread)))
        elif not arrivals:
            failed.append(Finding(subject, "the mail system does not show it in its folder"))
        else:
            arrival = _best(arrivals, addition.message)
            arrivals.remove(arrival)
            added.append(Added(arrival.folder, arrival.guid, arrival.flags))
            try:
                content = mail.content(arrival)
                difference = _difference(addition.message, arrival)
                if not difference and digest_of(content) != digest:
                    saved_anew.append((addition, digest_of(mail.plain(content))))
            except MailSystemError as error:
                difference = f"it cannot be read back: {error}"
            if difference:
                failed.append(Finding(subject, difference))
    return tuple(added), (*failed, *_changed(mail, saved_anew, again))


def _changed(
    mail: MailSystem, saved_anew: Sequence[tuple[Addition, str]], again: Again
) -> Iterator[Finding]:
    """Yield what differs in more than how it is stored: encrypting anew gives other bytes."""
    if not saved_anew:
        return
    archived: dict[str, str] = {}
    paths = sorted({addition.message.path for addition, _ in saved_anew})
    for path, content in plain_contents(mail, again(paths)):
        archived[path] = "" if isinstance(content, MailSystemError) else digest_of(content)
    for addition, digest in saved_anew:
        if archived.get(addition.message.path) != digest:
            yield Finding(addition.subject, "its content is not what was delivered")


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


def _difference(wanted: Message, arrival: Message) -> str:
    if _flags_differ(arrival, wanted):
        return f"its flags are {sorted(arrival.flags)}, they were {sorted(wanted.flags)}"
    if arrival.received.replace(microsecond=0) != wanted.received.replace(microsecond=0):
        return f"its date is {arrival.received:%F %T} UTC, it was {wanted.received:%F %T} UTC"
    return ""


def _flags_differ(arrival: Message, wanted: Message) -> bool:
    changed = (arrival.flags ^ wanted.flags) - _RECENT
    return bool(changed - (arrival.flags & _READ_MEANWHILE))  # its owner may have opened it
