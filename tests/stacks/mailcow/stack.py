"""A mailcow made of Debian's packages, run in containers for tests and for people who try things.

Real are Dovecot 2.3 with mail_crypt, lz4 and its quota in MariaDB; SOGo; MariaDB 10.11; Redis;
memcached; and everything by which mailcow is recognised: names, labels, volumes, mounts, tables,
mailcow.conf. Doubles are the API, the watchdog, and the idle services; their contracts stand in
`stores/` and in docs/decisions/0012-a-mailcow-made-of-debian.md.

As in mailcow, no container of these has a health check: whoever starts one finds out by asking it.
"""

import hashlib
import imaplib
import io
import secrets
import socket
import tarfile
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.dovecot import quoted
from tests.stacks.mailcow.groupware import Groupware
from tests.stacks.mailcow.installation import Installation

_BOX_OF_EVENTS = "Calendar/"
_BOX_OF_CONTACTS = "Contacts/"


class MailcowStack(Installation):
    """A mailcow with mailboxes, calendars and contacts, to be looked into, broken and made anew.

    See `Installation` for its arguments, its life and its stores.
    """

    def add_mailbox(self, address: str, password: str = "", quota_mib: int = 1024) -> None:
        """Add a mailbox through the API; its domain, too, if it is new."""
        local, _, domain = address.partition("@")
        if not self.sql("SELECT 1 FROM domain WHERE domain = %s", domain):
            self.add_domain(domain)
        password = password or secrets.token_urlsafe(9)
        wanted = {
            "local_part": local,
            "domain": domain,
            "name": local.replace(".", " ").title(),
            "authsource": "mailcow",
            "password": password,
            "password2": password,
            "quota": str(quota_mib),
            "active": "1",
        }
        answer = self.api("POST", "add/mailbox", wanted)
        assert answer[0]["type"] == "success", answer
        self.passwords[address] = password
        # Dovecot lays the maildir out at the first login.
        with self.imap(address):
            pass

    def delete_mailbox(self, address: str) -> None:
        """Delete a mailbox as mailcow does: its rows go, its mail lies in _garbage for a while."""
        answer = self.api("POST", "delete/mailbox", [address])
        assert answer[0]["type"] == "success", answer

    def imap(self, address: str, password: str = "") -> imaplib.IMAP4:
        """Log in as a user; use the connection in a `with`, which logs out."""
        host, _, port = self.configuration["IMAP_PORT"].rpartition(":")
        connection = imaplib.IMAP4(host, int(port), timeout=60)
        # imaplib sends a message in two pieces: the second would wait 40 ms for the first.
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            connection.login(address, password or self.passwords[address])
        except imaplib.IMAP4.error:
            connection.shutdown()
            raise
        return connection

    def deliver(
        self,
        address: str,
        folder: str,
        contents: Iterable[bytes],
        *,
        flags: Sequence[str] = (),
        received: datetime | None = None,
    ) -> list[int]:
        """Put messages into a folder over IMAP, making it if needed; return their UIDs.

        Args:
            address: The mailbox.
            folder: Its path, with "/" between the names.
            contents: The messages; LF becomes the network's line end.
            flags: Flags with a backslash and keywords without, for all of them.
            received: Their INTERNALDATE.
        """
        name = quoted(folder)
        when = imaplib.Time2Internaldate(received or datetime(2026, 11, 12, 13, tzinfo=UTC))
        uids = []
        with self.imap(address) as imap:
            imap.create(name)
            imap.subscribe(name)
            for content in contents:
                status, answer = imap.append(name, f"({' '.join(flags)})", when, _crlf(content))
                assert status == "OK", answer
                uids.append(int(answer[0].split(b"]")[0].split()[-1]))
        return uids

    def plant_plain(self, address: str, folder: str, content: bytes) -> None:
        """Save a message as a mailcow of before mail_crypt and compression did."""
        self._plant(address, folder, content, "mail_plugins=quota acl")

    def plant_compressed(self, address: str, folder: str, content: bytes) -> None:
        """Save a message that is compressed and not encrypted."""
        self._plant(address, folder, content, "mail_plugins=quota acl zlib")

    def plant_uncompressed(self, address: str, folder: str, content: bytes) -> None:
        """Save a message that is encrypted and not compressed."""
        self._plant(address, folder, content, "plugin/zlib_save=")

    def doveadm(self, *argv: str) -> tuple[int, str, str]:
        """Run doveadm as root in Dovecot's container."""
        return self.run("dovecot", "doveadm", *argv)

    def maildir(self, address: str) -> Path:
        """Return where a mailbox's maildir lies on the host."""
        local, _, domain = address.partition("@")
        return self.volume("vmail-vol-1") / domain / local / self._maildir_sub

    def quota(self, address: str) -> tuple[int, int]:
        """Return bytes and messages as quota2 has them."""
        rows = self.sql("SELECT bytes, messages FROM quota2 WHERE username = %s", address)
        return (int(str(rows[0][0])), int(str(rows[0][1])))

    @property
    def groupware(self) -> Groupware:
        """SOGo's calendars and contacts; the methods below are the ones most tests need."""
        return Groupware(self._project.address("sogo-mailcow"))

    def put_event(self, user: str, calendar: str, name: str, ics: str) -> None:
        self.groupware.put(user, _BOX_OF_EVENTS + calendar, name, ics)

    def put_contact(self, user: str, book: str, name: str, vcf: str) -> None:
        self.groupware.put(user, _BOX_OF_CONTACTS + book, name, vcf)

    def make_calendar(self, user: str, calendar: str) -> None:
        self.groupware.make_calendar(user, calendar)

    def events(self, user: str, calendar: str = "personal") -> dict[str, str]:
        """Return a calendar's events by the names they have in DAV."""
        return self.groupware.items(user, _BOX_OF_EVENTS + calendar)

    def contacts(self, user: str, book: str = "personal") -> dict[str, str]:
        return self.groupware.items(user, _BOX_OF_CONTACTS + book)

    def delete_event(self, user: str, calendar: str, name: str) -> None:
        self.groupware.delete(user, _BOX_OF_EVENTS + calendar, name)

    def share(self, owner: str, calendar: str, user: str, role: str = "PublicViewer") -> None:
        """Let another user see an owner's calendar."""
        self.groupware.share(owner, _BOX_OF_EVENTS + calendar, user, role)

    def _plant(self, address: str, folder: str, content: bytes, setting: str) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo("planted.eml")
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
        self.service("dovecot").put_archive("/tmp", packed.getvalue())
        self.doveadm("mailbox", "create", "-s", "-u", address, folder)
        save = ("save", "-u", address, "-m", folder, "/tmp/planted.eml")
        status, _, said = self.doveadm("-o", setting, *save)
        assert status == 0, said


def hashed(password: str) -> str:
    """Return a password as mailcow's tables hold it, in Dovecot's scheme SSHA256."""
    salt = secrets.token_bytes(8)
    digest = hashlib.sha256(password.encode() + salt).digest()
    return "{SSHA256}" + b64encode(digest + salt).decode()


def _crlf(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
