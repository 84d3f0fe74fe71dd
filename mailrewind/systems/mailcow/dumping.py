"""A program that writes mailcow's database to its standard output, for borg to archive.

borg archives nothing when it ends with an error, so it ends with one whenever the dump is not
whole: when mariadb-dump failed, when the database or its container went away, when the dump's own
last line has not come. What it counted on the way is left as JSON in a file.

    python -m mailrewind.systems.mailcow.dumping DIRECTORY PROJECT COUNTS

The database's password is read from mailcow.conf in the directory; no argument is a secret.
"""

import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from mailrewind.errors import DumpFailed, MailrewindError
from mailrewind.formats.sql_dump import DumpCounter
from mailrewind.systems.mailcow.clients import CHARACTERS, LARGEST_ROW, SERVICE, login, program
from mailrewind.systems.mailcow.settings import read_settings
from mailrewind.transports.containers import Project

_NAMES = ("mariadb-dump", "mysqldump")
# What does not change between two dumps of the same rows is what borg stores once.
_OPTIONS = (
    *("--defaults-extra-file=/dev/stdin", "--single-transaction", "--quick", "--skip-dump-date"),
    *("--order-by-primary", "--hex-blob", "--routines", "--events", "--triggers"),
    *(CHARACTERS, LARGEST_ROW),
)
_TOLD_LINES = 5


def main(arguments: list[str]) -> int:
    """Dump, and return the exit code."""
    directory, project, counts = arguments
    # Ended by a signal, the way out is taken that ends the program in the container, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        settings = read_settings(Path(directory))
        with Project(project) as asked:
            tables = dump(
                asked,
                user=settings["DBUSER"],
                password=settings["DBPASS"],
                database=settings["DBNAME"],
                target=sys.stdout.buffer,
            )
    except MailrewindError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever reads has gone, and needs no explanation
        return 1
    Path(counts).write_text(json.dumps(dict(tables)))
    return 0


def dump(
    project: Project, *, user: str, password: str, database: str, target: BinaryIO
) -> Mapping[str, int]:
    """Write a dump of a database to a stream, and return its rows by table.

    Raises:
        DumpFailed: It is not whole.
        MailServerUnreachable: The container does not run, or stopped meanwhile.
        MailServerFailed: It has no program for that.
    """
    counter = DumpCounter()
    argv = [program(project, _NAMES), *_OPTIONS, database]
    with project.stream(SERVICE, argv, stdin=login(user, password)) as stream:
        for piece in stream:
            counter.feed(piece)
            target.write(piece)
        ended = stream.finish()
    target.flush()
    if ended.returncode:
        said = "; ".join(ended.stderr.splitlines()[-_TOLD_LINES:]) or "it said nothing"
        raise DumpFailed(f"the dump of {database} ended with code {ended.returncode}: {said}")
    summary = counter.end()
    if not summary.is_complete:
        raise DumpFailed(f"the dump of {database} ended without its last line")
    return summary.tables


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
