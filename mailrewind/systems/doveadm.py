"""Dovecot's administration tool, and what its exit codes do not tell.

``import`` ends with 0 when its source does not exist and with 134 when all messages are in; so
nothing here decides by the exit code alone whether something was done, its caller looks.
"""

import json
import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mailrewind.errors import (
    DeliveryFailed,
    MailboxNotFound,
    MailServerFailed,
    MailServerUnreachable,
    MailSystemError,
)
from mailrewind.model.mail import Quota
from mailrewind.transports.processes import Completed, run

logger = logging.getLogger(__name__)

_NO_SUCH_USER = 67
_USUAL_PLACES = "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/opt/dovecot/bin"
_LOOKUP_SECONDS = 20.0
_UIDS_AT_ONCE = 500
_MASKS = frozenset("*?")
# In a mail_location ":" ends the path and "%" begins a variable.
_UNUSABLE = frozenset(":%")


class Administration(Protocol):
    """A doveadm, wherever it runs; there, directories may have other paths than here."""

    def run(self, arguments: Sequence[str], *, timeout_seconds: float | None) -> Completed:
        """Run it to its end; a bad exit code is the caller's to judge.

        Raises:
            MailServerUnreachable: It does not run, or not to its end in time.
            MailServerFailed: There is no such program.
        """
        ...

    def there(self, path: Path) -> Path:
        """Return what a path of this host is called where doveadm runs."""
        ...

    def here(self, path: Path) -> Path:
        """Return the path on this host of what doveadm calls so."""
        ...


@dataclass(frozen=True, slots=True)
class Doveadm:
    """A doveadm of this host.

    Attributes:
        doveadm: The executable.
        config: The configuration that it reads; None for its own default.
    """

    doveadm: Path
    config: Path | None = None

    def run(self, arguments: Sequence[str], *, timeout_seconds: float | None) -> Completed:
        """See the protocol."""
        configuration = ["-c", str(self.config)] if self.config is not None else []
        try:
            return run(
                [str(self.doveadm), *configuration, *arguments], timeout_seconds=timeout_seconds
            )
        except FileNotFoundError as error:
            raise MailServerFailed(
                f"{self.doveadm} is not there",
                advice="Check the `dovecot` setting of the system.",
            ) from error
        except TimeoutError as error:
            raise MailServerUnreachable(f"{self.doveadm} does not answer: {error}") from error

    def there(self, path: Path) -> Path:
        """See the protocol."""
        return path

    def here(self, path: Path) -> Path:
        """See the protocol."""
        return path


@dataclass(frozen=True, slots=True)
class Served:
    """How Dovecot serves a mailbox.

    Attributes:
        path: Its Maildir; None if it is none, or not laid out as Maildir++.
        is_modern: It is Dovecot 2.4 or newer, where settings have other names and a location
            to import from names no layout.
    """

    path: Path | None
    is_modern: bool


