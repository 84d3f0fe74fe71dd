"""Take out what a restore added, as undo asks for it."""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence

from mailrewind.formats.dovecot import UIDLIST, UidList, read_uidlist
from mailrewind.formats.maildir import base_of
from mailrewind.model.mail import Message
from mailrewind.model.reports import Finding
from mailrewind.model.restores import Added
from mailrewind.systems.directories import open_below
from mailrewind.systems.doveadm import Dovecot
from mailrewind.systems.living import LivingTree

_VOLATILE = frozenset({"\\Seen", "\\Recent"})


def unlink_messages(
    tree: LivingTree, mailbox: str, path: str, added: Iterable[Added]
) -> Sequence[Finding]:
    """Remove the files of messages that are as they were delivered; see the port's ``remove``."""
    unchanged, findings = _unchanged(tree.messages(mailbox, path), added)
    for message in unchanged:
        directory, _, name = message.path.rpartition("/")
        try:
            with open_below(tree.root, tree.names_below_root(directory)) as part:
                os.unlink(name, dir_fd=part)
        except FileNotFoundError:
            findings.append(_left(message, "was changed at this very moment"))
    return findings


def expunge_messages(
    dovecot: Dovecot, tree: LivingTree, mailbox: str, path: str, added: Iterable[Added]
) -> Sequence[Finding]:
    """Let Dovecot expunge messages that are as they were delivered; see the port's ``remove``.

    Raises:
        MailSystemError: Dovecot cannot be asked.
    """
    unchanged, findings = _unchanged(tree.messages(mailbox, path), added)
    by_folder: dict[str, list[Message]] = defaultdict(list)
    for message in unchanged:
        by_folder[_folder_path(message)].append(message)
    complaints: dict[str, str] = {}
    for folder, messages in by_folder.items():
        uids = _uids(dovecot, tree, mailbox, folder, messages)
        known = [uids.lines[base].uid for base in map(_base, messages) if base in uids.lines]
        complaints[folder] = dovecot.expunge(mailbox, uids.mailbox_guid, known)
    still = {_key(message) for message in tree.messages(mailbox, path)}
    for folder, messages in by_folder.items():
        reason = complaints[folder] or "was not expunged by Dovecot"
        findings += [_left(m, reason) for m in messages if _key(m) in still]
    return findings


def _unchanged(
    living: Iterable[Message], added: Iterable[Added]
) -> tuple[list[Message], list[Finding]]:
    """Choose the living messages that are what was added; one finding for each that is not."""
    there: dict[tuple[str, str], list[Message]] = defaultdict(list)
    for message in living:
        there[message.folder, message.guid].append(message)
    unchanged: list[Message] = []
    findings: list[Finding] = []
    for entry in added:
        candidates = there[entry.folder, entry.guid]
        flags = entry.flags - _VOLATILE
        same = next((m for m in candidates if m.flags - _VOLATILE == flags), None)
        if same is not None:
            candidates.remove(same)
            unchanged.append(same)
        else:
            reason = "has other flags by now" if candidates else "is not in its folder any more"
            findings.append(Finding(f"{entry.folder}: {entry.guid}", f"{reason}, so it was left"))
    return unchanged, findings


def _uids(
    dovecot: Dovecot, tree: LivingTree, mailbox: str, folder: str, messages: Iterable[Message]
) -> UidList:
    """Return a folder's UIDs, after making Dovecot look if it has not seen all messages yet."""
    uids = read_uidlist(tree.read(folder, UIDLIST))
    if uids.mailbox_guid and any(_base(message) not in uids.lines for message in messages):
        dovecot.notice(mailbox, uids.mailbox_guid)
        uids = read_uidlist(tree.read(folder, UIDLIST))
    return uids


def _folder_path(message: Message) -> str:
    return message.path.rsplit("/", 2)[0]


def _base(message: Message) -> str:
    return base_of(message.path.rpartition("/")[2])


def _key(message: Message) -> tuple[str, str]:
    return _folder_path(message), _base(message)


def _left(message: Message, reason: str) -> Finding:
    return Finding(f"{message.folder}: {message.guid}", f"{reason}, so it was left")
