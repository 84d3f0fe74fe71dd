import os
import stat
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailrewind.borg.executable import borg_executable
from mailrewind.borg.repository import BorgRepository, RepositorySettings
from mailrewind.borg.settings import environment_of
from mailrewind.errors import NoSpace, RepositoryDamaged, SourceUnreadable
from mailrewind.ports import Capture, Progress
from mailrewind.transports.processes import run
from tests.mailrewind.borg.conftest import PASSPHRASE
from tests.mailrewind.borg.test_locks import borg_processes

VMAIL, CRYPT = 5000, 401


@dataclass(frozen=True)
class Seen:
    """All of one item that a restore has to bring back."""

    kind: str
    owner: tuple[int, int]
    mode: int
    mtime_ns: int
    content: bytes
    attributes: dict[str, bytes]
    names: int


def seen(path: Path) -> Seen:
    status = path.lstat()
    kind = stat.filemode(status.st_mode)[0]
    content = os.fsencode(path.readlink()) if kind == "l" else b""
    if kind == "-":
        content = path.read_bytes()
    return Seen(
        kind=kind,
        owner=(status.st_uid, status.st_gid),
        mode=stat.S_IMODE(status.st_mode),
        mtime_ns=status.st_mtime_ns,
        content=content,
        attributes={
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
        },
        names=status.st_nlink if kind == "-" else 1,
    )


def everything_below(root: Path) -> dict[str, Seen]:
    return {str(path.relative_to(root)): seen(path) for path in root.rglob("*")}


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """A mail volume and a key volume, as their containers own them."""
    root = tmp_path / "volumes"
    letters = root / "vmail" / "example.org" / "ada" / "Maildir" / "cur"
    letters.mkdir(parents=True)
    for number in range(20):
        (letters / f"17000000{number}.M1P1.host:2,S").write_bytes(os.urandom(3000))
    (letters / "hard link").hardlink_to(letters / "170000000.M1P1.host:2,S")
    (letters / "short cut").symlink_to("170000001.M1P1.host:2,S")
    (letters / "nowhere").symlink_to("/nowhere")
    (letters.parent / "new").mkdir()
    (letters.parent / os.fsdecode(b"\xff not utf-8")).write_bytes(b"")
    (root / "crypt").mkdir()
    (root / "crypt" / "ecprivkey.pem").write_bytes(b"key")
    for number, path in enumerate(sorted(root.rglob("*"))):
        is_key = "crypt" in path.parts
        os.chown(path, *[CRYPT if is_key else VMAIL] * 2, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() else 0o600)
            os.setxattr(path, "user.mailrewind", str(number).encode())
    (letters / "170000002.M1P1.host:2,S").chmod(0o4751)
    os.setxattr(letters / "170000003.M1P1.host:2,S", "system.posix_acl_access", _readable_by(CRYPT))
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        moment = 1_600_000_000_123_456_789 + number * 1_000_000_007
        os.utime(path, ns=(moment, moment), follow_symlinks=False)
    return root


