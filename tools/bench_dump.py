"""What an hour with a few changed rows costs: `python -m tools.bench_dump [--megabytes 100]`.

Two dumps of one database, the second with some rows changed, go into an archive each: once as a
backup does it, once as borg does by itself. What each second archive has added is compared.
"""

import argparse
import json
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailrewind.borg.executable import borg_executable
from mailrewind.borg.repository import BorgRepository, RepositorySettings
from mailrewind.borg.settings import environment_of
from mailrewind.model.words import size

_SEED = 20261120
_ROW_BYTES = 260  # of the generated rows, roughly
_ROWS_A_STATEMENT = 4_000  # mariadb-dump begins a new INSERT after a megabyte
_NAMES = ("ada", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")


@dataclass(frozen=True, slots=True)
class Added:
    """What one archive of a dump has cost.

    Attributes:
        size_bytes: New in the repository, compressed and deduplicated.
        seconds: Wall time.
    """

    size_bytes: int
    seconds: float


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--changed-rows", type=int, default=50)
    wishes = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-dump-") as directory:
        place = Path(directory)
        dumps = write_dumps(
            place, size_bytes=wishes.megabytes * 1_000_000, changed=wishes.changed_rows
        )
        ours = archive_both(place / "ours", dumps, _as_a_backup_does)
        plain = archive_both(place / "plain", dumps, _as_borg_does)
        print(f"two dumps of {size(dumps[0].stat().st_size)}, {wishes.changed_rows} changed rows")
    for name, (first, second) in (("as a backup does", ours), ("as borg does", plain)):
        print(
            f"{name:18} first {size(first.size_bytes):>10} in {first.seconds:5.1f} s, "
            f"second {size(second.size_bytes):>10} in {second.seconds:5.1f} s"
        )
    print(f"ratio of the second: {plain[1].size_bytes / ours[1].size_bytes:.1f}")
    return 0


def write_dumps(place: Path, *, size_bytes: int, changed: int) -> Sequence[Path]:
    """Write two dumps that differ in some rows, spread over the whole; each time the same ones."""
    count = size_bytes // _ROW_BYTES
    altered = frozenset(random.Random(_SEED).sample(range(count), changed))
    dumps = (place / "first.sql", place / "second.sql")
    for dump, later in zip(dumps, (frozenset[int](), altered), strict=True):
        with dump.open("w", encoding="ascii") as file:
            file.writelines(_dump(count, later))
    return dumps


def archive_both(
    place: Path, dumps: Sequence[Path], archive: Callable[[RepositorySettings, Path], int]
) -> Sequence[Added]:
    """Put both dumps into a new repository, one after the other."""
    settings = RepositorySettings(
        location=str(place / "repository"),
        encryption="repokey-blake2",
        compression="zstd,3",
        passphrase=lambda: "bench",
        lock_wait_seconds=60,
        ssh_command=None,
        remote_path=None,
        base_dir=place / "base",
    )
    BorgRepository(settings).prepare()
    return [_measured(archive, settings, dump) for dump in dumps]


def _measured(
    archive: Callable[[RepositorySettings, Path], int], settings: RepositorySettings, dump: Path
) -> Added:
    started = time.monotonic()
    size_bytes = archive(settings, dump)
    return Added(size_bytes, time.monotonic() - started)


def _as_a_backup_does(settings: RepositorySettings, dump: Path) -> int:
    statistics, _ = BorgRepository(settings).create_from_command(
        dump.stem, ["cat", str(dump)], path="mail.sql"
    )
    return statistics.added_bytes


def _as_borg_does(settings: RepositorySettings, dump: Path) -> int:
    told = subprocess.run(
        [
            *(borg_executable(), "create", "--json", f"--compression={settings.compression}"),
            *("--content-from-command", "--stdin-name=mail.sql"),
            *("--", f"{settings.location}::{dump.stem}", "cat", str(dump)),
        ],
        env=environment_of(settings) | {"BORG_PASSPHRASE": "bench", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return int(json.loads(told)["archive"]["stats"]["deduplicated_size"])


def _dump(count: int, altered: frozenset[int]) -> Iterator[str]:
    yield "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19  Distrib 10.11.14\n"
    for number in range(count):
        place = number % _ROWS_A_STATEMENT
        if place == 0:
            table = number // _ROWS_A_STATEMENT
            yield f"CREATE TABLE `sogo_{table:04}` (`c_id` int(11) NOT NULL);\n"
            yield f"INSERT INTO `sogo_{table:04}` VALUES\n"
        is_last = place == _ROWS_A_STATEMENT - 1 or number == count - 1
        yield _row(number, number in altered) + (";\n" if is_last else ",\n")
    yield "-- Dump completed\n"


def _row(number: int, is_altered: bool) -> str:
    """Return a row as of a calendar: half of it is text that compresses, half is not."""
    chance = random.Random(_SEED + number)
    name = f"{chance.choice(_NAMES)}.{chance.randrange(500)}@example.org"
    uid = chance.randbytes(16).hex().upper()
    begins = 1_700_000_000 + chance.randrange(90_000_000)
    modified = begins + (3_600 if is_altered else 0)
    content = chance.randbytes(24).hex()
    return (
        f"({number},'{uid}.ics','{name}','vevent',NULL,{begins},{begins + 3_600},{modified},0,"
        f"'BEGIN:VCALENDAR\\r\\nVERSION:2.0\\r\\nBEGIN:VEVENT\\r\\nUID:{uid}\\r\\n"
        f"SUMMARY:{content}\\r\\nEND:VEVENT\\r\\n')"
    )


if __name__ == "__main__":
    raise SystemExit(main())
