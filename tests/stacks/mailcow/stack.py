"""A mailcow made of Debian's packages, run in containers for tests and for people who try things.

Real are Dovecot 2.3 with mail_crypt, lz4 and its quota in MariaDB; SOGo; MariaDB 10.11; Redis;
memcached; and everything by which mailcow is recognised: names, labels, volumes, mounts, tables,
mailcow.conf. Doubles are the API, the watchdog, and the idle services; their contracts stand in
`stores/` and in docs/decisions/0012-a-mailcow-made-of-debian.md.

As in mailcow, no container of these has a health check: whoever starts one finds out by asking it.
"""

import hashlib
import http.client
import imaplib
import io
import json
import secrets
import shutil
import socket
import tarfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Self

import docker
import pymysql
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from docker.models.containers import Container

from mailrewind.errors import MailrewindError
from mailrewind.transports.containers import Project as Containers
from mailrewind.transports.processes import Completed
from tests.dovecot import quoted
from tests.stacks.mailcow import images
from tests.stacks.mailcow.containers import SCRATCH, Project, remove_leftovers
from tests.stacks.mailcow.directory import make_directory, read_configuration
from tests.stacks.mailcow.groupware import Groupware
from tests.stacks.mailcow.services import SERVICES

READY_SECONDS = 60
# What asking a service raises that does not answer yet.
NOT_YET = (
    AssertionError,
    MailrewindError,
    OSError,
    ValueError,
    http.client.HTTPException,
    imaplib.IMAP4.error,
    pymysql.MySQLError,
)
_BOX_OF_EVENTS = "Calendar/"
_BOX_OF_CONTACTS = "Contacts/"


