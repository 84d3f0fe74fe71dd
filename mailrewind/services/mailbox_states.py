"""Put the state of a mailbox at a restore point beside the living one, and look at the result."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from mailrewind.errors import MailSystemError
from mailrewind.model.mail import Delivery, Message
from mailrewind.model.points import RestorePoint
from mailrewind.model.reports import Finding
from mailrewind.model.words import size
from mailrewind.ports import Report, Swapping
from mailrewind.services.connected import ConnectedSystem

_TOLD = 20
_QUOTA_UNIT = 1024


def extract_state(
    connected: ConnectedSystem,
    swapping: Swapping,
    point: RestorePoint,
    *,
    mailbox: str,
    then: Sequence[Message],
    copy_id: str,
    report: Report | None,
) -> list[Finding]:
    """Write what a mailbox was into a copy beside it; where archives differ, the later is right.

    Args:
        connected: The system.
        swapping: What makes copies.
        point: The restore point.
        mailbox: Whose copy it becomes; the archive may hold it under another address.
        then: Every message of the mailbox at the point.
        copy_id: Of the copy.
        report: Told how far it has come.

    Returns:
        What could not be written as it was, though no message is missing.

    Raises:
        NoSpace: It does not fit.
        ArchivePathMissing, RepositoryDamaged: The archives do not hold all of it.
        KeyDoesNotFit: The mail server could not read it.
    """
    copy = swapping.make_copy(mailbox, copy_id)
    archives = connected.archives_of(point)
    roots = {swapping.archived_maildir(message) for message in then}
    if not roots:  # folders, subscriptions and access lists come back without any message, too
        paths = (file.path for name in point.mail_archives for file in archives.files(name))
        roots = {*swapping.archived_maildirs(mailbox, paths)}
    findings: list[Finding] = []
    for maildir in sorted(roots):
        for archive in point.mail_archives:
            if any(file.path.startswith(f"{maildir}/") for file in archives.files(archive)):
                depth = maildir.count("/") + 1
                findings += archives.extract(
                    archive, copy, paths=[maildir], strip=depth, report=report
                )
    names = [
        message.path.removeprefix(f"{swapping.archived_maildir(message)}/") for message in then
    ]
    swapping.complete(mailbox, copy_id, names)
    return findings


def bring_along(
    connected: ConnectedSystem,
    swapping: Swapping,
    *,
    mailbox: str,
    copy_id: str,
    known: Collection[str],
) -> list[Message]:
    """Deliver what had come into the mailbox that was exchanged, and nobody had decided on.

    Args:
        connected: The system.
        swapping: What knows the copy.
        mailbox: Address.
        copy_id: Of the copy, which holds what was.
        known: GUIDs that were decided on.
    """
    there = {message.guid for message in connected.mail.messages(mailbox)}
    arrived = [
        message
        for message in swapping.copied(mailbox, copy_id)
        if message.guid not in known and message.guid not in there
    ]
    if not arrived:
        return []

    def deliveries() -> Iterator[Delivery]:
        for message in arrived:
            yield Delivery(message, swapping.content_of_copied(copy_id, message))

    connected.mail.deliver(mailbox, deliveries(), over_quota=True)
    return arrived


def told_along(brought: Sequence[Message]) -> list[Finding]:
    """Say what was brought along, by folder."""
    return [
        Finding(folder, f"{number} messages that had come meanwhile were brought along")
        for folder, number in sorted(Counter(message.folder for message in brought).items())
    ]


def shortfall(meant: Sequence[Message], now: Sequence[Message]) -> list[Finding]:
    """Say what is not as it was meant: folder, identity and flags of every message."""
    wanted = Counter((message.folder, message.guid, message.flags) for message in meant)
    found = Counter((message.folder, message.guid, message.flags) for message in now)
    missing = [_described(row, "is not there as it was") for row in (wanted - found)]
    added = [_described(row, "should not be there") for row in (found - wanted)]
    return [*missing, *added][:_TOLD]


def _described(row: tuple[str, str, frozenset[str]], text: str) -> Finding:
    folder, guid, flags = row
    return Finding(f"{folder} {guid}", f"{text} (flags: {' '.join(sorted(flags)) or 'none'})")


def quota_findings(
    connected: ConnectedSystem, mailbox: str, now: Sequence[Message]
) -> list[Finding]:
    """Say what the quota does not count as it should; the mail is in place by now."""
    try:
        quota = connected.mail.quota(mailbox)
    except MailSystemError as error:
        return [Finding(mailbox, f"its quota could not be asked for: {error}")]
    if quota is None:
        return []
    used = sum(message.size_bytes for message in now)
    findings = []
    if quota.used_messages != len(now) or abs(quota.used_bytes - used) >= _QUOTA_UNIT:
        text = (
            f"its quota counts {quota.used_messages:,} messages with {size(quota.used_bytes)}, "
            f"and there are {len(now):,} with {size(used)}"
        )
        findings.append(Finding(mailbox, text))
    if quota.refuses(added_bytes=0, added_messages=0):
        findings.append(Finding(mailbox, "is over its quota now: it takes no mail"))
    return findings