class Dovecot:
    """A Dovecot, asked and told through doveadm; all paths are those of this host."""

    def __init__(self, administration: Administration) -> None:
        self._administration = administration

    def serves(self, mailbox: str) -> Served:
        """Say how Dovecot serves a mailbox.

        Raises:
            MailboxNotFound: It knows no such user.
            MailServerUnreachable: It does not run.
            MailServerFailed: It answered something else.
        """
        done = self._run(
            "-f", "json", "user", "--", _user(mailbox), timeout_seconds=_LOOKUP_SECONDS
        )
        fields = _fields(done.stdout)
        if done.returncode != 0 or not {"mail", "mail_path"} & fields.keys():
            raise _error(done, f"looking up {mailbox}")
        if "mail_path" in fields:
            is_maildir = fields.get("mail_driver", "maildir") == "maildir"
            return Served(self._here(fields["mail_path"], fields) if is_maildir else None, True)
        kind, _, rest = fields["mail"].partition(":")
        is_maildir = kind == "maildir" and "LAYOUT=" not in rest
        path = rest.partition(":")[0]
        return Served(self._here(path, fields) if is_maildir else None, False)

    def directory_of(self, mailbox: str, name: str) -> str:
        """Return the name of the directory that Dovecot would use for a folder, or ""."""
        done = self._run("mailbox", "path", "-u", _user(mailbox), name)
        return done.stdout.decode(errors="replace").strip().rpartition("/")[2]

    def import_maildir(
        self,
        mailbox: str,
        source: Path,
        *,
        is_nested: bool,
        served: Served,
        subscribes: bool,
        ignores_quota: bool,
    ) -> Completed:
        """Import all messages of a staged Maildir; the caller looks what it has brought.

        Args:
            mailbox: Who gets them.
            source: The staged Maildir.
            is_nested: Whether its folders lie within each other.
            served: What ``serves`` said.
            subscribes: Whether to subscribe to the folders.
            ignores_quota: Whether to go over the quota; it must be recalculated afterwards.
        """
        # Opening each message for the log, and one line for each, would take most of the time.
        options = ["-o", "mail_log_events=" if served.is_modern else "plugin/mail_log_events="]
        if ignores_quota:
            options += ["-o", "quota_enforce=no" if served.is_modern else "plugin/quota="]
        subscribe = ["-s"] if subscribes else []
        there = self._administration.there(source)
        location = f"maildir:{there}{':LAYOUT=fs' if is_nested else ''}"
        return self._run(*options, "import", *subscribe, "-u", _user(mailbox), location, "", "ALL")

    def recalculate_quota(self, mailbox: str) -> str:
        """Let Dovecot count anew what a mailbox holds; return what went wrong, or ""."""
        done = self._run("quota", "recalc", "-u", _user(mailbox))
        return "" if done.returncode == 0 or _has_no_quota(done) else _complaint(done)

    def kick(self, mailbox: str) -> None:
        """End the sessions of a user, if there are any; they may log in again at once."""
        self._run("kick", _user(mailbox), timeout_seconds=_LOOKUP_SECONDS)

    def resync(self, mailbox: str) -> str:
        """Let Dovecot look at all files of a mailbox anew; return what went wrong, or ""."""
        done = self._run("force-resync", "-u", _user(mailbox), "*")
        return "" if done.returncode == 0 else _complaint(done)

    def quota(self, mailbox: str) -> Quota | None:
        """Return the quota of a mailbox, of several the one with the least room.

        Raises:
            MailboxNotFound, MailServerUnreachable, MailServerFailed: As ``serves``.
        """
        done = self._run(
            "-f", "tab", "quota", "get", "-u", _user(mailbox), timeout_seconds=_LOOKUP_SECONDS
        )
        if _has_no_quota(done):
            return None
        if done.returncode != 0:
            raise _error(done, f"asking for the quota of {mailbox}")
        rows = [line.split("\t") for line in done.stdout.decode(errors="replace").splitlines()[1:]]
        storage = _tightest([row for row in rows if len(row) > 3 and row[1] == "STORAGE"], 1024)
        messages = _tightest([row for row in rows if len(row) > 3 and row[1] == "MESSAGE"], 1)
        return None if storage is None or messages is None else Quota(*storage, *messages)

    def expunge(self, mailbox: str, mailbox_guid: str, uids: Sequence[int]) -> str:
        """Take messages out of a folder; return what went wrong, or "".

        Args:
            mailbox: Address.
            mailbox_guid: Dovecot's GUID of the folder: a name could be read as a pattern.
            uids: IMAP UIDs.
        """
        complaints = []
        for start in range(0, len(uids), _UIDS_AT_ONCE):
            numbers = ",".join(map(str, uids[start : start + _UIDS_AT_ONCE]))
            query = ["mailbox-guid", mailbox_guid, "uid", numbers]
            done = self._run("expunge", "-u", _user(mailbox), *query)
            complaints += [_complaint(done)] if done.returncode else []
        return " ".join(complaints)

    def users(self) -> Sequence[str]:
        """Return the names of all users, master users too, in Dovecot's order.

        Raises:
            MailServerUnreachable, MailServerFailed: As ``serves``.
        """
        done = self._run("user", "*", timeout_seconds=_LOOKUP_SECONDS)
        if done.returncode != 0:
            raise _error(done, "listing the users")
        return done.stdout.decode(errors="replace").split()

    def make_mailbox(self, mailbox: str) -> None:
        """Let Dovecot lay out the INBOX of a user who has had no mail yet.

        Raises:
            MailboxNotFound, MailServerUnreachable, MailServerFailed: As ``serves``.
        """
        done = self._run("mailbox", "status", "-u", _user(mailbox), "messages", "INBOX")
        if done.returncode != 0:
            raise _error(done, f"laying out the INBOX of {mailbox}")

    def notice(self, mailbox: str, mailbox_guid: str) -> None:
        """Let Dovecot look at a folder's files, so that each gets its UID."""
        query = ["mailbox-guid", mailbox_guid, "all"]
        self._run("-f", "tab", "fetch", "-u", _user(mailbox), "uid", *query)

    def can_read(self, directory: Path) -> bool:
        """Whether a directory's path may stand in a location to import from."""
        return not _UNUSABLE & set(str(self._administration.there(directory)))

    def _here(self, path: str, fields: dict[str, str]) -> Path:
        return self._administration.here(_place(path, fields))

    def _run(self, *arguments: str, timeout_seconds: float | None = None) -> Completed:
        return self._administration.run(arguments, timeout_seconds=timeout_seconds)


