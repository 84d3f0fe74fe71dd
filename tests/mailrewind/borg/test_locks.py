import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailrewind.borg.locks import holder_of
from mailrewind.borg.repository import BorgRepository
from mailrewind.borg.settings import host_id
from mailrewind.errors import RepositoryLocked
from mailrewind.model.reports import Finding
from mailrewind.ports import Capture, Progress
from tests.mailrewind.borg.conftest import PASSPHRASE

_BACK_UP = f"""\
import sys
from pathlib import Path
from mailrewind.borg.repository import BorgRepository, RepositorySettings
from mailrewind.ports import Capture
location, base, root = sys.argv[1:]
BorgRepository(RepositorySettings(
    location, "repokey-blake2", "lzma,9", lambda: {PASSPHRASE!r}, 1, None, None, Path(base)
)).create("slow", Capture((Path(root),), ()))
"""


def lock_of(repository: BorgRepository) -> Path:
    return Path(repository.settings.location) / "lock.exclusive"


def borg_processes(repository: BorgRepository) -> list[int]:
    """Every borg that works on this repository."""
    location = os.fsencode(repository.settings.location)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command = (process / "cmdline").read_bytes()
            if b"borg\0" in command and location in command:
                found.append(int(process.name))
    return found


def wait_for(claim, *, seconds: float = 60) -> float:
    start = time.monotonic()
    while not claim():
        assert time.monotonic() - start < seconds
        time.sleep(0.05)
    return time.monotonic() - start


