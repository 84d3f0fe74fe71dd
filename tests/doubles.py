"""Stand-ins that pass the conformance suites."""

import os
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from mailrewind.errors import (
    ArchiveExists,
    ArchiveMissing,
    ArchivePathMissing,
    DumpFailed,
    SourceMissing,
    SourceUnreadable,
)
from mailrewind.model.reports import ArchiveStatistics, Finding
from mailrewind.ports import ArchivedFile, Capture, Progress, Report

Item = tuple[ArchivedFile, bytes]


@dataclass
class MemoryArchives:
    """Archives of real files, kept in memory; passes the suite that borg passes.

    Of borg's exclude patterns it knows the styles pp:, pf: and fm:, and refuses others. What it
    extracts has contents, links and times, but no owners and modes, and each file one name.
    """

    archives: dict[str, list[Item]] = field(default_factory=dict)

    def prepare(self) -> None:
        pass

    def create(
        self, archive: str, capture: Capture, *, report: Report | None = None
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        if not capture.roots:
            raise SourceMissing("there is no directory to archive")
        for root in capture.roots:
            if root.is_symlink() or not root.is_dir():
                raise SourceMissing(f"{root} is not a directory")
        paths = [path for root in capture.roots for path in _walk(root, capture.excludes)]
        return self._keep(archive, paths, report)

    def create_from_paths(
        self, archive: str, paths: Iterable[str]
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        return self._keep(archive, [f"/{path}" for path in paths], None)

    def create_from_command(
        self, archive: str, command: Sequence[str], *, path: str
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        if archive in self.archives:
            raise ArchiveExists(f"archive {archive} already exists")
        try:
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
        except FileNotFoundError as error:
            raise DumpFailed(f"there is no program {command[0]} to run") from error
        if ended.returncode:
            said = "; ".join(ended.stderr.decode().splitlines())
            raise DumpFailed(f"the command ended with code {ended.returncode}: {said}")
        size = len(ended.stdout)
        file = ArchivedFile(path, "-", size, datetime.now(UTC).replace(microsecond=0))
        self.archives[archive] = [(file, ended.stdout)]
        return ArchiveStatistics(archive, 1, size, size, timedelta()), []

    def names(self) -> Sequence[str]:
        return list(self.archives)

    def files(self, archive: str) -> Iterator[ArchivedFile]:
        for file, _ in self._items(archive):
            yield file

    def read(self, archive: str, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        wanted = frozenset(paths)
        for file, content in self._items(archive):
            if file.kind == "-" and file.path in wanted:
                yield file.path, content

    @contextmanager
    def read_stream(self, archive: str, path: str) -> Iterator[BinaryIO]:
        for _, content in self.read(archive, [path]):
            yield BytesIO(content)
            return
        raise ArchivePathMissing(f"archive {archive} holds no file {path}")

    def extract(
        self,
        archive: str,
        target: Path,
        *,
        paths: Sequence[str] = (),
        strip: int = 0,
        report: Report | None = None,
    ) -> Sequence[Finding]:
        if not target.is_dir():
            raise SourceMissing(f"there is no directory {target} to write into")
        items = self._items(archive)
        for path in paths:
            if not any(_matches(f"pp:{path}", file.path) for file, _ in items):
                raise ArchivePathMissing(f"archive {archive} does not hold {path}")
        for file, content in items:
            place = "/".join(file.path.split("/")[strip:])
            is_wanted = not paths or any(_matches(f"pp:{path}", file.path) for path in paths)
            if place and is_wanted:
                _write(target / place, file, content)
        return []

    def delete(self, archives: Sequence[str]) -> None:
        for archive in archives:
            self.archives.pop(archive, None)

    def compact(self) -> None:
        pass

    def _items(self, archive: str) -> list[Item]:
        if archive not in self.archives:
            raise ArchiveMissing(f"archive {archive} does not exist")
        return self.archives[archive]

    def _keep(
        self, archive: str, paths: Iterable[str], report: Report | None
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        if archive in self.archives:
            raise ArchiveExists(f"archive {archive} already exists")
        items: list[Item] = []
        findings: list[Finding] = []
        inodes: set[tuple[int, int]] = set()
        for path in paths:
            try:
                items.append(_item(path))
                status = os.lstat(path)
            except FileNotFoundError:
                findings.append(Finding(path, "vanished before borg had read it"))
            except PermissionError as error:
                raise SourceUnreadable(f"{path} may not be read") from error
            else:
                if stat.S_ISREG(status.st_mode):
                    inodes.add((status.st_dev, status.st_ino))
        self.archives[archive] = items
        size = sum(file.size_bytes for file, _ in items)
        if report:
            report(Progress(size, None, "bytes", f"{len(inodes)} files read"))
        return ArchiveStatistics(archive, len(inodes), size, size, timedelta()), findings


def _walk(path: Path, excludes: Sequence[str]) -> Iterator[str]:
    if any(_matches(pattern, str(path)) for pattern in excludes):
        return
    yield str(path)
    if path.is_dir() and not path.is_symlink():
        for below in sorted(path.iterdir()):
            yield from _walk(below, excludes)


def _matches(pattern: str, path: str) -> bool:
    style, _, rest = pattern.partition(":")
    wanted, found = rest.strip("/"), path.lstrip("/")
    if style == "pf":
        return found == wanted
    if style == "pp":
        return f"{found}/".startswith(f"{wanted}/")
    if style == "fm":
        return fnmatchcase(f"{found}/", f"{wanted}/*")
    if style == "re":
        return re.search(wanted, found) is not None
    raise NotImplementedError(f"this double does not know the pattern style of {pattern!r}")


def _item(path: str) -> Item:
    status = os.lstat(path)
    kind = stat.filemode(status.st_mode)[0]
    content = b""
    if kind == "-":
        content = Path(path).read_bytes()
    elif kind == "l":
        content = os.fsencode(Path(path).readlink())
    modified = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=status.st_mtime_ns // 1000)
    shown = path.rpartition("/./")[2]
    size = len(content) if kind == "-" else 0
    return ArchivedFile(shown.lstrip("/"), kind, size, modified), content


def _write(place: Path, file: ArchivedFile, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if file.kind == "d":
        place.mkdir(exist_ok=True)
        return
    place.unlink(missing_ok=True)
    if file.kind == "l":
        place.symlink_to(os.fsdecode(content))
    else:
        place.write_bytes(content)
        moment = file.modified.timestamp()
        os.utime(place, (moment, moment))
