"""Bring messages back through Dovecot: staged beside the mailbox, then imported from there.

Where the staged directories have the modes and owners of the living ones, Dovecot links the files:
content, INTERNALDATE and GUID stay what they were, and a thousand messages take a fifth of a
second. ``doveadm backup`` and ``sync`` are never used: they delete what is new.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mailrewind.errors import DeliveryFailed, MailServerFailed
from mailrewind.formats.folders import RAW, directory_of, folder_of
from mailrewind.model.mail import Delivery, Message
from mailrewind.model.reports import Finding
from mailrewind.systems.bringing import FileDelivery
from mailrewind.systems.delivery import Ownership
from mailrewind.systems.directories import open_below
from mailrewind.systems.doveadm import (
    Dovecot,
    Served,
    complaint_of,
    failure_of,
    is_same_directory,
)
from mailrewind.systems.living import LivingTree
from mailrewind.systems.staging import Batch, Stage, stage_below
from mailrewind.transports.processes import Completed

_DOT = "\\2e"
# What listescape writes reads back; what only looks like it leads to another directory.
_NOT_ESCAPED = re.compile(r"\\(?!2e|5c|7e)|.\\7e|^~")
_RESERVED = frozenset({"cur", "new", "tmp"})

Wanted = Counter[tuple[str, str]]


def import_messages(
    dovecot: Dovecot,
    tree: LivingTree,
    mailbox: str,
    deliveries: Iterable[Delivery],
    *,
    staging: Path,
    ignores_quota: bool,
) -> Sequence[Finding]:
    """Deliver through Dovecot; see the port's ``deliver``.

    Args:
        dovecot: What serves the tree.
        tree: The living mailboxes.
        mailbox: Address.
        deliveries: What to add.
        staging: Our own directory, best on the disk of the mailbox.
        ignores_quota: Whether to go over the quota.

    Raises:
        MailboxNotFound, MailServerUnreachable, MailServerFailed: As Dovecot says.
        DeliveryFailed: Not all messages are there afterwards.
    """
    path = tree.maildir(mailbox)
    served = _check_served(dovecot, mailbox, Path("/", path))
    if not dovecot.can_read(staging):
        raise MailServerFailed(
            f"Dovecot cannot read a staging directory named {staging}",
            advice="Name one without a colon and a percent sign in the system's `staging`.",
        )
    before = _counted(tree.messages(mailbox, path))
    with stage_below(staging) as stage:
        loading = _Loading(dovecot, tree, mailbox, path, stage, served=served)
        try:
            for delivery in deliveries:
                loading.add(delivery)
        finally:
            findings = loading.finish()
        results = [
            dovecot.import_maildir(
                mailbox,
                batch_path,
                is_nested=batch.is_nested,
                served=served,
                subscribes=batch.is_new,
                ignores_quota=ignores_quota,
            )
            for batch, batch_path in stage.seal()
        ]
    complaint = dovecot.recalculate_quota(mailbox)
    living = tree.messages(mailbox, path)
    lacking = loading.wanted - (_counted(living) - before)
    return [
        *findings,
        *_other_disk(staging, Path("/", path)),
        *_uncounted(mailbox, complaint),
        *_judge(results, lacking, loading.wanted, mailbox),
        *_hidden_keywords(living, loading.flags),
    ]


class _Loading:
    """Sorts deliveries into the stage's batches, or delivers by hand what has no name there."""

    def __init__(
        self,
        dovecot: Dovecot,
        tree: LivingTree,
        mailbox: str,
        path: str,
        stage: Stage,
        *,
        served: Served,
    ) -> None:
        self.wanted: Wanted = Counter()
        self.flags: dict[tuple[str, str], frozenset[str]] = {}
        self._dovecot = dovecot
        self._tree = tree
        self._mailbox = mailbox
        self._stage = stage
        self._served = served
        self._names = tree.names_below_root(path)
        self._known = {folder.directory for folder in tree.folders(mailbox, path)}
        self._owners: dict[str, Ownership] = {}
        self._by_hand = FileDelivery(tree.root, self._names)
        self._by_hand_folders: set[str] = set()

    def add(self, delivery: Delivery) -> None:
        """Stage one message, or deliver it by hand where Dovecot has no name for its folder."""
        message = delivery.message
        self.wanted[message.folder, message.guid] += 1
        self.flags[message.folder, message.guid] = message.flags
        try:
            directory = directory_of(message.folder)
        except ValueError as error:
            raise DeliveryFailed(f"{message.folder!r}: {error}") from error
        batch, names = self._batch(directory)
        if batch is None:
            self._by_hand_folders.add(message.folder)
            self._by_hand.put(delivery)
            return
        self._stage.add(
            delivery, batch, names, top=self._owner(""), ownership=self._owner(directory)
        )

    def finish(self) -> Sequence[Finding]:
        """Say what was out of the ordinary."""
        return [
            *self._by_hand.finish(),
            *(
                Finding(
                    folder,
                    "cannot be named to Dovecot's import, so files were put there",
                )
                for folder in sorted(self._by_hand_folders)
            ),
        ]

    def _batch(self, directory: str) -> tuple[Batch | None, tuple[str, ...]]:
        """Choose how a folder is staged so that Dovecot finds the same directory for it."""
        is_new = directory not in self._known
        if not directory:
            return Batch(is_new, is_nested=False), ()
        if self._naming.cannot_name(directory):
            return None, ()
        if self._naming.needs_nesting(directory):
            levels = tuple(level.replace(_DOT, ".") for level in directory[1:].split("."))
            return Batch(is_new, is_nested=True), levels
        return Batch(is_new, is_nested=False), (directory,)

    @cached_property
    def _naming(self) -> "_Naming":
        return _Naming.of(self._dovecot, self._mailbox, can_nest=not self._served.is_modern)

    def _owner(self, directory: str) -> Ownership:
        """Return whose a folder is, or will be: Dovecot takes the INBOX as the pattern."""
        if directory not in self._owners:
            known = directory if directory in self._known else ""
            names = (*self._names, known) if known else self._names
            with open_below(self._tree.root, names) as folder:
                self._owners[directory] = Ownership.of(folder)
        return self._owners[directory]


