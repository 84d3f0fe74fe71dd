"""A tree of Maildir++ mailboxes, with or without a Dovecot that serves it."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from mailrewind.errors import SourceMissing
from mailrewind.ports import Capture, Part
from mailrewind.systems.doveadm import Doveadm, Dovecot, find_dovecot
from mailrewind.systems.maildirs import Maildirs, Places
from mailrewind.systems.template import Template

__all__ = ["Doveadm", "MaildirSettings", "MaildirSystem", "detect_dovecot"]

logger = logging.getLogger(__name__)

_STAGING = ".mailrewind-staging"
_ASKED_MAILBOXES = 5


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


class MaildirSystem(Maildirs):
    """Mailboxes below a path template; implements the port MailSystem.

    Raises:
        ConfigurationInvalid: The template is not usable.
    """

    def __init__(self, settings: MaildirSettings) -> None:
        self.name = settings.name
        self._settings = settings
        self._places = _places(settings)
        self._found = settings.dovecot if isinstance(settings.dovecot, Doveadm) else None

    @property
    def places(self) -> Places:
        """See the base."""
        return self._places

    def parts(self) -> Sequence[Part]:
        """See the port: a tree is all there is."""
        return ()

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        """See the port. There is nothing to hold: the second pass catches what moves meanwhile."""
        root = self._places.template.root
        if root.is_symlink():
            raise SourceMissing(
                f"{root} is a symbolic link, which an archive would hold instead of the mail",
                advice="Write the directory that it leads to into the path template.",
            )
        if not root.is_dir():
            raise SourceMissing(f"{root} does not exist or is no directory")
        if not self.try_reading():
            raise SourceMissing(f"no mailbox lies at {self._settings.template}")
        yield Capture(
            roots=(root,),
            excludes=(*self._places.excludes, *self._settings.exclude),
        )

    def dovecot_of(self, mailbox: str, path: str) -> Dovecot | None:
        """Return the Dovecot that serves a mailbox; one that was found once is kept."""
        if self._found is None and self._settings.dovecot == "auto":
            self._found = find_dovecot([(mailbox, Path("/", path))])
        return Dovecot(self._found) if self._found is not None else None


def detect_dovecot(settings: MaildirSettings) -> Doveadm | None:
    """Find the running Dovecot that serves a tree, by asking it where some mailboxes lie.

    Raises:
        ConfigurationInvalid: The template is not usable.
        SourceUnreadable: The mailboxes cannot be listed.
    """
    some = islice(_places(settings).tree.mailboxes(), _ASKED_MAILBOXES)
    found = find_dovecot((mailbox, Path("/", path)) for mailbox, path in some)
    logger.debug("%s is served by %s", settings.name, found.doveadm if found else "no Dovecot")
    return found


def _places(settings: MaildirSettings) -> Places:
    template = Template(settings.template)
    staging = settings.staging or template.root / _STAGING
    return Places.of(template, staging)
