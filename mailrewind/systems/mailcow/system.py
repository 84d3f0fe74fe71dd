"""A mailcow as a mail system: its mail is read from the volume, and written by its own Dovecot."""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from mailrewind.errors import MailboxNotFound, MailSystemError, SourceMissing
from mailrewind.formats.dovecot_crypt import (
    HEAD_BYTES,
    Keys,
    is_encrypted,
    key_ids_of,
    load_keys,
    read_message,
)
from mailrewind.model.mail import Delivery, Message, Quota
from mailrewind.model.reports import Finding
from mailrewind.ports import Capture, Part
from mailrewind.systems.delivery import Ownership, make_directory
from mailrewind.systems.directories import open_below
from mailrewind.systems.doveadm import Dovecot
from mailrewind.systems.mailcow.installation import DOVECOT, Installation
from mailrewind.systems.mailcow.layout import (
    GARBAGE,
    KEPT,
    DoveadmInContainer,
    Layout,
    find_layout,
    mail_users,
)
from mailrewind.systems.maildirs import Maildirs, Places

logger = logging.getLogger(__name__)

# "mail_crypt_global_private_key2 = </mail_crypt/old.pem" opens what was encrypted before.
_PRIVATE_KEYS = re.compile(r"mail_crypt_global_private_key\d*\s*=\s*</mail_crypt/([^/\s]+)$", re.M)


class MailcowSystem(Maildirs):
    """The mail of a mailcow on this host; implements the port MailSystem.

    Nothing is asked of the engine or of Dovecot before it is needed. While Dovecot is down, mail
    can still be archived and looked at.

    Args:
        name: Of the system.
        installation: The mailcow.
        parts: What belongs to a restore point besides the mail.
        exclude: borg patterns of what is left out of the archive of the mail, besides what we
            leave out.
    """

    def __init__(
        self,
        name: str,
        installation: Installation,
        *,
        parts: Sequence[Part] = (),
        exclude: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.installation = installation
        self._parts = tuple(parts)
        self._exclude = tuple(exclude)

    @cached_property
    def layout(self) -> Layout:
        """How the directories of mailboxes are named.

        Raises:
            MailSystemError: Neither Dovecot nor mailcow.conf says.
        """
        return find_layout(self.installation, self.dovecot, self._vmail)

    @property
    def places(self) -> Places:
        """See the base."""
        return self._places

    @property
    def dovecot(self) -> Dovecot:
        """The Dovecot of this mailcow."""
        return Dovecot(DoveadmInContainer(self.installation, self._vmail))

    @property
    def key_ids(self) -> Sequence[str]:
        """Ids of the keys that open encrypted mail, the running mailcow's first.

        Raises:
            KeyDoesNotFit: What lies in the crypt volume is no key.
        """
        return tuple(self._keys)

    @property
    def dovecot_version(self) -> str:
        """Version of Dovecot, such as "2.3.21.1 (d492236fa0)".

        Raises:
            MailSystemError: It cannot be asked.
        """
        done = self.installation.project.execute(DOVECOT, ["dovecot", "--version"])
        return done.stdout.decode(errors="replace").strip() or "of an unknown version"

    def users(self) -> Sequence[str]:
        """Return the addresses that Dovecot knows, with or without mail.

        Raises:
            MailSystemError: It cannot be asked.
        """
        return mail_users(self.dovecot)

    def dovecot_of(self, mailbox: str, path: str) -> Dovecot | None:
        """See the base: one Dovecot serves them all."""
        return self.dovecot

    def parts(self) -> Sequence[Part]:
        """See the port."""
        return self._parts

    def plain(self, content: bytes) -> bytes:
        """See the port."""
        return read_message(content, self._keys)

    def objection(self, content: bytes) -> str:
        """See the port: Dovecot links whatever it is given, and cannot read it later."""
        if not is_encrypted(content):
            return ""
        try:
            wanted = key_ids_of(content[:HEAD_BYTES])
        except MailSystemError as error:
            return str(error)
        if self._living_keys.intersection(wanted):
            return ""
        known = _short(sorted(self._living_keys)) or "none"
        return f"it is encrypted for the key {_short(wanted)}, and Dovecot has {known}"

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        """See the port. The keys come along: without them the mail is of no use."""
        vmail = self._vmail
        if not any(vmail.iterdir() if vmail.is_dir() else ()):
            raise SourceMissing(
                f"{vmail} is empty or not there: mailcow makes directories in it at each start",
                advice="Check that the disk of the volume vmail-vol-1 is mounted.",
            )
        self.try_reading()
        yield Capture(
            roots=(vmail, self.installation.crypt),
            excludes=(*self.places.excludes, _pattern_of(vmail / KEPT), *self._exclude),
        )

    def messages(self, mailbox: str) -> Sequence[Message]:
        """See the port. A mailbox that has had no mail yet has no directory, and no messages."""
        try:
            return super().messages(mailbox)
        except MailboxNotFound:
            self._check_known(mailbox)
            return ()

    def quota(self, mailbox: str) -> Quota | None:
        """See the port."""
        self.places.template.maildir(mailbox)  # refuses what cannot be the name of one
        return self.dovecot.quota(mailbox)

    def free_bytes(self, mailbox: str) -> int:
        """See the port."""
        return self.places.tree.free_bytes(str(self._vmail).lstrip("/"))

    def deliver(
        self, mailbox: str, deliveries: Iterable[Delivery], *, over_quota: bool = False
    ) -> Sequence[Finding]:
        """See the port."""
        try:
            self.places.tree.maildir(mailbox)
        except MailboxNotFound:
            self._check_known(mailbox)
            self.dovecot.make_mailbox(mailbox)
        self._make_garbage()
        return super().deliver(mailbox, deliveries, over_quota=over_quota)

    def _check_known(self, mailbox: str) -> None:
        """Ask Dovecot for a user.

        Raises:
            MailboxNotFound: It knows none.
        """
        self.places.template.maildir(mailbox)
        self.dovecot.serves(mailbox)

    def _make_garbage(self) -> None:
        """Make mailcow's garbage as mailcow does, for a Dovecot that has not been started yet."""
        with open_below(self._vmail, ()) as vmail, suppress(PermissionError):
            make_directory(vmail, GARBAGE, Ownership.of(vmail))

    @cached_property
    def _vmail(self) -> Path:
        return self.installation.vmail

    @cached_property
    def _places(self) -> Places:
        return self.layout.places

    @cached_property
    def _keys(self) -> Keys:
        return load_keys(*self.installation.private_keys())

    @cached_property
    def _living_keys(self) -> frozenset[str]:
        """Ids of the keys with which Dovecot itself opens mail.

        Raises:
            MailSystemError: It cannot be asked, or a key cannot be read.
        """
        done = self.installation.project.execute(DOVECOT, ["doveconf", "-n", "-P"])
        files = _PRIVATE_KEYS.findall(done.stdout.decode(errors="replace"))
        crypt = self.installation.crypt
        there = [crypt / name for name in files if (crypt / name).is_file()]
        return frozenset(load_keys(*(path.read_bytes() for path in there)))


def _pattern_of(directory: Path) -> str:
    return f"pp:{str(directory).lstrip('/')}"


def _short(ids: Sequence[str]) -> str:
    return ", ".join(f"{name[:16]}…" for name in ids)
