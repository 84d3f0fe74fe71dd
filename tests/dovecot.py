"""A real Dovecot, from Debian's packages, run for tests in a directory of its own.

It serves Maildirs below ``root`` to users of a passwd-file, over IMAP on a free port of the
loopback. Nothing of the machine's own Dovecot is touched: configuration, sockets and mail lie
below one throw-away directory, and the processes end with the fixture.
"""

import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from mailrewind.formats import mutf7
from mailrewind.systems.maildir import Doveadm

PASSWORD = "pw"
MAIL_UID = 5000
_START_SECONDS = 20
_ESCAPE = r"\\"


@dataclass
class Dovecot:
    """A running Dovecot.

    Attributes:
        home: The directory that holds everything of it.
        port: Where it speaks IMAP on the loopback.
        uid: Owner of the mail.
        quota: Whether it counts and limits.
    """

    home: Path
    port: int
    uid: int
    settings: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def root(self) -> Path:
        return self.home / "vmail"

    @property
    def template(self) -> str:
        return f"{self.root}/{{domain}}/{{local}}/Maildir"

    @property
    def config(self) -> Path:
        return self.home / "dovecot.conf"

    @property
    def doveadm(self) -> Doveadm:
        return Doveadm(doveadm=Path(_program("doveadm")), config=self.config)

    @property
    def is_modern(self) -> bool:
        """Whether its settings have the names of Dovecot 2.4."""
        return is_modern()

    def maildir(self, address: str) -> Path:
        local, _, domain = address.rpartition("@")
        return self.root / domain / local / "Maildir"

    def add_user(self, address: str, *, storage_bytes: int | None = None) -> Path:
        """Add a user with an empty Maildir; a limit needs a Dovecot that was run with quota."""
        local, _, domain = address.rpartition("@")
        home = self.root / domain / local
        name = "quota/user/storage_size=" if self.is_modern else "quota_rule=*:bytes="
        rule = f"userdb_{name}{storage_bytes}" if storage_bytes is not None else ""
        line = f"{address}:{{PLAIN}}{PASSWORD}:{self.uid}:{self.uid}::{home}::{rule}\n"
        # A file for each user: Dovecot looks for changes of one only once a second.
        (self.home / "users" / address).write_text(line)
        home.mkdir(parents=True, mode=0o700)
        for directory in (home.parent, home):
            os.chown(directory, self.uid, self.uid)
        self.run("mailbox", "list", "-u", address)
        with self.imap(address) as imap:
            imap.select("INBOX")
        return self.maildir(address)

    def remove_mail(self) -> None:
        """Remove the mail of all users; add them again before they are used."""
        for entry in self.root.iterdir():
            if entry.is_symlink():
                entry.unlink()
            else:
                shutil.rmtree(entry)

    def run(self, *arguments: str) -> str:
        """Run doveadm and return what it said; fail if it failed."""
        done = subprocess.run(
            [_program("doveadm"), "-c", str(self.config), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"doveadm {arguments}: {done.returncode} {done.stderr}"
        return done.stdout

    @contextmanager
    def imap(self, address: str) -> Iterator[imaplib.IMAP4]:
        """Log in as a user."""
        connection = imaplib.IMAP4("127.0.0.1", self.port, timeout=30)
        try:
            connection.login(address, PASSWORD)
            yield connection
        finally:
            connection.logout()

    def append(
        self,
        address: str,
        folder: str,
        content: bytes,
        *,
        flags: str = "",
        received: datetime | None = None,
    ) -> None:
        """Put a message into a folder over IMAP, making the folder if needed."""
        name = quoted(folder)
        when = imaplib.Time2Internaldate(received or datetime(2026, 11, 12, 13, tzinfo=UTC))
        with self.imap(address) as imap:
            imap.create(name)
            imap.subscribe(name)
            status, answer = imap.append(name, f"({flags})", when, content)
        assert status == "OK", answer

    def seen(self, address: str, folder: str = "INBOX") -> list["Seen"]:
        """Return a folder's messages as an IMAP client sees them, by UID."""
        with self.imap(address) as imap:
            status, answer = imap.select(quoted(folder), readonly=True)
            assert status == "OK", answer
            _, data = imap.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")
        return [_seen(*item) for item in zip(data[::2], data[1::2], strict=True)] if data[0] else []

    def folders(self, address: str, *, subscribed: bool = False) -> set[str]:
        """Return the paths of a user's folders."""
        option = ["-s"] if subscribed else []
        listing = self.run("mailbox", "list", *option, "-u", address)
        return set(listing.splitlines())

    def without_escapes(self) -> None:
        """Run on without what lets folder names hold dots."""
        line = "mailbox_list_storage_escape_char" if self.is_modern else "mail_plugins = listescape"
        self.configure(line, f"#{line}")

    def configure(self, old: str, new: str) -> None:
        """Change the configuration, and run with it."""
        self.stop()
        self.config.write_text(self.config.read_text().replace(old, new))
        self.start()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def start(self) -> None:
        log = (self.home / "dovecot.log").open("ab")
        self.process = subprocess.Popen(
            [_program("dovecot"), "-F", "-c", str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                pytest.fail(f"Dovecot did not start: {(self.home / 'dovecot.log').read_text()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                return connection.recv(4) == b"* OK"
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Seen:
    """A message as IMAP shows it; line ends are those of the network."""

    uid: int
    flags: frozenset[str]
    received: datetime
    content: bytes


@contextmanager
def running_dovecot(*, settings: str = "", quota: bool = False) -> Iterator[Dovecot]:
    """Run a Dovecot, and remove it and everything it wrote in the end.

    Args:
        settings: More lines for its configuration.
        quota: Count and limit what users keep.
    """
    # Not below pytest's directories: the paths of Unix sockets end at 107 characters.
    home = Path(mkdtemp(prefix="dovecot-", dir="/tmp"))
    home.chmod(0o755)
    uid = MAIL_UID if os.geteuid() == 0 else os.geteuid()
    dovecot = Dovecot(home=home, port=_free_port(), uid=uid)
    dovecot.root.mkdir(mode=0o755)
    os.chown(dovecot.root, uid, uid)
    (home / "users").mkdir()
    dovecot.config.write_text(_configuration(dovecot, quota=quota) + settings)
    try:
        dovecot.start()
        yield dovecot
    finally:
        dovecot.stop()
        shutil.rmtree(home, ignore_errors=True)


@cache
def is_modern() -> bool:
    """Whether the installed Dovecot is 2.4 or newer; fail if there is none."""
    told = subprocess.run([_program("dovecot"), "--version"], capture_output=True, check=True)
    version = told.stdout.split()[0].split(b"-")[0]
    return tuple(map(int, version.split(b"."))) >= (2, 4)


def quoted(folder: str) -> str:
    """Return a folder's name as IMAP wants it."""
    name = mutf7.encode(folder).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}"'


def _configuration(dovecot: Dovecot, *, quota: bool) -> str:
    lines = _common(dovecot)
    lines += _modern(dovecot, quota) if dovecot.is_modern else _classic(dovecot, quota)
    if os.geteuid() != 0:
        user = pwd.getpwuid(dovecot.uid).pw_name
        lines += f"default_internal_user = {user}\ndefault_login_user = {user}\n"
        lines += "service anvil {\n  chroot =\n}\nservice imap-login {\n  chroot =\n}\n"
    return lines


def _common(dovecot: Dovecot) -> str:
    first = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
    return f"""{first if dovecot.is_modern else ""}
base_dir = {dovecot.home}/run
state_dir = {dovecot.home}/run
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
ssl = no
auth_mechanisms = plain
mail_uid = {dovecot.uid}
mail_gid = {dovecot.uid}
first_valid_uid = 1
first_valid_gid = 0
maildir_very_dirty_syncs = yes
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  inet_listener imap {{
    port = {dovecot.port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


def _classic(dovecot: Dovecot, quota: bool) -> str:
    """Return the settings as Dovecot 2.3 names them."""
    return f"""
disable_plaintext_auth = no
mail_home = {dovecot.root}/%d/%n
mail_location = maildir:{dovecot.root}/%d/%n/Maildir
mail_plugins = listescape {"quota" if quota else ""}
passdb {{
  driver = passwd-file
  args = {dovecot.home}/users/%u
}}
userdb {{
  driver = passwd-file
  args = {dovecot.home}/users/%u
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:bytes=1G
  quota_grace = 0
}}
"""


def _modern(dovecot: Dovecot, quota: bool) -> str:
    """Return the settings as Dovecot 2.4 names them."""
    return f"""
auth_allow_cleartext = yes
mail_driver = maildir
mail_home = {dovecot.root}/%{{user | domain}}/%{{user | username}}
mail_path = %{{home}}/Maildir
mailbox_list_storage_escape_char = "{_ESCAPE}"
mail_plugins {{
  quota = {"yes" if quota else "no"}
}}
passdb passwd-file {{
  passwd_file_path = {dovecot.home}/users/%{{user}}
}}
userdb passwd-file {{
  passwd_file_path = {dovecot.home}/users/%{{user}}
}}
quota user {{
  driver = count
  storage_size = 1G
}}
quota_storage_grace = 0
"""


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
    if found is None:
        pytest.fail(f"{name} is not installed: apt install dovecot-imapd dovecot-lmtpd")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _seen(item: tuple[bytes, bytes], _end: bytes) -> Seen:
    about, content = item
    uid = int(about.split(b"UID ")[1].split()[0])
    received = imaplib.Internaldate2tuple(about)
    assert received is not None
    return Seen(
        uid=uid,
        flags=frozenset(flag.decode() for flag in imaplib.ParseFlags(about)) - {"\\Recent"},
        received=datetime.fromtimestamp(time.mktime(received), UTC),
        content=content,
    )
