"""Mailboxes in Maildir++ trees, whoever serves them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mailrewind.formats.dovecot_crypt import read_message
from mailrewind.model.mail import Delivery, Message, Quota
from mailrewind.model.reports import Finding
from mailrewind.model.restores import Added
from mailrewind.ports import ArchivedFile, Fetch
from mailrewind.systems import reading
from mailrewind.systems.bringing import deliver_files
from mailrewind.systems.doveadm import Dovecot
from mailrewind.systems.holding import hold_still
from mailrewind.systems.importing import import_messages
from mailrewind.systems.living import LivingTree
from mailrewind.systems.maildirsize import read_maildirsize
from mailrewind.systems.removing import expunge_messages, unlink_messages
from mailrewind.systems.template import Template

# What Dovecot builds anew by itself, and what is on its way in: a message in "tmp" is none yet.
_REBUILDABLE = (
    r"tmp/.",
    r"dovecot\.index[^/]*$",
    r"dovecot\.list\.index[^/]*$",
    r"dovecot-(uidlist|keywords|acl-list)\.(lock|tmp)",
    r"(fts-flatcurve|lucene-indexes|xapian-indexes)(/|$)",
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a system's mailboxes lie.

    Attributes:
        template: Paths of mailboxes.
        staging: Our own directory on their disk.
        tree: The living mailboxes.
    """

    template: Template
    staging: Path
    tree: LivingTree

    @classmethod
    def of(cls, template: Template, staging: Path) -> "Places":
        """Leave the staging directory out of the living."""
        return cls(template, staging, LivingTree(template, without=(staging,)))

    @property
    def excludes(self) -> tuple[str, ...]:
        """Patterns, as borg writes them, of what nobody needs in an archive."""
        return (
            f"pp:{str(self.staging).lstrip('/')}",
            *map(self.template.pattern, _REBUILDABLE),
        )


class Maildirs(ABC):
    """Mailboxes in Maildir++ trees; what of the port MailSystem all such systems share.

    Living mailboxes are read from their files, also where Dovecot serves them: it is the same code
    that reads archives, so that both sides agree on GUIDs, folders and flags, it costs no more
    than Dovecot's own listing, and it works while Dovecot is down. Writing is Dovecot's.
    """

    name: str

    @property
    @abstractmethod
    def places(self) -> Places:
        """Where the mailboxes lie."""

    @abstractmethod
    def dovecot_of(self, mailbox: str, path: str) -> Dovecot | None:
        """Return the Dovecot that serves a mailbox, None where none does.

        Args:
            mailbox: Address.
            path: Of its Maildir, without a leading "/".
        """

    @property
    def _tree(self) -> LivingTree:
        return self.places.tree

    def plain(self, content: bytes) -> bytes:
        """See the port."""
        return read_message(content, {})

    def objection(self, content: bytes) -> str:
        """See the port."""
        return ""

    def survey(self) -> Mapping[str, str]:
        """See the port."""
        return {
            f"{folder.path}/{base}": f"{folder.path}/{part}/{name}"
            for mailbox, path in self._tree.mailboxes()
            for folder in self._tree.folders(mailbox, path)
            for base, (part, name) in self._tree.names(folder).items()
        }

    def key_of(self, path: str) -> str | None:
        """See the port: the key is the folder's path and the file's base name."""
        place = self._tree.locate(path)
        return reading.key_of(place) if place else None

    def companions(self, since: datetime) -> Sequence[str]:
        """See the port."""
        return [
            companion
            for mailbox, path in self._tree.mailboxes()
            for folder in self._tree.folders(mailbox, path)
            for companion in self._tree.companions(folder, since)
        ]

    def hold(self, paths: Iterable[str]) -> AbstractContextManager[Sequence[str]]:
        """See the port."""
        return hold_still(self._tree, self.places.staging, paths)

    def interpret(self, files: Iterable[ArchivedFile], fetch: Fetch) -> Iterator[Message]:
        """See the port. ``fetch`` is called once, for all lists of GUIDs and keywords."""
        return reading.interpret(self._tree.locate, files, fetch)

    def folders_in(self, files: Iterable[ArchivedFile]) -> Iterator[tuple[str, str]]:
        """See the port."""
        return reading.folders_in(self._tree.locate, files)

    def mailboxes(self) -> Sequence[str]:
        """See the port."""
        return sorted(mailbox for mailbox, _ in self._tree.mailboxes())

    def messages(self, mailbox: str) -> Sequence[Message]:
        """See the port."""
        return self._tree.messages(mailbox, self._tree.maildir(mailbox))

    def content(self, message: Message) -> bytes:
        """See the port."""
        return self._tree.content(message)

    def quota(self, mailbox: str) -> Quota | None:
        """See the port. Without Dovecot, a "maildirsize" file tells (Maildir++)."""
        path = self._tree.maildir(mailbox)
        if dovecot := self.dovecot_of(mailbox, path):
            return dovecot.quota(mailbox)
        return read_maildirsize(self._tree.read(path, "maildirsize"))

    def free_bytes(self, mailbox: str) -> int:
        """See the port."""
        return self._tree.free_bytes(self._tree.maildir(mailbox))

    def deliver(
        self, mailbox: str, deliveries: Iterable[Delivery], *, over_quota: bool = False
    ) -> Sequence[Finding]:
        """See the port."""
        path = self._tree.maildir(mailbox)
        dovecot = self.dovecot_of(mailbox, path)
        if dovecot is None:
            return deliver_files(self._tree, path, deliveries)
        return import_messages(
            dovecot,
            self._tree,
            mailbox,
            deliveries,
            staging=self.places.staging,
            ignores_quota=over_quota,
        )

    def remove(self, mailbox: str, added: Iterable[Added]) -> Sequence[Finding]:
        """See the port."""
        path = self._tree.maildir(mailbox)
        dovecot = self.dovecot_of(mailbox, path)
        if dovecot is None:
            return unlink_messages(self._tree, mailbox, path, added)
        return expunge_messages(dovecot, self._tree, mailbox, path, added)

    def try_reading(self) -> bool:
        """Open every directory that holds mail; say whether there is any.

        Raises:
            SourceUnreadable: One may not be read.
        """
        found = False
        for mailbox, path in self._tree.mailboxes():
            found = True
            for folder in self._tree.folders(mailbox, path):
                self._tree.check_readable(folder)
        return found