@dataclass(frozen=True, slots=True)
class _Naming:
    r"""How Dovecot goes from a folder's name to its directory.

    The plugin listescape reads "\\2e" as a dot, which is a separator in a flat Maildir++: such
    folders are staged within each other instead. Without the plugin it is just text.

    Attributes:
        is_plain: The folder "a" is the directory ".a"; not so where names have a prefix.
        escapes: The plugin is on.
        escapes_dots: A name with a dot can be imported; not so where the dot separates names.
    """

    is_plain: bool
    escapes: bool
    escapes_dots: bool

    @classmethod
    def of(cls, dovecot: Dovecot, mailbox: str, *, can_nest: bool) -> "_Naming":
        return cls(
            is_plain=dovecot.directory_of(mailbox, "a") == ".a",
            escapes=dovecot.directory_of(mailbox, "a\\b") == r".a\5cb",
            escapes_dots=can_nest and dovecot.directory_of(mailbox, "a.b") == r".a\2eb",
        )

    def cannot_name(self, directory: str) -> bool:
        """Whether Dovecot would open another directory for this folder, or none."""
        levels = directory[1:].split(".")
        shown = folder_of(directory).split("/")
        if not self.is_plain or "" in levels or any(level.startswith(RAW) for level in shown):
            return True
        if not self.escapes:
            return directory.startswith(".~")
        if any(_NOT_ESCAPED.search(level) for level in levels):
            return True
        return _DOT in directory and (not self.escapes_dots or bool(_RESERVED & set(levels)))

    def needs_nesting(self, directory: str) -> bool:
        """Whether a folder cannot be staged in Maildir++'s flat way."""
        return self.escapes and _DOT in directory


def _check_served(dovecot: Dovecot, mailbox: str, path: Path) -> Served:
    served = dovecot.serves(mailbox)
    if served.path is None or not is_same_directory(served.path, path):
        raise MailServerFailed(
            f"Dovecot keeps {mailbox} at {served.path or 'no plain Maildir'}, not at {path}",
            advice="Check the system's path template, or its `dovecot` setting.",
        )
    return served


def _uncounted(mailbox: str, complaint: str) -> Sequence[Finding]:
    text = f"the quota could not be recalculated: {complaint}"
    return (Finding(mailbox, text),) if complaint else ()


def _other_disk(staging: Path, maildir: Path) -> Sequence[Finding]:
    if staging.stat().st_dev == maildir.stat().st_dev:
        return ()
    text = "lies on another disk than the mailbox: Dovecot saved the messages anew, line ends too"
    return (Finding(str(staging), text),)


def _hidden_keywords(
    living: Iterable[Message], meant: Mapping[tuple[str, str], frozenset[str]]
) -> Iterator[Finding]:
    """Yield the folders that have more keywords than there are letters for file names."""
    hidden: dict[str, set[str]] = defaultdict(set)
    for message in living:
        lacking = meant.get((message.folder, message.guid), frozenset()) - message.flags
        hidden[message.folder] |= {flag for flag in lacking if not flag.startswith("\\")}
    for folder, keywords in hidden.items():
        if keywords:
            names = ", ".join(sorted(keywords))
            text = f"has 26 keywords already; Dovecot keeps these in its index only: {names}"
            yield Finding(folder, text)


def _counted(messages: Iterable[Message]) -> Wanted:
    return Counter((message.folder, message.guid) for message in messages)


def _judge(
    results: Sequence[Completed], lacking: Wanted, wanted: Wanted, mailbox: str
) -> Sequence[Finding]:
    """Compare what was wanted with what came; exit codes only say why it did not.

    Raises:
        MailboxNotFound, MailServerUnreachable, MailServerFailed, DeliveryFailed: Not all came.
    """
    bad = [done for done in results if done.returncode]
    if lacking:
        (folder, guid), _ = lacking.most_common(1)[0]
        doing = (
            f"{lacking.total()} of {wanted.total()} messages did not arrive in {mailbox}, "
            f"such as {guid} in {folder}"
        )
        raise failure_of((bad or results)[0], doing) if results else DeliveryFailed(doing)
    return [
        Finding(mailbox, f"doveadm ended with {done.returncode} although all is there: {text}")
        for done in bad
        if (text := complaint_of(done))
    ]
