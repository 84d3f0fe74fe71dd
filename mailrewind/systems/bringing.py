"""Bring messages back as files, where no Dovecot does it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from mailrewind.errors import DeliveryFailed
from mailrewind.formats.folders import directory_of
from mailrewind.formats.maildir import needs_keyword
from mailrewind.model.mail import Delivery
from mailrewind.model.reports import Finding
from mailrewind.systems.delivery import Ownership, Writers, add_keywords, make_folder
from mailrewind.systems.directories import append_if_there, open_below
from mailrewind.systems.living import LivingTree
from mailrewind.systems.maildirsize import MAILDIRSIZE


def deliver_files(tree: LivingTree, path: str, deliveries: Iterable[Delivery]) -> Sequence[Finding]:
    """Deliver into the Maildir at a path.

    Raises:
        DeliveryFailed: A message cannot be written; those before it are in.
    """
    by_hand = FileDelivery(tree.root, tree.names_below_root(path))
    try:
        for delivery in deliveries:
            by_hand.put(delivery)
    finally:
        findings = by_hand.finish()
    return findings


class FileDelivery:
    """Delivers into a living Maildir through ``tmp`` into ``cur``.

    Args:
        maildir: The mailbox's Maildir.
        names: Of the directories that lead to it from ``root``.
    """

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self._root = root
        self._names = tuple(names)
        self._writers = Writers(root, is_durable=True)
        self._owners: dict[str, Ownership] = {}
        self._lost: dict[str, set[str]] = {}
        self._bytes = 0
        self._count = 0

    def put(self, delivery: Delivery) -> None:
        """Deliver one message.

        Raises:
            DeliveryFailed: It cannot be written.
        """
        message = delivery.message
        try:
            directory = directory_of(message.folder)
            ownership = self._owner(directory)
            names = (*self._names, directory) if directory else self._names
            writer = self._writers.of(names, ownership)
            wanted = frozenset(flag for flag in message.flags if needs_keyword(flag))
            keywords = add_keywords(writer.folder, wanted, ownership)
            writer.put(delivery, keywords)
            self._bytes += len(delivery.content)
            self._count += 1
        except (OSError, ValueError) as error:
            raise DeliveryFailed(
                f"The folder {message.folder} of {message.mailbox}: {error}"
            ) from error
        if lost := wanted - set(keywords):
            self._lost.setdefault(message.folder, set()).update(lost)

    def finish(self) -> Sequence[Finding]:
        """Close what is open, and say what could not be kept."""
        self._writers.close()
        if not self._count:
            return ()
        with open_below(self._root, self._names) as maildir:
            append_if_there(maildir, MAILDIRSIZE, f"{self._bytes} {self._count}\n".encode())
        return [
            Finding(folder, f"has 26 keywords already; left off: {', '.join(sorted(keywords))}")
            for folder, keywords in self._lost.items()
        ]

    def _owner(self, directory: str) -> Ownership:
        """Make a folder if it is missing, and say whose it is."""
        if directory not in self._owners:
            with open_below(self._root, self._names) as maildir:
                make_folder(maildir, directory, Ownership.of(maildir))
            names = (*self._names, directory) if directory else self._names
            with open_below(self._root, names) as folder:
                self._owners[directory] = Ownership.of(folder)
        return self._owners[directory]
