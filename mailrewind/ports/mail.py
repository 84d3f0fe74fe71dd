"""What is asked of a mail system: what to archive, how to read it, how messages come back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from mailrewind.model.mail import Delivery, Message, Quota
from mailrewind.model.reports import Finding
from mailrewind.model.restores import Added
from mailrewind.ports.archives import ArchivedFile, Capture, Fetch, Part


class MailSystem(Protocol):
    """A mail installation: what to archive, how to read an archive, how to bring messages back.

    Contract, checked for every adapter by ``tests/conformance/test_mail_systems.py``:
        * A message that was delivered reads back: same bytes (or same after line ends where the
          system re-saves), flags, keywords, INTERNALDATE, folder and GUID.
        * ``deliver`` creates missing folders and never changes a message that is already there.
        * ``messages`` may run while users work: what vanishes meanwhile is left out.
        * ``survey`` may run while users work and names every message that is there all the time.
    """

    name: str

    def parts(self) -> Sequence[Part]:
        """Return what belongs to a restore point besides the archive "mail", in order."""
        ...

    def plain(self, content: bytes) -> bytes:
        """Return a stored message as it was delivered: decrypted and decompressed.

        Raises:
            KeyDoesNotFit: It is encrypted for a key that this system does not have.
            MessageDamaged: It is not what was written once.
        """
        ...

    def objection(self, content: bytes) -> str:
        """Say why the living system could not read such a file, or "".

        Looks at the first bytes only: it is asked for every message before one is delivered.
        """
        ...

    def capture(self) -> AbstractContextManager[Capture]:
        """Hold the view open that borg reads.

        Raises:
            SourceMissing: A root does not exist.
            SourceUnreadable: A root may not be read.
        """
        ...

    def survey(self) -> Mapping[str, str]:
        """Map each message's stable key to its path now; flags may rename, the key stays."""
        ...

    def key_of(self, path: str) -> str | None:
        """Return the stable key of a message's path, or None if the path is no message."""
        ...

    def companions(self, since: datetime) -> Sequence[str]:
        """Return paths of the files that give messages their meaning, changed since a moment."""
        ...

    def hold(self, paths: Iterable[str]) -> AbstractContextManager[Sequence[str]]:
        """Keep messages and companions from being renamed while borg reads them.

        Gives what ``Archives.create_from_paths`` takes. Messages that were renamed since
        ``survey`` are followed; those that are gone are left out.
        """
        ...

    def interpret(self, files: Iterable[ArchivedFile], fetch: Fetch) -> Iterator[Message]:
        """Read an archive's listing as messages.

        Args:
            files: The listing, in any order.
            fetch: Gives the content of archived files, in any order.
        """
        ...

    def folders_in(self, files: Iterable[ArchivedFile]) -> Iterator[tuple[str, str]]:
        """Yield (mailbox, folder) of every folder in a listing, empty ones too."""
        ...

    def mailboxes(self) -> Sequence[str]:
        """Return the addresses of all living mailboxes, sorted."""
        ...

    def messages(self, mailbox: str) -> Sequence[Message]:
        """Return every message of a living mailbox, in all folders.

        Raises:
            MailboxNotFound: The system has no such mailbox.
        """
        ...

    def content(self, message: Message) -> bytes:
        """Return the content of a living message, as the archive would hold it.

        Raises:
            MailSystemError: It is gone or cannot be read.
        """
        ...

    def quota(self, mailbox: str) -> Quota | None:
        """Return how full the mailbox is, None where the system has no quota."""
        ...

    def free_bytes(self, mailbox: str) -> int:
        """Return the free space where the mailbox lies."""
        ...

    def deliver(
        self, mailbox: str, deliveries: Iterable[Delivery], *, over_quota: bool = False
    ) -> Sequence[Finding]:
        """Add messages to their folders, keeping GUID, flags, keywords and INTERNALDATE.

        Consumes ``deliveries`` once, holding one content in memory at a time.

        Args:
            mailbox: Address of a living mailbox.
            deliveries: What to add.
            over_quota: Add even if the quota would be exceeded.

        Returns:
            What the reader of the report should know; the caller verifies by reading back.

        Raises:
            MailboxNotFound: The system has no such mailbox.
            DeliveryFailed: Nothing, or not all, was added.
        """
        ...

    def remove(self, mailbox: str, added: Iterable[Added]) -> Sequence[Finding]:
        r"""Take out messages that a restore added, as far as they still have folder and flags.

        The flag "\\Seen" and "\\Recent" may differ. One finding per message left alone.
        """
        ...
