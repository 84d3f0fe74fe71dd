"""A mailcow with a repository for its dumps, and the operations that put them back."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mailrewind.borg.repository import BorgRepository, RepositorySettings
from mailrewind.model.operations import OperationPlan, OperationReport, OperationRequest
from mailrewind.model.points import PointStatus, RestorePoint, point_name
from mailrewind.model.reports import ArchiveStatistics, Finding
from mailrewind.model.retention import RetentionPolicy
from mailrewind.notify import Note
from mailrewind.ports import Catalog
from mailrewind.services.connected import ConnectedSystem
from mailrewind.services.databases.account import RestoreAccount
from mailrewind.services.databases.dumps import Dumps
from mailrewind.services.databases.restoring import RestoreDatabase
from mailrewind.services.operations import Operations
from mailrewind.state.state import SqlState
from mailrewind.systems.mailcow.database import MailcowDatabase
from mailrewind.systems.mailcow.installation import Installation
from mailrewind.systems.mailcow.sql_part import SqlPart
from mailrewind.systems.mailcow.system import MailcowSystem
from mailrewind.transports.mariadb import connect
from mailrewind.transports.processes import is_alive, this_process
from tests.office import Clock
from tests.stacks.mailcow.stack import MailcowStack

SYSTEM = "cow"
PASSPHRASE = "correct horse battery staple"


@dataclass
class DumpedMailcow:
    """Restore points with nothing but the database, and what can be done with them.

    Attributes:
        stack: The mailcow.
        root: Everything of ours lies below it.
    """

    stack: MailcowStack
    root: Path
    clock: Clock = field(default_factory=lambda: Clock(datetime(2026, 11, 20, 12, tzinfo=UTC)))

    def __post_init__(self) -> None:
        self.installation = Installation(self.stack.directory, project=self.stack.project)
        self.database = MailcowDatabase(
            self.installation, system=SYSTEM, data_dir=self.root / "data"
        )
        self.archives = BorgRepository(
            RepositorySettings(
                location=str(self.root / "repository"),
                encryption="repokey-blake2",
                compression="zstd,3",
                passphrase=lambda: PASSPHRASE,
                lock_wait_seconds=1,
                ssh_command=None,
                remote_path=None,
                base_dir=self.root / "data" / "borg",
            )
        )
        self.archives.prepare()
        self.state = SqlState(
            self.root / "data" / "state.db",
            process=this_process(),
            is_alive=is_alive,
            clock=self.clock,
        )
        self.safety = self.root / "data" / "safety"
        dumps = Dumps(self.connect, self.state, self.database.dump_path, UTC, self.clock)
        whole = RestoreDatabase(self.database, dumps, data_dir=self.root / "data")
        one = RestoreAccount(self.database, dumps, data_dir=self.root / "data")
        self.connected = ConnectedSystem(
            name=SYSTEM,
            prefix=SYSTEM,
            repository="main",
            cron="14 * * * *",
            policy=RetentionPolicy(),
            mail=MailcowSystem(SYSTEM, self.installation),
            archives=self.archives,
            repository_named=lambda name: None,
            open_catalog=_no_catalogue,
            operations={whole.name: whole, one.name: one},
        )
        self.operations = Operations(self.connect, self.state, Note(), zone=UTC, clock=self.clock)

    def close(self) -> None:
        self.installation.close()

    def connect(self, system: str) -> ConnectedSystem:
        return self.connected

    def archive(self, archive: str) -> tuple[ArchiveStatistics, tuple[Finding, ...]]:
        """Make one archive of the database."""
        statistics, findings = SqlPart(self.installation).archive(self.archives, archive)
        return statistics, tuple(findings)

    def back_up(self) -> str:
        """Make a restore point of the database alone, and let an hour pass."""
        at = self.clock()
        point = RestorePoint(point_name(SYSTEM, at), SYSTEM, at, PointStatus.MAKING, (), "main")
        self.state.begin_point(point, this_process())
        self.archive(f"{point.name}-sql")
        self.state.add_part(point.name, "sql")
        self.state.end_point(point.name, PointStatus.COMPLETE, at)
        self.clock.pass_(hours=1)
        return point.name

    def dump(self, archive: str) -> bytes:
        """Return the dump of an archive."""
        with self.archives.read_stream(archive, self.database.dump_path) as stream:
            return stream.read()

    def pour(self, archive: str) -> None:
        """Put the database back without our code, whatever there is by now."""
        root = self.installation.settings["DBROOT"]
        done = self.installation.project.execute(
            "mysql-mailcow", ["mariadb", f"-p{root}", "mailcow"], stdin=self.dump(archive)
        )
        assert done.returncode == 0, done.stderr

    def plan(self, operation: str, at: str, target: str = "", **choices: str) -> OperationPlan:
        chosen = {name: (value,) for name, value in choices.items()}
        request = OperationRequest(operation, SYSTEM, target, at, chosen, initiator="test")
        return self.operations.plan(request)

    def execute(self, plan: OperationPlan) -> OperationReport:
        return self.operations.execute(plan.id, initiator="test", system_typed=SYSTEM)

    def undo(self, report: OperationReport) -> OperationReport:
        return self.operations.undo(report.id, initiator="test")

    def rows(self, table: str, columns: str = "*") -> list[tuple[object, ...]]:
        """Return a living table's rows, sorted."""
        found = self.stack.sql(f"SELECT {columns} FROM {table}")
        return sorted(found, key=repr)

    def tables(self) -> Mapping[str, list[tuple[object, ...]]]:
        """Return everything that the living database holds, but what Dovecot writes by itself."""
        with connect(self.installation.database()) as connection:
            names = [str(next(iter(row.values()))) for row in connection.rows("SHOW TABLES")]
            return {
                name: sorted(
                    (tuple(row.values()) for row in connection.rows(f"SELECT * FROM {name}")),
                    key=repr,
                )
                for name in names
                if name not in {"quota2", "versions"}
            }

    def databases(self) -> list[str]:
        """Return the names of all databases but the server's own."""
        root = self.installation.settings["DBROOT"]
        status, said, error = self.stack.run(
            "mysql", "mariadb", f"-p{root}", "-BNe", "SHOW DATABASES"
        )
        assert status == 0, error
        own = {"information_schema", "mysql", "performance_schema", "sys"}
        return [name for name in said.split() if name not in own]

    def root_sql(self, statement: str) -> str:
        """Run a statement as root; return what the client prints."""
        root = self.installation.settings["DBROOT"]
        status, said, error = self.stack.run("mysql", "mariadb", f"-p{root}", "-BNe", statement)
        assert status == 0, error
        return said


def dumping_command(stack: MailcowStack, counts: Path) -> list[str]:
    module = "mailrewind.systems.mailcow.dumping"
    return [sys.executable, "-m", module, str(stack.directory), stack.project, str(counts)]


def counted(path: Path) -> dict[str, int]:
    told: dict[str, int] = json.loads(path.read_text())
    return told


def _no_catalogue() -> Catalog:
    raise AssertionError("a dump is not looked up in the catalogue")
