"""A mail system that lives in memory; it passes the conformance suite like the real ones."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from itertools import count

from mailrewind.errors import MailboxNotFound, MailSystemError
from mailrewind.model.mail import Delivery, Message, Quota
from mailrewind.model.reports import Finding
from mailrewind.model.restores import Added
from mailrewind.ports import ArchivedFile, Capture, Fetch, Part


class MemorySystem:
    """Mailboxes held in memory, one file per message under "memory/<mailbox>/<folder>/<number>".

    An archive's listing is what ``files`` returns; ``interpret`` reads flags and GUIDs from the
    memory of what once was, as Dovecot's lists would tell them.
    """

    def __init__(self, mailboxes: Iterable[str], *, name: str = "memory") -> None:
        self.name = name
        self.limits: dict[str, int] = {}
        self._living: dict[str, list[Message]] = {mailbox: [] for mailbox in mailboxes}
        self._ever: dict[str, tuple[Message, bytes]] = {}
        self._numbers = count(1)

    def files(self) -> dict[str, tuple[ArchivedFile, bytes]]:
        """Return what an archive made now would hold, by path."""
        return {
            message.path: (
                ArchivedFile(message.path, "-", message.size_bytes, message.received),
                self._ever[message.path][1],
            )
            for messages in self._living.values()
            for message in messages
        }

    def parts(self) -> Sequence[Part]:
        return ()

    def plain(self, content: bytes) -> bytes:
        return content

    def objection(self, content: bytes) -> str:
        return ""

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        yield Capture(roots=(), excludes=())

    def survey(self) -> Mapping[str, str]:
        return {m.path: m.path for messages in self._living.values() for m in messages}

    def key_of(self, path: str) -> str | None:
        return path if path.startswith("memory/") else None

    def companions(self, since: datetime) -> Sequence[str]:
        return ()

    def hold(self, paths: Iterable[str]) -> AbstractContextManager[Sequence[str]]:
        return nullcontext(list(paths))

    def interpret(self, files: Iterable[ArchivedFile], fetch: Fetch) -> Iterator[Message]:
        for file in files:
            if file.path in self._ever:
                yield self._ever[file.path][0]

    def folders_in(self, files: Iterable[ArchivedFile]) -> Iterator[tuple[str, str]]:
        found = (self._ever[file.path][0] for file in files if file.path in self._ever)
        yield from dict.fromkeys((message.mailbox, message.folder) for message in found)

    def mailboxes(self) -> Sequence[str]:
        return sorted(self._living)

    def messages(self, mailbox: str) -> Sequence[Message]:
        return tuple(self._of(mailbox))

    def content(self, message: Message) -> bytes:
        if message not in self._living.get(message.mailbox, ()):
            raise MailSystemError(f"the message at {message.path} is gone")
        return self._ever[message.path][1]

    def quota(self, mailbox: str) -> Quota | None:
        messages = self._of(mailbox)
        if mailbox not in self.limits:
            return None
        used = sum(message.size_bytes for message in messages)
        return Quota(used, self.limits[mailbox], len(messages), None)

    def free_bytes(self, mailbox: str) -> int:
        self._of(mailbox)
        return 1 << 40

    def deliver(
        self, mailbox: str, deliveries: Iterable[Delivery], *, over_quota: bool = False
    ) -> Sequence[Finding]:
        living = self._of(mailbox)
        for delivery in deliveries:
            path = f"memory/{mailbox}/{delivery.message.folder}/{next(self._numbers)}"
            message = replace(
                delivery.message,
                mailbox=mailbox,
                path=path,
                size_bytes=len(delivery.content),
                flags=delivery.message.flags - {"\\Recent"},
            )
            self._ever[path] = (message, delivery.content)
            living.append(message)
        return ()

    def remove(self, mailbox: str, added: Iterable[Added]) -> Sequence[Finding]:
        living = self._of(mailbox)
        findings = []
        for entry in added:
            for message in living:
                same = (message.folder, message.guid) == (entry.folder, entry.guid)
                if same and not (message.flags ^ entry.flags) - {"\\Seen", "\\Recent"}:
                    living.remove(message)
                    break
            else:
                findings.append(Finding(f"{entry.folder}: {entry.guid}", "is not as it was"))
        return findings

    def _of(self, mailbox: str) -> list[Message]:
        if mailbox not in self._living:
            raise MailboxNotFound(f"no mailbox {mailbox}")
        return self._living[mailbox]
