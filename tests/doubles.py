"""Stand-ins that pass the conformance suites."""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from mailrewind.errors import ArchiveExists, ArchiveMissing, SourceMissing, SourceUnreadable
from mailrewind.model.reports import ArchiveStatistics, Finding
from mailrewind.ports import ArchivedFile, Capture, Progress, Report

Item = tuple[ArchivedFile, bytes]


@dataclass
class MemoryArchives:
    """Archives of real files, kept in memory; passes the suite that borg passes.

    Of borg's exclude patterns it knows the styles pp:, pf: and fm:, and refuses others.
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
    content = Path(path).read_bytes() if kind == "-" else b""
    modified = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=status.st_mtime_ns // 1000)
    shown = path.rpartition("/./")[2]
    return ArchivedFile(shown.lstrip("/"), kind, len(content), modified), content
