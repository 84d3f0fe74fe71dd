import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mailrewind.borg.process import run_borg
from mailrewind.borg.repository import BorgRepository
from mailrewind.errors import DumpFailed
from tests.mailrewind.borg.conftest import PASSPHRASE
from tests.mailrewind.borg.test_locks import borg_processes, lock_of, wait_for

_DUMP = f"""\
import sys
from pathlib import Path
from mailrewind.borg.repository import BorgRepository, RepositorySettings
location, base, *command = sys.argv[1:]
BorgRepository(RepositorySettings(
    location, "repokey-blake2", "lz4", lambda: {PASSPHRASE!r}, 1, None, None, Path(base)
)).create_from_command("dump", command, path="mail.sql")
"""

# What a command can get hold of: its variables, its descriptors, and those of all above it.
_LOOK = """\
import json, os
def content_of(path):
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        return error.strerror
    try:
        return os.read(descriptor, 100_000).decode(errors="replace")
    except OSError as error:
        return error.strerror
    finally:
        os.close(descriptor)
above, process = [], os.getppid()
while process > 1 and len(above) < 3:
    above.append(process)
    fields = open(f"/proc/{process}/stat").read().rpartition(")")[2].split()
    process = int(fields[1])
def pipes_of(process):
    for name in os.listdir(f"/proc/{process}/fd"):
        path = f"/proc/{process}/fd/{name}"
        try:
            if os.readlink(path).startswith(("pipe:", "/memfd:")):
                yield path
        except FileNotFoundError:
            pass
number = os.environ["BORG_PASSPHRASE_FD"]
own = sorted(set(os.listdir("/proc/self/fd")))
print(json.dumps({
    "environment": dict(os.environ),
    "descriptors": [name for name in own if os.path.exists(f"/proc/self/fd/{name}")],
    "named": content_of(f"/proc/self/fd/{number}"),
    "borg": [content_of(path) for path in pipes_of(above[0])],
    "arguments": [open(f"/proc/{process}/cmdline").read() for process in above[:1]],
}))
"""

_SILENT = "trap 'exit 0' TERM; echo $$ > {pid}; while :; do sleep 0.1; done"
_DEAF = "trap '' TERM; echo $$ > {pid}; while :; do sleep 0.1; done"


def is_running(pid: Path) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        status = Path(f"/proc/{int(pid.read_text())}/stat").read_text()
        return status.rpartition(")")[2].split()[0] not in "ZX"
    return False