@pytest.fixture
def backup(slow: BorgRepository, large: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own that has been backing up for a moment."""
    settings = slow.settings
    arguments = [settings.location, str(settings.base_dir), str(large)]
    process = subprocess.Popen([sys.executable, "-c", _BACK_UP, *arguments])
    wait_for(lambda: lock_of(slow).exists() and borg_processes(slow))
    yield process
    process.kill()
    process.wait()
    wait_for(lambda: not borg_processes(slow))


def test_second_backup_at_once_is_told_who_holds_the_lock(backup, repository, mail):
    (borg,) = borg_processes(repository)

    with pytest.raises(RepositoryLocked, match=f"held by process {borg} on this machine"):
        repository.create("second", Capture((mail,), ()))


def test_lock_of_a_running_backup_is_not_broken(backup, repository):
    with pytest.raises(RepositoryLocked, match="which is running"):
        repository.break_lock()

    assert lock_of(repository).exists()


def test_reading_waits_for_no_lock(repository, slow, mail, large):
    repository.create("first", Capture((mail,), ()))
    letter = str(mail / "cur" / "letter").lstrip("/")
    seen = []

    class Enough(Exception):
        pass

    def read(_: Progress) -> None:
        assert lock_of(repository).exists()
        seen.append((repository.names(), dict(repository.read("first", [letter]))))
        raise Enough

    with pytest.raises(Enough):
        slow.create("slow", Capture((large,), ()), report=read)

    assert seen == [(["first"], {letter: b"Subject: hi\n\nhello\n"})]


def test_slow_reader_lets_backups_and_retention_work(repository, mail, large):
    repository.create("first", Capture((large,), ()))
    repository.create("old", Capture((mail,), ()))
    paths = [str(path).lstrip("/") for path in large.iterdir()]
    reading = repository.read("first", paths)
    next(reading)

    repository.create("second", Capture((mail,), ()))
    repository.delete(["old"])
    repository.compact()

    assert sum(1 for _ in reading) == len(paths) - 1


def test_backup_succeeds_after_its_worker_was_killed(backup, repository, mail):
    backup.kill()
    backup.wait()

    gone_after = wait_for(lambda: not borg_processes(repository), seconds=15)
    statistics, _ = repository.create("slow", Capture((mail,), ()))

    assert gone_after < 15
    assert (statistics.archive, repository.names()) == ("slow", ["slow"])


def test_backup_succeeds_after_worker_and_borg_were_killed(backup, repository, mail):
    for borg in borg_processes(repository):
        os.kill(borg, signal.SIGKILL)
    backup.kill()
    backup.wait()
    wait_for(lambda: not borg_processes(repository))
    assert lock_of(repository).exists()

    _, findings = repository.create("slow", Capture((mail,), ()))

    assert repository.names() == ["slow"]
    assert not lock_of(repository).exists()
    assert findings == [
        Finding(repository.settings.location, "the lock of a dead process was removed")
    ]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, TimeoutError])
def test_cancelled_backup_leaves_no_borg_and_no_lock(interrupt, slow, large, mail):
    cancelled = []

    def cancel(_: Progress) -> None:
        cancelled.append(time.monotonic())
        raise interrupt

    with pytest.raises(interrupt):
        slow.create("slow", Capture((large,), ()), report=cancel)

    assert time.monotonic() - cancelled[0] < 15
    assert (borg_processes(slow), lock_of(slow).exists(), slow.names()) == ([], False, [])
    slow.create("slow", Capture((mail,), ()))


def test_lock_of_another_host_is_respected_until_broken_by_hand(repository, mail):
    lock_of(repository).mkdir()
    (lock_of(repository) / "elsewhere@1.4711-0").touch()

    with pytest.raises(RepositoryLocked, match="process 4711 on elsewhere@1") as raised:
        repository.create("first", Capture((mail,), ()))
    repository.break_lock()
    repository.create("first", Capture((mail,), ()))

    assert "break-lock" in raised.value.advice
    assert repository.names() == ["first"]


def test_lock_of_a_process_id_that_was_given_away_since_is_removed(repository, settings, mail):
    lock_of(repository).mkdir()
    entry = lock_of(repository) / f"{host_id(settings.base_dir)}.{os.getpid()}-0"
    entry.touch()
    os.utime(entry, (0, 0))

    repository.create("first", Capture((mail,), ()))

    assert repository.names() == ["first"]


def test_lock_of_the_cache_is_removed_as_well(repository, settings, mail):
    repository.create("before", Capture((mail,), ()))
    (cache,) = (path.parent for path in settings.base_dir.glob(".cache/borg/*/config"))
    lock = cache / "lock.exclusive"
    lock.mkdir()
    entry = lock / f"{host_id(settings.base_dir)}.{os.getpid()}-0"
    entry.touch()
    os.utime(entry, (0, 0))

    repository.create("first", Capture((mail,), ()))

    assert not lock.exists()


def test_lock_of_a_zombie_is_removed(repository, settings, mail):
    dead = subprocess.Popen(["true"])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    lock_of(repository).mkdir()
    (lock_of(repository) / f"{host_id(settings.base_dir)}.{dead.pid}-0").touch()

    _, findings = repository.create("first", Capture((mail,), ()))

    dead.wait()
    assert [finding.text for finding in findings] == ["the lock of a dead process was removed"]


def test_lock_of_a_process_that_lives_is_respected(repository, settings, mail):
    lock_of(repository).mkdir()
    (lock_of(repository) / f"{host_id(settings.base_dir)}.{os.getpid()}-0").touch()

    with pytest.raises(RepositoryLocked, match=f"process {os.getpid()} on this machine"):
        repository.create("first", Capture((mail,), ()))


def test_nobody_holds_a_free_lock(repository, settings):
    assert holder_of(Path(settings.location), settings.base_dir) is None


def test_host_id_stays_and_is_the_same_for_all_who_ask_first_at_once(tmp_path):
    given: list[str] = []
    threads = [threading.Thread(target=lambda: given.append(host_id(tmp_path))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert given == [host_id(tmp_path)] * 20
    assert [path.name for path in tmp_path.iterdir()] == ["host-id"]


def test_two_places_of_one_machine_share_its_host_id_unless_in_a_container(tmp_path):
    in_container = Path("/proc/self/ns/pid").readlink() != Path("pid:[4026531836]")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()

    is_shared = host_id(tmp_path / "one") == host_id(tmp_path / "two")

    assert is_shared == (Path("/etc/machine-id").exists() and not in_container)
