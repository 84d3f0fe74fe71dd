import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailrewind.borg.repository import BorgRepository
from mailrewind.errors import RepositoryFull
from mailrewind.ports import Capture, Progress


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def overflowing(tmp_path: Path) -> Path:
    root = tmp_path / "overflowing"
    root.mkdir()
    for number in range(70):
        (root / f"attachment {number}").write_bytes(os.urandom(1_000_000))
    return root


def free_bytes(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def fill(disk: Path, *, but_bytes: int) -> None:
    with (disk / "ballast").open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, free_bytes(disk) - but_bytes)


def create_all(repository: BorgRepository, names: list[str], *, below: Path) -> None:
    for name in names:
        repository.create(name, Capture((below / name,), ()))


def test_full_disk_is_told_and_loses_nothing(settings, small_disk, mail, overflowing):
    repository = BorgRepository(replace(settings, location=str(small_disk / "repository")))
    repository.prepare()
    repository.create("before", Capture((mail,), ()))
    free_before = free_bytes(small_disk)

    with pytest.raises(RepositoryFull, match="No space is left"):
        repository.create("large", Capture((overflowing,), ()))

    letter = str(mail / "cur" / "letter").lstrip("/")
    assert repository.names() == ["before"]
    assert dict(repository.read("before", [letter])) == {letter: b"Subject: hi\n\nhello\n"}
    assert free_before - free_bytes(small_disk) < 1_000_000
    repository.create("after", Capture((mail,), ()))
    repository.check(verify_data=True)


def test_deleting_and_compacting_makes_room_on_a_full_disk(settings, small_disk, tmp_path):
    repository = BorgRepository(replace(settings, location=str(small_disk / "repository")))
    repository.prepare()
    names = ["one", "two", "three", "four", "five"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "attachment").write_bytes(os.urandom(9_000_000))

    with pytest.raises(RepositoryFull):
        create_all(repository, names, below=tmp_path)
    written = repository.names()
    repository.delete(["one", "two"])
    repository.compact()
    repository.create("five", Capture((tmp_path / "five",), ()))

    assert len(written) >= 3
    assert repository.names() == [*written[2:], "five"]


def test_room_that_a_killed_backup_left_occupied_is_given_back(
    settings, small_disk, mail, overflowing
):
    # Slow enough that borg tells how far it has come before the disk is full.
    location = str(small_disk / "repository")
    repository = BorgRepository(replace(settings, location=location, compression="zlib,9"))
    repository.prepare()

    def kill_when_full(_: Progress) -> None:
        if free_bytes(small_disk) < 20_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repository.create("killed", Capture((overflowing,), ()), report=kill_when_full)
    fill(small_disk, but_bytes=4096)  # enough for a lock
    with pytest.raises(RepositoryFull):
        repository.create("first", Capture((mail,), ()))

    assert free_bytes(small_disk) > 30_000_000
    repository.create("first", Capture((mail,), ()))


def test_full_disk_under_the_cache_is_told_and_no_archive_is_lost(settings, small_disk, mail):
    repository = BorgRepository(replace(settings, base_dir=small_disk / "base"))
    repository.prepare()
    repository.create("before", Capture((mail,), ()))
    fill(small_disk, but_bytes=0)

    for name in ("first", "before"):
        with pytest.raises(RepositoryFull, match="or for borg's cache"):
            repository.create(name, Capture((mail,), ()))

    (small_disk / "ballast").unlink()
    repository.create("first", Capture((mail,), ()))
    assert sorted(repository.names()) == ["before", "first"]


def test_data_directory_without_space_is_told(settings, small_disk):
    fill(small_disk, but_bytes=0)

    with pytest.raises(RepositoryFull, match="cannot be written: No space left"):
        BorgRepository(replace(settings, base_dir=small_disk / "base")).names()