@pytest.fixture
def dumping(repository: BorgRepository, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own whose command has been dumping for a moment."""
    settings, pid = repository.settings, tmp_path / "pid"
    command = ["sh", "-c", _SILENT.format(pid=pid)]
    arguments = [settings.location, str(settings.base_dir), *command]
    process = subprocess.Popen([sys.executable, "-c", _DUMP, *arguments])
    wait_for(lambda: is_running(pid))
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_dump_dies_with_the_process_that_asked_for_it(dumping, repository, tmp_path, number):
    dumping.send_signal(number)
    dumping.wait()

    wait_for(lambda: not is_running(tmp_path / "pid"), seconds=10)
    wait_for(lambda: not borg_processes(repository), seconds=10)
    assert (repository.names(), lock_of(repository).exists()) == ([], False)


@pytest.mark.parametrize("script", [_SILENT, _DEAF], ids=["silent", "deaf"])
def test_cancelled_dump_leaves_no_command_no_archive_and_no_lock(repository, tmp_path, script):
    pid = tmp_path / "pid"
    command = ["sh", "-c", script.format(pid=pid)]

    def cancel(number: int, frame: object) -> None:
        if not is_running(pid):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            return
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, cancel)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            repository.create_from_command("dump", command, path="mail.sql")
    finally:
        signal.signal(signal.SIGALRM, before)

    wait_for(lambda: not is_running(pid), seconds=1)
    assert pid.exists()
    assert borg_processes(repository) == []
    assert (repository.names(), lock_of(repository).exists()) == ([], False)


def test_dump_that_was_killed_half_way_is_no_archive(repository):
    half = "head -c 20000000 /dev/urandom; echo connection lost >&2; kill -9 $$"

    with pytest.raises(DumpFailed, match=r"ended with code (-9|137).*connection lost"):
        repository.create_from_command("dump", ["sh", "-c", half], path="mail.sql")

    with_checkpoints = run_borg(
        repository.settings, ["list", "--consider-checkpoints", repository.settings.location]
    )
    assert with_checkpoints.stdout == b""
    repository.create_from_command("dump", ["echo", "whole"], path="mail.sql")
    assert dict(repository.read("dump", ["mail.sql"])) == {"mail.sql": b"whole\n"}


def test_command_gets_hold_of_no_secret(repository, monkeypatch):
    monkeypatch.setenv("OUR_PASSPHRASE", PASSPHRASE)

    repository.create_from_command("dump", [sys.executable, "-c", _LOOK], path="look")

    ((_, content),) = repository.read("dump", ["look"])
    seen = json.loads(content)
    assert PASSPHRASE not in content.decode()
    assert seen["descriptors"] == ["0", "1", "2"]
    assert seen["named"] == "No such file or directory"
    assert "borg" in seen["arguments"][0]
    told = {name: value for name, value in seen["environment"].items() if "PASS" in name}
    assert told.pop("BORG_PASSPHRASE_FD").isdecimal()
    assert told == {"BORG_DISPLAY_PASSPHRASE": "no"}


def test_words_of_a_command_that_look_like_borgs_are_told_as_well(repository):
    script = """printf '{"error": "access denied"}' >&2; exit 2"""

    with pytest.raises(DumpFailed, match="access denied"):
        repository.create_from_command("dump", ["sh", "-c", script], path="mail.sql")


def test_only_its_owner_may_read_an_extracted_dump(repository, tmp_path):
    repository.create_from_command("dump", ["echo", "x"], path="sql/mail.sql")

    repository.extract("dump", tmp_path)

    assert (tmp_path / "sql" / "mail.sql").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", ["", "/mail.sql", "../mail.sql", "a//b", "./a", "a/"])
def test_place_of_a_dump_lies_within_its_archive(repository, path):
    with pytest.raises(ValueError, match="no path within an archive"):
        repository.create_from_command("dump", ["true"], path=path)


def test_few_changed_rows_of_a_dump_cost_a_tenth_of_what_borg_would_take(settings, tmp_path):
    dumps = [tmp_path / "first.sql", tmp_path / "second.sql"]
    rows = list(_rows(count=80_000))
    dumps[0].write_text("".join(rows))
    for number in range(0, len(rows), len(rows) // 10):
        rows[number] = rows[number].replace("INSERT", "REPLACE")
    dumps[1].write_text("".join(rows))

    ours = _added(settings, "ours", lambda borg, name, path: _dump(borg, name, path))
    plain = _added(settings, "plain", lambda borg, name, path: _plainly(borg, name, path))

    first, second = ours(dumps)
    assert dumps[0].stat().st_size > 18_000_000
    assert second * 10 < plain(dumps)[1]
    assert second < first / 20


def _rows(*, count: int) -> Iterator[str]:
    chance = random.Random(3)
    for number in range(count):
        yield f"INSERT INTO `t` VALUES ({number},'{chance.randbytes(110).hex()}');\n"


Archive = Callable[[BorgRepository, str, Path], int]


def _added(settings, name: str, archive: Archive) -> Callable[[list[Path]], list[int]]:
    """Return what adds dumps to a repository of its own and tells the bytes each has cost."""
    repository = BorgRepository(replace(settings, location=f"{settings.location}-{name}"))
    repository.prepare()
    return lambda dumps: [archive(repository, dump.stem, dump) for dump in dumps]


def _dump(repository: BorgRepository, name: str, path: Path) -> int:
    statistics, _ = repository.create_from_command(name, ["cat", str(path)], path="mail.sql")
    return statistics.added_bytes


def _plainly(repository: BorgRepository, name: str, path: Path) -> int:
    location = f"{repository.settings.location}::{name}"
    ended = run_borg(repository.settings, ["create", "--json", location, str(path)])
    return int(json.loads(ended.stdout)["archive"]["stats"]["deduplicated_size"])
