"""A small office: a Maildir tree without Dovecot, a real borg repository, services over both."""

import itertools
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

from mailrewind.config import load
from mailrewind.model.restores import RestoreRequest
from mailrewind.notify import Note
from mailrewind.ports import Archives
from mailrewind.services.back_up import BackUp
from mailrewind.services.browse import Browse
from mailrewind.services.connected import ConnectedSystem
from mailrewind.services.operations import Operations
from mailrewind.services.restore import Restore
from mailrewind.services.retain import Retain
from mailrewind.services.undo import Undo
from mailrewind.transports.processes import this_process
from mailrewind.wiring import Services, wire
from tests.doubles import MemoryArchives

ADA = "ada@example.org"
BOB = "bob@example.org"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

CONFIGURATION = """\
time_zone: Europe/Athens
data_dir: {data}
repositories:
  main:
    location: {repository}
    passphrase: {{file: {passphrase}}}
    lock_wait_seconds: 1
systems:
  office:
    kind: maildir
    mailboxes: {mail}/{{domain}}/{{local}}/Maildir
    repository: main
    dovecot: no
"""

Seen = tuple[str, str, str, frozenset[str], datetime]


@dataclass
class Clock:
    """A clock that a test sets; it stands still."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **amount: float) -> None:
        self.now += timedelta(**amount)


@dataclass
class Office:
    """The office below one directory.

    Attributes:
        root: Everything lies below it.
        clock: What time the services believe it is.
    """

    root: Path
    clock: Clock = field(default_factory=Clock)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        (self.root / "mail").mkdir(parents=True)
        self.passphrase.write_text("correct horse\n")
        self.passphrase.chmod(0o600)
        self.configuration.write_text(
            CONFIGURATION.format(
                data=self.root / "data",
                repository=self.root / "repository",
                passphrase=self.passphrase,
                mail=self.root / "mail",
            )
        )
        self.add_mailbox(ADA)
        self.add_mailbox(BOB)
        self.services = self.wire()

    @property
    def configuration(self) -> Path:
        return self.root / "mailrewind.yaml"

    @property
    def passphrase(self) -> Path:
        return self.root / "passphrase"

    def wire(self) -> Services:
        """Return services of their own, as another process would have."""
        return wire(load(self.configuration), clock=self.clock)

    def keep_archives_in_memory(self, archives: Archives | None = None) -> "Office":
        """Do without borg, where a test is about what surrounds it; return the office itself.

        Given the archives of before, it is as another process would find everything.
        """
        wired = self.wire()
        self.serve(wired, replace(wired.connect("office"), archives=archives or MemoryArchives()))
        return self

    def move_to_another_repository(self, before: Archives) -> None:
        """Make further points elsewhere; "main" stays configured."""
        wired = self.wire()
        moved = replace(
            wired.connect("office"),
            repository="other",
            archives=MemoryArchives(),
            repository_named={"main": before}.get,
        )
        self.serve(wired, moved)

    def serve(self, wired: Services, connected: ConnectedSystem) -> None:
        """Put other adapters below the services."""
        rest = {"zone": wired.config.zone, "clock": self.clock}

        def connect(system: str) -> ConnectedSystem:
            return connected if system == "office" else wired.connect(system)

        restore = Restore(connect, wired.state, Note(), **rest)
        operations = Operations(connect, wired.state, Note(), **rest)
        self.services = replace(
            wired,
            connect=connect,
            back_up=BackUp(connect, wired.state, process=this_process(), clock=self.clock),
            browse=Browse(connect, wired.state, **rest),
            restore=restore,
            operations=operations,
            undo=Undo(restore, operations, wired.state),
            retain=Retain(connect, wired.state, **rest),
        )

    def maildir(self, mailbox: str, folder: str = "") -> Path:
        """Return a folder's directory; ``folder`` is as on disk, such as ".Projects.2026"."""
        local, _, domain = mailbox.partition("@")
        return self.root / "mail" / domain / local / "Maildir" / folder

    def add_mailbox(self, mailbox: str) -> None:
        self.add_folder(mailbox, "")

    def add_folder(self, mailbox: str, folder: str) -> None:
        for part in ("tmp", "new", "cur"):
            (self.maildir(mailbox, folder) / part).mkdir(parents=True, exist_ok=True)

    def add(
        self,
        mailbox: str = ADA,
        folder: str = "",
        *,
        text: str = "hello",
        flags: str = "S",
        received: datetime = NOON - timedelta(days=3),
    ) -> Path:
        """Put one message into a folder, as a mail server would."""
        number = next(self._numbers)
        content = f"Message-ID: <{number}@x>\nSubject: {text} {number}\n\n{text}\n".encode()
        self.add_folder(mailbox, folder)
        name = f"{1_700_000_000 + number}.M{number}P1.mx,S={len(content)}:2,{flags}"
        path = self.maildir(mailbox, folder) / "cur" / name
        path.write_bytes(content)
        os.utime(path, (received.timestamp(), received.timestamp()))
        return path

    def add_many(self, count: int, mailbox: str = ADA, folder: str = "") -> list[Path]:
        return [self.add(mailbox, folder) for _ in range(count)]

    def back_up(self) -> str:
        """Make a restore point, and let an hour pass."""
        point = self.services.back_up.run("office", initiator="test").point
        self.clock.pass_(hours=1)
        return point

    def ask(self, mailbox: str = ADA, **wishes: object) -> RestoreRequest:
        return RestoreRequest("office", mailbox, initiator="test", **wishes)

    def lose_catalogue(self, *, to: bytes = b"") -> None:
        """Remove the catalogue's files, or put something else in their place."""
        for file in (self.root / "data" / "catalog").iterdir():
            file.unlink()
        if to:
            (self.root / "data" / "catalog" / "office.db").write_bytes(to)

    def snapshot(self, mailbox: str = ADA) -> "Counter[Seen]":
        """Return everything a person would notice: folder, GUID, content, flags and date."""
        system = self.services.connect("office").mail
        return Counter(
            (
                message.folder,
                message.guid,
                blake2b(system.content(message)).hexdigest(),
                message.flags,
                message.received,
            )
            for message in system.messages(mailbox)
        )


def remove(paths: Iterable[Path]) -> None:
    """Expunge messages."""
    for path in paths:
        path.unlink()