def find_dovecot(mailboxes: Iterable[tuple[str, Path]]) -> Doveadm | None:
    """Find the running Dovecot that serves a tree.

    Args:
        mailboxes: Some addresses, and where the tree keeps them.
    """
    found = shutil.which("doveadm") or shutil.which("doveadm", path=_USUAL_PLACES)
    if found is None:
        return None
    doveadm = Doveadm(Path(found))
    for mailbox, path in mailboxes:
        try:
            served = Dovecot(doveadm).serves(mailbox).path
        except (MailServerUnreachable, MailServerFailed):
            return None
        except MailboxNotFound:
            continue
        if served is not None and is_same_directory(served, path):
            return doveadm
    return None


def is_same_directory(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same directory."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def failure_of(done: Completed, doing: str) -> MailSystemError:
    """Return the error for an import that did not bring what it should."""
    error = _error(done, doing)
    return error if done.returncode else DeliveryFailed(str(error))


def complaint_of(done: Completed) -> str:
    """Return what doveadm complained about, in one line; notes are left out."""
    return _complaint(done)


def _error(
    done: Completed, doing: str
) -> MailServerUnreachable | MailboxNotFound | MailServerFailed:
    text = f"{doing}: doveadm ended with {done.returncode}: {_complaint(done)}"
    if done.returncode == _NO_SUCH_USER:
        return MailboxNotFound(text)
    if "connect(" in done.stderr or "Connection refused" in done.stderr:
        return MailServerUnreachable(text)
    return MailServerFailed(text)


def _complaint(done: Completed) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if "Info:" not in line]
    return " ".join(line for line in lines if line)[-500:] or "without a word"


def _has_no_quota(done: Completed) -> bool:
    return done.returncode != 0 and "Unknown command 'quota'" in done.stderr


def _fields(output: bytes) -> dict[str, str]:
    try:
        parsed = json.loads(output)
        return {entry["field"]: entry["value"] for entry in parsed}
    except (ValueError, TypeError, KeyError):
        return {}


def _place(path: str, fields: dict[str, str]) -> Path:
    return Path(fields.get("home", ""), path[2:]) if path.startswith("~/") else Path(path)


def _tightest(rows: list[list[str]], unit: int) -> tuple[int, int | None] | None:
    """Return (used, limit) of the row with the least room."""
    counted = [
        (int(row[2]) * unit, int(row[3]) * unit if row[3].isdecimal() else None)
        for row in rows
        if row[2].lstrip("-").isdecimal()
    ]
    limited = [(limit - used, used, limit) for used, limit in counted if limit is not None]
    if limited:
        _, used, limit = min(limited)
        return used, limit
    return counted[0] if counted else None


def _user(mailbox: str) -> str:
    """Return the mailbox as doveadm's user.

    Raises:
        MailboxNotFound: Doveadm would take it for a pattern, and act on many users.
    """
    if _MASKS & set(mailbox) or not mailbox.isprintable():
        raise MailboxNotFound(f"{mailbox!r} cannot be the name of a user of Dovecot")
    return mailbox
