"""Where a mailcow's mailboxes lie, as its Dovecot says, and how Dovecot calls those places."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailrewind.errors import MailServerFailed, MailSystemError
from mailrewind.systems.doveadm import Dovecot
from mailrewind.systems.mailcow.installation import DOVECOT, Installation
from mailrewind.systems.maildirs import Places
from mailrewind.systems.template import Template
from mailrewind.transports.processes import Completed

logger = logging.getLogger(__name__)

GARBAGE = "_garbage"
STAGING = "mailrewind-staging"
# What mailboxes were before they were replaced: mailcow would clear it out of its garbage too soon.
KEPT = "_mailrewind"

_THERE = Path("/var/vmail")
_MASTER_DOMAIN = "@mailcow.local"
_ASKED_USERS = 3
# Of deleted mailboxes, and of scripts: they look like domains.
_NO_DOMAINS = (GARBAGE, KEPT, "sieve")
# A volume keeps its name's end when the project, or Docker's own directory, has another name.
_FORMER_ROOTS = r"(?:[^/]+/)*[^/]*vmail-vol-1/_data"


@dataclass(frozen=True, slots=True)
class Layout:
    """How the directories of mailboxes are named.

    Attributes:
        vmail: Where the mail lies on this host.
        subdirectory: Of a home, that holds its Maildir; "" where the home itself is one.
        told_by: Who said so: "Dovecot" or "mailcow.conf".
        elsewhere: Users that Dovecot keeps in other places.
    """

    vmail: Path
    subdirectory: str
    told_by: str
    elsewhere: tuple[str, ...] = ()

    @property
    def template(self) -> str:
        """The path template of a mailbox's Maildir."""
        return str(self.vmail / "{domain}" / "{local}" / self.subdirectory)

    @property
    def places(self) -> Places:
        """Where mailboxes and the staging directory lie.

        Restores are staged in mailcow's own garbage: it is on the same disk, which lets Dovecot
        link instead of copy, and what a crash leaves is cleared after some days.
        """
        return Places.of(
            Template(self.template, former_roots=_FORMER_ROOTS, no_domains=_NO_DOMAINS),
            self.vmail / GARBAGE / STAGING,
        )


class DoveadmInContainer:
    """The doveadm of a mailcow; see ``systems.doveadm.Administration``."""

    def __init__(self, installation: Installation, vmail: Path) -> None:
        self._installation = installation
        self._vmail = vmail

    def run(self, arguments: Sequence[str], *, timeout_seconds: float | None) -> Completed:
        """See the protocol."""
        return self._installation.project.execute(
            DOVECOT, ["doveadm", *arguments], timeout_seconds=timeout_seconds
        )

    def there(self, path: Path) -> Path:
        """See the protocol."""
        return _moved(path, self._vmail, _THERE)

    def here(self, path: Path) -> Path:
        """See the protocol."""
        return _moved(path, _THERE, self._vmail)


def find_layout(installation: Installation, dovecot: Dovecot, vmail: Path) -> Layout:
    """Ask Dovecot where some mailboxes lie; while it is down, mailcow.conf has to do.

    Raises:
        MailServerFailed: Dovecot keeps mail in a way that is no Maildir of mailcow's.
        MailSystemError: Neither can be asked.
    """
    try:
        asked = mail_users(dovecot)[:_ASKED_USERS]
        served = {user: dovecot.serves(user).path for user in asked}
    except MailSystemError as error:
        logger.info("Dovecot does not say where mailboxes lie: %s", error)
        served = {}
    below = {user: _below_home(user, path, vmail) for user, path in served.items()}
    told = Counter(name for name in below.values() if name is not None)
    if not told and served:
        user, path = next(iter(served.items()))
        raise MailServerFailed(
            f"Dovecot keeps {user} at {path or 'no Maildir'}, which is no place below {vmail}",
            advice="mailrewind reads mailboxes in the volume vmail-vol-1, in the form Maildir.",
        )
    if not told:
        return Layout(vmail, installation.settings.get("MAILDIR_SUB", ""), "mailcow.conf")
    [(subdirectory, _)] = told.most_common(1)
    elsewhere = tuple(user for user, name in below.items() if name != subdirectory)
    return Layout(vmail, subdirectory, "Dovecot", elsewhere)


def mail_users(dovecot: Dovecot) -> list[str]:
    """Return the addresses that Dovecot knows, without mailcow's own master user.

    Raises:
        MailSystemError: It cannot be asked.
    """
    return [user for user in dovecot.users() if "@" in user and not user.endswith(_MASTER_DOMAIN)]


def _below_home(user: str, path: Path | None, vmail: Path) -> str | None:
    """Return the name of a Maildir below the home that mailcow gives a user; None if elsewhere."""
    local, _, domain = user.rpartition("@")
    home = vmail / domain / local
    if path == home:
        return ""
    return path.name if path is not None and path.parent == home else None


def _moved(path: Path, origin: Path, target: Path) -> Path:
    return target / path.relative_to(origin) if path.is_relative_to(origin) else path
