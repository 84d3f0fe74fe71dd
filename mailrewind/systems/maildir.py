"""A tree of Maildir++ mailboxes, with or without a Dovecot that serves it."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Literal

from mailrewind.errors import SourceMissing
from mailrewind.model.mail import Delivery, Message, Quota
from mailrewind.model.reports import Finding
from mailrewind.model.restores import Added
from mailrewind.ports import ArchivedFile, Capture, Fetch, Part
from mailrewind.systems import reading
from mailrewind.systems.bringing import deliver_files
from mailrewind.systems.doveadm import Doveadm, Dovecot, find_dovecot
from mailrewind.systems.holding import hold_still
from mailrewind.systems.importing import import_messages
from mailrewind.systems.living import LivingTree
from mailrewind.systems.maildirsize import read_maildirsize
from mailrewind.systems.removing import expunge_messages, unlink_messages
from mailrewind.systems.template import Template

__all__ = ["Doveadm", "MaildirSettings", "MaildirSystem", "detect_dovecot"]

logger = logging.getLogger(__name__)

_STAGING = ".mailrewind-staging"
_ASKED_MAILBOXES = 5
# What Dovecot builds anew by itself, and what is on its way in: a message in "tmp" is none yet.
_REBUILDABLE = (
    r"tmp/.",
    r"dovecot\.index[^/]*$",
    r"dovecot\.list\.index[^/]*$",
    r"dovecot-(uidlist|keywords|acl-list)\.(lock|tmp)",
    r"(fts-flatcurve|lucene-indexes|xapian-indexes)(/|$)",
)


@dataclass(frozen=True, slots=True)
class MaildirSettings:
    """How a Maildir tree is configured.

    Attributes:
        name: Name of the system.
        template: Path of a mailbox's Maildir, with {domain} and {local}, or {address}.
        exclude: borg patterns of what is left out of the backup, besides what we leave out.
        dovecot: The Dovecot that serves the tree; None for none, "auto" to look for one.
        staging: Our own directory on the disk of the mail; None for one beside the mailboxes.
    """

    name: str
    template: str
    exclude: tuple[str, ...] = ()
    dovecot: Doveadm | Literal["auto"] | None = "auto"
    staging: Path | None = None


class MaildirSystem:
    """Mailboxes in Maildir++ trees; implements the port MailSystem.

    Living mailboxes are read from their files, also where Dovecot serves them: it is the same code
    that reads archives, so that both sides agree on GUIDs, folders and flags, it costs no more
    than Dovecot's own listing, and it works while Dovecot is down. Writing is Dovecot's.

    Raises:
        ConfigurationInvalid: The template is not usable.
    """

    def __init__(self, settings: MaildirSettings) -> None:
        self.name = settings.name
        self._settings = settings
        self._template, self._staging, self._tree = _places(settings)
        self._found = settings.dovecot if isinstance(settings.dovecot, Doveadm) else None

    def parts(self) -> Sequence[Part]:
        """See the port: a tree is all there is."""
        return ()

    def plain(self, content: bytes) -> bytes:
        """See the port."""
        return content

    def objection(self, content: bytes) -> str:
        """See the port."""
        return ""

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        """See the port. There is nothing to hold: the second pass catches what moves meanwhile."""
        root = self._template.root
        if root.is_symlink():
            raise SourceMissing(
                f"{root} is a symbolic link, which an archive would hold instead of the mail",
                advice="Write the directory that it leads to into the path template.",
            )
        if not root.is_dir():
            raise SourceMissing(f"{root} does not exist or is no directory")
        if not self._try_reading():
            raise SourceMissing(f"no mailbox lies at {self._settings.template}")
        yield Capture(
            roots=(root,),
            excludes=(
                f"pp:{str(self._staging).lstrip('/')}",
                *map(self._template.pattern, _REBUILDABLE),
                *self._settings.exclude,
            ),
        )

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
        return hold_still(self._tree, self._staging, paths)

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
        if dovecot := self._dovecot(mailbox, path):
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
        dovecot = self._dovecot(mailbox, path)
        if dovecot is None:
            return deliver_files(self._tree, path, deliveries)
        return import_messages(
            dovecot,
            self._tree,
            mailbox,
            deliveries,
            staging=self._staging,
            ignores_quota=over_quota,
        )

    def remove(self, mailbox: str, added: Iterable[Added]) -> Sequence[Finding]:
        """See the port."""
        path = self._tree.maildir(mailbox)
        dovecot = self._dovecot(mailbox, path)
        if dovecot is None:
            return unlink_messages(self._tree, mailbox, path, added)
        return expunge_messages(dovecot, self._tree, mailbox, path, added)

    def _dovecot(self, mailbox: str, path: str) -> Dovecot | None:
        """Return the Dovecot that serves a mailbox; one that was found once is kept."""
        if self._found is None and self._settings.dovecot == "auto":
            self._found = find_dovecot([(mailbox, Path("/", path))])
        return Dovecot(self._found) if self._found is not None else None

    def _try_reading(self) -> bool:
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


def detect_dovecot(settings: MaildirSettings) -> Doveadm | None:
    """Find the running Dovecot that serves a tree, by asking it where some mailboxes lie.

    Raises:
        ConfigurationInvalid: The template is not usable.
        SourceUnreadable: The mailboxes cannot be listed.
    """
    _, _, tree = _places(settings)
    some = islice(tree.mailboxes(), _ASKED_MAILBOXES)
    found = find_dovecot((mailbox, Path("/", path)) for mailbox, path in some)
    logger.debug("%s is served by %s", settings.name, found.doveadm if found else "no Dovecot")
    return found


def _places(settings: MaildirSettings) -> tuple[Template, Path, LivingTree]:
    template = Template(settings.template)
    staging = settings.staging or template.root / _STAGING
    return template, staging, LivingTree(template, without=staging)