class MailcowStack:
    """A mailcow that can be looked into, broken, and made anew.

    Use it as a context manager: it runs within, and nothing of it is left afterwards.

    Args:
        domains: The mail domains that exist before the first mailbox does.
        maildir_sub: "Maildir", or "" as in installations of before 2019.
        watchdog: Whether the watchdog runs. Off, a test need not stop it before it stops others.
        directory: Where mailcow's directory shall be, instead of among temporary ones.
        project: The compose project's name, instead of one of its own.
    """

    def __init__(
        self,
        *,
        domains: Sequence[str] = ("example.org",),
        maildir_sub: str = "Maildir",
        watchdog: bool = True,
        directory: Path | None = None,
        project: str = "",
    ) -> None:
        self.project = project or f"mailcow{secrets.token_hex(4)}"
        self.directory = directory or Path(mkdtemp(prefix=SCRATCH)) / "mailcow-dockerized"
        self.passwords: dict[str, str] = {}
        self._domains = tuple(domains)
        self._maildir_sub = maildir_sub
        self._watchdog = watchdog
        self._client: docker.DockerClient | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.destroy()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.destroy()

    # --- its life

    def start(self) -> None:
        """Make a new installation, and wait until each service answers."""
        images.ensure_engine()
        remove_leftovers(self.client)
        make_directory(self.directory, project=self.project, maildir_sub=self._maildir_sub)
        self._set_up(self._domains)

    def destroy(self) -> None:
        """Remove containers, volumes, network and directory, whatever there is of them."""
        if self._client is not None:
            self._project.remove()
            self._client.close()
            self._client = None
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.directory.parent.name.startswith(SCRATCH):
            shutil.rmtree(self.directory.parent, ignore_errors=True)

    def restart_empty(self, *, keep_configuration: bool = False) -> None:
        """Lose the host and install mailcow anew: same names, and nothing in it.

        Args:
            keep_configuration: Keep mailcow's directory, as if it had been put back before the
                first start; else mailcow.conf has new passwords and other ports.
        """
        self._project.remove()
        if not keep_configuration:
            make_directory(self.directory, project=self.project, maildir_sub=self._maildir_sub)
        self._set_up(())

    def recreate(self) -> None:
        """Do as `docker compose up -d --force-recreate`: new containers after mailcow.conf."""
        self._project.remove_containers()
        self._project.make_containers(images.ensure_images(self.client), self.configuration)
        self._start_all(())

    # --- what it is made of

    @property
    def client(self) -> docker.DockerClient:
        if self._client is None:
            self._client = docker.from_env()
        return self._client

    @property
    def configuration(self) -> dict[str, str]:
        """The settings of mailcow.conf."""
        return read_configuration(self.directory)

    def service(self, name: str) -> Container:
        """Return the container of "dovecot-mailcow" or, for short, "dovecot", as it is now."""
        return self._project.container(_full(name))

    def volume(self, name: str) -> Path:
        """Return where a volume like "vmail-vol-1" lies on the host."""
        return self._project.volume(name)

    def run(self, service: str, *argv: str, user: str = "") -> tuple[int, str, str]:
        """Run a program in a service's container; return its exit code and what it said."""
        done = self._run(service, argv, user=user or "root")
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr

    def stop(self, *names: str) -> None:
        """Stop services, the watchdog first if it is among them."""
        for name in sorted(names, key=lambda name: "watchdog" not in name):
            self.service(name).stop(timeout=10)

    def wait(self, *names: str) -> None:
        """Wait until services answer that were started."""
        probes = self._probes()
        for name in names:
            _wait(probes.get(_full(name), lambda: None), name)

    def restart(self, name: str) -> None:
        self.service(name).restart(timeout=10)
        self.wait(name)

    # --- mail

    def add_domain(self, domain: str) -> None:
        """Add a mail domain with its DKIM key; SOGo is started again to know it."""
        self._add_domain(domain)
        self.restart("sogo")

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

    # --- stores

    def sql(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Run a statement as mailcow's database user; return the rows."""
        with self._database().cursor() as cursor:
            try:
                cursor.execute(query, values or None)
                return list(cursor.fetchall())
            finally:
                cursor.connection.close()

    def redis(self, *command: str) -> str:
        """Run a command of Redis; return what redis-cli prints."""
        environment = {"REDISCLI_AUTH": self.configuration["REDISPASS"]}
        argv = ["redis-cli", "--no-auth-warning", *command]
        done = self._run("redis", argv, environment=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().removesuffix("\n")

    def api(self, method: str, path: str, body: object = None) -> list[dict[str, object]]:
        """Ask mailcow's API with the key of mailcow.conf; `path` is like "get/mailbox/…"."""
        configuration = self.configuration
        host = configuration["HTTP_BIND"], int(configuration["HTTP_PORT"])
        connection = http.client.HTTPConnection(*host, timeout=30)
        headers = {"X-API-Key": configuration["API_KEY"], "Content-Type": "application/json"}
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1/{path}", body=content, headers=headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        assert response.status == 200, answer
        return answer if isinstance(answer, list) else [answer]

    # --- calendars and contacts

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

    # --- how it is done

    @property
    def _project(self) -> Project:
        return Project(self.client, self.project, self.directory)

    def _run(
        self,
        service: str,
        argv: Sequence[str],
        *,
        user: str = "root",
        environment: Mapping[str, str] | None = None,
    ) -> Completed:
        # The SDK's own exec_run loses the output, once in a while, of a command that is quick.
        with Containers(self.project) as containers:
            return containers.execute(_full(service), argv, user=user, environment=environment)

    def _set_up(self, domains: Sequence[str]) -> None:
        self.passwords.clear()
        names = images.ensure_images(self.client)
        self._project.make_network()
        self._project.make_volumes()
        self._project.make_containers(names, self.configuration)
        self._start_all(domains)

    def _start_all(self, domains: Sequence[str]) -> None:
        first = ["mysql-mailcow", "redis-mailcow", "memcached-mailcow"]
        others = [service.name for service in SERVICES if service.name not in first]
        if not self._watchdog:
            others.remove("watchdog-mailcow")
        self._project.start(first)
        self.wait(*first)
        for domain in domains:
            self._add_domain(domain)
        self._project.start(others)
        self.wait(*others)

    def _add_domain(self, domain: str) -> None:
        self.sql(
            "INSERT INTO domain (domain, aliases, mailboxes) VALUES (%s, 400, 100)",
            domain,
        )
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        spelled = "".join(public.decode().splitlines()[1:-1])
        self.redis("HSET", "DKIM_PUB_KEYS", domain, spelled)
        self.redis("HSET", "DKIM_PRIV_KEYS", f"dkim.{domain}", private.decode().strip())
        self.redis("HSET", "DKIM_SELECTORS", domain, "dkim")

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

    def _database(self) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        configuration = self.configuration
        host, _, port = configuration["SQL_PORT"].rpartition(":")
        return pymysql.connect(
            host=host,
            port=int(port),
            user=configuration["DBUSER"],
            password=configuration["DBPASS"],
            database=configuration["DBNAME"],
            charset="utf8mb4",
            autocommit=True,
        )

    def _probes(self) -> Mapping[str, Callable[[], object]]:
        return {
            "mysql-mailcow": lambda: self.sql("SELECT 1"),
            "redis-mailcow": lambda: self.redis("PING"),
            "dovecot-mailcow": self._greeted,
            "sogo-mailcow": self._sogo_answers,
            "nginx-mailcow": lambda: self.api("GET", "get/mailbox/nobody@example.org"),
        }

    def _greeted(self) -> None:
        host, _, port = self.configuration["IMAP_PORT"].rpartition(":")
        imaplib.IMAP4(host, int(port), timeout=5).logout()

    def _sogo_answers(self) -> None:
        address = self._project.address("sogo-mailcow")
        connection = http.client.HTTPConnection(address, 20000, timeout=5)
        try:
            connection.request("GET", "/SOGo/")
            assert connection.getresponse().read() is not None
        finally:
            connection.close()


def hashed(password: str) -> str:
    """Return a password as mailcow's tables hold it, in Dovecot's scheme SSHA256."""
    salt = secrets.token_bytes(8)
    digest = hashlib.sha256(password.encode() + salt).digest()
    return "{SSHA256}" + b64encode(digest + salt).decode()


def _full(name: str) -> str:
    return name if name.endswith("-mailcow") else f"{name}-mailcow"


def _crlf(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _wait(probe: Callable[[], object], name: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            probe()
        except NOT_YET as error:
            last = error
        else:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} did not answer in {READY_SECONDS} s: {last!r}")
        time.sleep(0.1)
