"""An installation of mailcow in containers: its life, its services, its stores; no mail yet."""

import http.client
import imaplib
import json
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir
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
from tests.stacks.mailcow import images
from tests.stacks.mailcow.containers import SCRATCH, Project, remove_leftovers
from tests.stacks.mailcow.directory import make_directory, read_configuration
from tests.stacks.mailcow.services import SERVICES

READY_SECONDS = 120
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


class Installation:
    """A mailcow that runs within a `with`, and of which nothing is left afterwards.

    Args:
        domains: The mail domains that exist before the first mailbox does.
        maildir_sub: "Maildir", or "" as in installations of before 2019.
        watchdog: Whether the watchdog runs. Off, a test need not stop it before it stops others.
        directory: Where mailcow's directory shall be, instead of among temporary ones.
        project: The compose project's name, instead of one of its own.

    Attributes:
        passwords: Of each mailbox that was added, a loss of the host notwithstanding.
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
        scratch = Path(gettempdir()) / f"{SCRATCH}{secrets.token_hex(4)}"
        self.directory = directory or scratch / "mailcow-dockerized"
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

    def sql(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Run a statement as mailcow's database user; return the rows."""
        with closing(self.database()) as connection, connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return list(cursor.fetchall())

    def database(self) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        """Return a connection as mailcow's database user; the caller closes it."""
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

    def add_domain(self, domain: str) -> None:
        """Add a mail domain with its DKIM key; SOGo is started again to know it."""
        self._add_domain(domain)
        self.restart("sogo")

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


def _full(name: str) -> str:
    return name if name.endswith("-mailcow") else f"{name}-mailcow"


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