def _readable_by(uid: int) -> bytes:
    """An access list, as acl(5) names its entries and linux/posix_acl_xattr.h lays them out."""
    nobody = 0xFFFFFFFF
    entries = [(1, 6, nobody), (2, 4, uid), (4, 0, nobody), (0x10, 4, nobody), (0x20, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_extracted_volumes_are_as_they_were_with_owners_by_number(repository, volumes, tmp_path):
    expected = everything_below(volumes)
    repository.create("first", Capture((volumes,), ()))
    target = tmp_path / "target"
    target.mkdir()

    findings = repository.extract("first", target, strip=len(volumes.parts) - 1)

    assert findings == []
    assert everything_below(target) == expected
    assert {one.owner for one in expected.values()} == {(VMAIL, VMAIL), (CRYPT, CRYPT)}


def test_extracting_again_replaces_what_changed_and_leaves_other_names(
    repository, volumes, tmp_path
):
    expected = everything_below(volumes)
    repository.create("first", Capture((volumes,), ()))
    target = tmp_path / "target"
    target.mkdir()
    strip = len(volumes.parts) - 1
    repository.extract("first", target, strip=strip)
    (target / "crypt" / "ecprivkey.pem").write_bytes(b"other")
    (target / "crypt" / "newer").write_bytes(b"newer")
    (target / "vmail" / "example.org" / "ada" / "Maildir" / "new").chmod(0o777)

    repository.extract("first", target, strip=strip)

    found = everything_below(target)
    assert found.pop("crypt/newer").content == b"newer"
    assert found == expected


def test_progress_of_an_extraction_is_reported_in_bytes(repository, large, tmp_path):
    heard: list[Progress] = []
    repository.create("first", Capture((large,), ()))
    (tmp_path / "target").mkdir()

    repository.extract("first", tmp_path / "target", report=heard.append)

    assert {(progress.unit, progress.text) for progress in heard} == {("bytes", "extracting")}
    assert {progress.total for progress in heard} == {30_000_000}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_target_without_space_is_told(repository, large, small_disk):
    repository.create("first", Capture((large,), ()))

    with pytest.raises(NoSpace, match=f"No space is left in {small_disk}"):
        repository.extract("first", small_disk)


def test_target_that_is_mounted_read_only_is_told(repository, mail, small_disk):
    repository.create("first", Capture((mail,), ()))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    with pytest.raises(SourceUnreadable, match=f"{small_disk} may not be written"):
        repository.extract("first", small_disk)


@pytest.fixture
def damaged(repository: BorgRepository, large: Path) -> BorgRepository:
    """A repository one of whose files has lost a bit in the middle."""
    repository.create("first", Capture((large,), ()))
    segments = Path(repository.settings.location, "data").rglob("[0-9]*")
    segment = max((path for path in segments if path.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    return repository


def test_damage_is_met_by_extracting(damaged, tmp_path):
    (tmp_path / "target").mkdir()

    with pytest.raises(RepositoryDamaged):
        damaged.extract("first", tmp_path / "target")


def test_damage_is_met_by_streaming(damaged, large):
    def read(path: Path) -> int:
        with damaged.read_stream("first", str(path).lstrip("/")) as content:
            return len(content.read())

    lengths, damage = [], []
    for path in large.iterdir():
        try:
            lengths.append(read(path))
        except RepositoryDamaged as error:
            damage.append(error)

    assert (lengths, len(damage)) == ([1_000_000] * 29, 1)


def test_damage_behind_what_was_read_is_met_on_leaving(settings, repository, tmp_path):
    letter = tmp_path / "source" / "dump"
    letter.parent.mkdir()
    letter.write_bytes(os.urandom(30_000_000))
    repository.create("first", Capture((letter.parent,), ()))
    segment = max(Path(settings.location, "data").rglob("[0-9]*"), key=lambda p: p.stat().st_size)
    content = bytearray(segment.read_bytes())
    content[-1_000_000] ^= 1
    segment.write_bytes(content)
    stream = repository.read_stream("first", str(letter).lstrip("/"))
    start = stream.__enter__().read(1000)

    with pytest.raises(RepositoryDamaged):
        stream.__exit__(None, None, None)

    assert start == letter.read_bytes()[:1000]


def test_content_that_a_repair_replaced_by_zeros_is_damage(damaged, large):
    _repair(damaged.settings)
    damage = 0
    for path in large.iterdir():
        try:
            with damaged.read_stream("first", str(path).lstrip("/")) as content:
                content.read()
        except RepositoryDamaged:
            damage += 1

    assert damage == 1


def test_streaming_holds_little_in_memory(settings, repository, tmp_path):
    dump = tmp_path / "source" / "dump"
    dump.parent.mkdir()
    dump.write_bytes(os.urandom(1_000_000) * 150)
    repository.create("first", Capture((dump.parent,), ()))
    before = _resident_bytes()
    largest = length = 0

    with repository.read_stream("first", str(dump).lstrip("/")) as content:
        while block := content.read(1_000_000):
            length += len(block)
            largest = max(largest, _resident_bytes())

    assert length == 150_000_000
    assert largest - before < 30_000_000


def test_stream_that_is_left_by_an_exception_leaves_no_borg(repository, large):
    class Enough(Exception):
        pass

    repository.create("first", Capture((large,), ()))
    path = str(large / "attachment 3").lstrip("/")

    with suppress(Enough), repository.read_stream("first", path) as content:
        start = content.read(10)
        raise Enough

    assert len(start) == 10
    assert borg_processes(repository) == []
    repository.create("second", Capture((large,), ()))


def _repair(settings: RepositorySettings) -> None:
    answers = {"BORG_PASSPHRASE": PASSPHRASE, "BORG_CHECK_I_KNOW_WHAT_I_AM_DOING": "YES"}
    run(
        [borg_executable(), "check", "--repair", settings.location],
        environment=environment_of(settings) | answers,
    )


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
