"""A mailcow that is backed up: a running stack, a borg repository, and services over both."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mailrewind.config import load
from mailrewind.model.operations import OperationPlan, OperationReport, OperationRequest
from mailrewind.wiring import Services, wire
from tests.stacks.mailcow.stack import MailcowStack

SYSTEM = "office"

_CONFIGURATION = """\
time_zone: Europe/Athens
data_dir: {root}/data
repositories:
  main:
    location: {repository}
    passphrase: {{file: {root}/passphrase}}
systems:
  office:
    kind: mailcow
    directory: {directory}
    repository: main
"""


@dataclass
class MailcowOffice:
    """What a test says and asks.

    Attributes:
        stack: The mailcow.
        root: Where configuration and data lie.
        more: Further lines of the system's configuration.
        repository: Where it is; below ``root`` by default.
    """

    stack: MailcowStack
    root: Path
    more: str = ""
    repository: Path | None = None
    services: Services = field(init=False)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        passphrase = self.root / "passphrase"
        passphrase.write_text("correct horse\n")
        passphrase.chmod(0o600)
        self.repository = self.repository or self.root / "repository"
        text = _CONFIGURATION.format(
            root=self.root, directory=self.stack.directory, repository=self.repository
        )
        self.configuration.write_text(text + self.more)
        self.services = self.wire()

    @property
    def configuration(self) -> Path:
        return self.root / "mailrewind.yaml"

    def wire(self) -> Services:
        """Return services of their own, as another process would have."""
        return wire(load(self.configuration))

    def back_up(self) -> str:
        """Make a restore point and return its name."""
        return self.services.back_up.run(SYSTEM, initiator="test").point

    def plan(
        self, operation: str, mailbox: str = "", *, at: str = "latest", **choices: str
    ) -> OperationPlan:
        return self.services.operations.plan(
            OperationRequest(
                operation=operation,
                system=SYSTEM,
                target=mailbox,
                at=at,
                choices={name: (value,) for name, value in choices.items()},
                initiator="test",
            )
        )

    def carry_out(self, plan: OperationPlan) -> OperationReport:
        return self.services.operations.execute(plan.id, initiator="test", system_typed=SYSTEM)

    def undo(self, report: OperationReport) -> OperationReport:
        return self.services.operations.undo(report.id, initiator="test")

    def seen(self, mailbox: str) -> dict[str, dict[str, tuple[str, ...]]]:
        """Return what Dovecot says of a mailbox: by folder and UID, GUID, size and flags."""
        fields = "mailbox uid guid size.physical flags date.received"
        status, out, said = self.stack.doveadm("-f", "tab", "fetch", "-u", mailbox, fields, "ALL")
        assert status == 0, said
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for line in out.splitlines()[1:]:
            folder, uid, guid, *rest, flags, received = line.split("\t")
            kept = " ".join(sorted(set(flags.split()) - {"\\Recent"}))
            found.setdefault(folder, {})[uid] = (guid.split(",")[0], *rest, kept, received)
        return found

    def uid_validities(self, mailbox: str) -> dict[str, str]:
        out = self.stack.doveadm(
            "-f", "tab", "mailbox", "status", "-u", mailbox, "uidvalidity", "*"
        )[1]
        return dict(line.split("\t")[:2] for line in out.splitlines()[1:])

    def true_quota(self, mailbox: str) -> tuple[int, int]:
        """Return bytes and messages, added up from what Dovecot says of each message."""
        rows = [row for folder in self.seen(mailbox).values() for row in folder.values()]
        return sum(int(row[1]) for row in rows), len(rows)


def counted(changes: Iterable[object]) -> Counter[str]:
    """Add up a plan's changes by effect."""
    found: Counter[str] = Counter()
    for change in changes:
        found[change.effect.name] += change.count
    return found
