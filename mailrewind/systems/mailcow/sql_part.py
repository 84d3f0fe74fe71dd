"""The archive of a restore point that holds mailcow's database."""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mailrewind.model.reports import ArchiveStatistics, Finding
from mailrewind.ports import Archives, Progress, Report
from mailrewind.systems.mailcow.checking import check, differences
from mailrewind.systems.mailcow.installation import Installation
from mailrewind.transports.mariadb import connect

logger = logging.getLogger(__name__)

NAME = "sql"
DUMP_PATH = "mailcow.sql"


class SqlPart:
    """A dump of the database, as one file of an archive of its own.

    borg runs the dump itself: a pipe would archive half a dump and call it a success.
    """

    name = NAME

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def archive(
        self, archives: Archives, archive: str, *, report: Report | None = None
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        """Look whether the database can be dumped, dump it, and compare.

        Raises:
            ArchiveExists: Done already.
            DatabaseUnreachable: It does not answer.
            DatabaseRefused: The user may not dump it.
            DumpFailed: The dump is not whole; there is no archive of it.
            RepositoryError: As borg says.
        """
        with connect(self._installation.database()) as connection:
            checked = check(connection)
        if report:
            report(Progress(0, None, "bytes", "dumping the database"))
        with TemporaryDirectory(prefix="mailrewind-") as directory:
            counts = Path(directory) / "rows.json"
            statistics, findings = archives.create_from_command(
                archive, self._command(counts), path=DUMP_PATH
            )
            dumped: Mapping[str, int] = json.loads(counts.read_bytes())
        logger.info(
            "the database: %d tables, %d rows, schema %s",
            len(dumped),
            sum(dumped.values()),
            checked.schema or "unknown",
        )
        return statistics, [*findings, *checked.findings, *differences(checked, dumped)]

    def _command(self, counts: Path) -> list[str]:
        directory, project = self._installation.directory, self._installation.project.name
        module = "mailrewind.systems.mailcow.dumping"
        # -P: what lies in the directory where borg runs is no module of ours.
        return [sys.executable, "-P", "-m", module, str(directory), project, str(counts)]
