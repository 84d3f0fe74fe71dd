"""A borg repository and its verbs: the port ``Archives``, and what the operator needs beside it."""

import json
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mailrewind.borg import commands
from mailrewind.borg.locks import Holder, holder_of
from mailrewind.borg.messages import Message, finding_of, source_error
from mailrewind.borg.process import Ended, memory_file, run_borg, stream_borg
from mailrewind.borg.reading import LISTING_ENCODING, as_source, exported_files, listed_files
from mailrewind.borg.settings import RepositorySettings
from mailrewind.errors import (
    ArchivePathMissing,
    BorgFailed,
    RepositoryDamaged,
    RepositoryLocked,
    RepositoryMissing,
    RepositoryRefused,
    SourceMissing,
    SourceUnreadable,
)
from mailrewind.model.reports import ArchiveStatistics, Finding
from mailrewind.ports import ArchivedFile, Capture, Report

__all__ = ["BorgRepository", "RepositoryInfo", "RepositorySettings"]

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_ARGUMENTS = 500  # paths of a kilobyte each stay far below what the kernel takes


@dataclass(frozen=True, slots=True)
class RepositoryInfo:
    """What borg knows of a repository.

    Attributes:
        id: 64 hexadecimal digits.
        location: As borg sees it.
        encryption: borg's name of the mode.
        modified: Last write, UTC.
        original_bytes: Of all archives, before compression and deduplication.
        stored_bytes: On the disk.
    """

    id: str
    location: str
    encryption: str
    modified: datetime
    original_bytes: int
    stored_bytes: int


class BorgRepository:
    """One repository, written through the borg executable and read past its lock.

    Reading takes no lock, because a reader that holds one makes the hourly backup fail. When
    something is deleted meanwhile, borg may stumble; then it is asked once more.
    """

    def __init__(self, settings: RepositorySettings) -> None:
        if "{" in settings.location or "}" in settings.location:
            raise RepositoryRefused(
                f"the location {settings.location} has braces, which borg takes for placeholders",
                advice="Give the repository a path without braces.",
            )
        self.settings = settings

    def prepare(self) -> None:
        """Create the repository where nothing or an empty directory is.

        Raises:
            RepositoryRefused: Something else is there.
            RepositoryError: What stands there cannot be opened.
        """
        try:
            self.names()
        except RepositoryMissing:
            # borg's additional_free_space stays 0: it would hold for delete and compact too, which
            # then could not free the space that is missing. borg itself leaves four times the size
            # of its index free at each commit, enough for those two.
            self._run(commands.init(self.settings.location, self.settings.encryption))
            logger.info("created the repository %s", self.settings.location)

    def create(
        self, archive: str, capture: Capture, *, report: Report | None = None
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        """Archive what a capture shows; findings name files that changed or vanished.

        Raises:
            SourceMissing: A root is not there, or is a symbolic link, which borg would not follow.
            SourceUnreadable: Something below may not or cannot be read; nothing was archived.
            ArchiveExists: Done already; a retry may take it as it is.
            RepositoryError: Any other kind, by borg's message id.
        """
        if not capture.roots:
            raise SourceMissing("there is no directory to archive")
        for root in capture.roots:
            _require_directory(root)
        command = commands.create(
            self.settings.location,
            archive,
            capture.roots,
            excludes=capture.excludes,
            compression=self.settings.compression,
        )
        roots = frozenset(map(str, capture.roots))

        def judge(message: Message) -> None:
            if message.is_vanished and message.subject in roots:
                raise SourceMissing(f"{message.subject} vanished while borg read it")
            if error := source_error(message):
                raise error

        return self._write(archive, command, judge, report=report)

    def create_from_paths(
        self, archive: str, paths: Iterable[str]
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        """Archive exactly these files; one that has vanished is a finding.

        Raises:
            SourceUnreadable: One may not or cannot be read; nothing was archived.
            ArchiveExists: Done already; a retry may take it as it is.
            RepositoryError: Any other kind, by borg's message id.
        """
        absolute = [f"/{path}" for path in paths]
        location, compression = self.settings.location, self.settings.compression
        stdin = None
        if any("\r" in path for path in absolute):  # borg reads its input as text with any line end
            files = [Path(path) for path in absolute]
            command = commands.create(
                location, archive, files, excludes=(), compression=compression
            )
        else:
            command = commands.create_from_stdin(location, archive, compression=compression)
            stdin = b"".join(os.fsencode(path) + b"\0" for path in absolute)

        def judge(message: Message) -> None:
            if error := source_error(message):
                raise error

        return self._write(archive, command, judge, stdin=stdin)

    def names(self) -> Sequence[str]:
        """Return the names of all archives, oldest first, without borg's checkpoints."""
        return [entry["name"] for entry in self._archives()]

    def files(self, archive: str) -> Iterator[ArchivedFile]:
        """List an archive; further names of one file come last.

        Raises:
            ArchiveMissing: The repository holds no archive of this name.
        """
        return _again(lambda: self._files(archive))

    def read(self, archive: str, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (path, content) of regular files, in the archive's order; hard links come last.

        A path that the archive does not hold is left out: the caller compares. Consume it in one
        thread: borg ends with the thread that started it.

        Raises:
            ArchiveMissing: The repository holds no archive of this name.
            RepositoryDamaged: Content is missing or has changed.
        """
        return _again(lambda: self._read(archive, paths))

    def delete(self, archives: Sequence[str]) -> None:
        """Delete archives by name; a name that is gone already is no error."""
        for start in range(0, len(archives), _ARGUMENTS):
            some = archives[start : start + _ARGUMENTS]
            self._run(commands.delete(self.settings.location, some))

    def compact(self) -> None:
        """Give the space of deleted archives, and of checkpoints that served, back."""
        self.delete(self._served_checkpoints())
        self._run(commands.compact(self.settings.location))

    def extract(self, archive: str, target: Path, *, paths: Sequence[str] = ()) -> None:
        """Write an archive, or some directories of it, below an existing directory.

        Raises:
            ArchiveMissing: The repository holds no archive of this name.
            ArchivePathMissing: The archive does not hold one of the paths.
        """
        ended = self._run(commands.extract(self.settings.location, archive, paths), cwd=target)
        for warning in ended.warnings:
            is_missing = warning.msgid == "IncludePatternNeverMatchedWarning"
            kind = ArchivePathMissing if is_missing else BorgFailed
            raise kind(f"extracting {archive}: {warning.text}")

    def info(self) -> RepositoryInfo:
        """Return what borg knows of the repository.

        Raises:
            RepositoryLocked: A backup is running: it holds borg's cache.
        """
        told = json.loads(self._run(commands.info(self.settings.location)).stdout)
        repository, sizes = told["repository"], told["cache"]["stats"]
        return RepositoryInfo(
            id=repository["id"],
            location=repository["location"],
            encryption=told["encryption"]["mode"],
            modified=_utc(repository["last_modified"]),
            original_bytes=sizes["total_size"],
            stored_bytes=sizes["unique_csize"],
        )

    def accept_moved(self) -> None:
        """Take the repository at this location for the one that was known elsewhere."""
        run_borg(self.settings, commands.info(self.settings.location), accept_moved=True)

    def check(self, *, verify_data: bool = False, report: Report | None = None) -> None:
        """Look for damage, and repair nothing.

        Args:
            verify_data: Read every stored message as well; takes as long as a first backup.
            report: Hears of the progress.

        Raises:
            RepositoryDamaged: Names the first thing found.
        """
        command = commands.check(self.settings.location, verify_data=verify_data)
        ended = self._run(command, report=report)
        if ended.complaints:
            raise RepositoryDamaged(f"{self.settings.location}: {ended.complaints[0].text}")

    def break_lock(self) -> None:
        """Remove the locks that a dead process on another host has left.

        Raises:
            RepositoryLocked: The process that holds the lock runs on this machine.
        """
        holder = self._holder()
        if holder and holder.is_alive:
            raise RepositoryLocked(
                f"the lock of {self.settings.location} is held by {holder}, which is running",
                advice="Wait for it, or end that process; the lock then goes away by itself.",
            )
        run_borg(self.settings, commands.break_lock(self.settings.location))

    def export_key(self, path: Path) -> None:
        """Write a copy of the repository's key into a new file that only we may read.

        Raises:
            KeyMissing: The repository is not encrypted.
            RepositoryRefused: The file exists, or cannot be written.
        """
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise RepositoryRefused(
                f"cannot write the key to {path}: {error.strerror}",
                advice="Name a file that does not exist yet, in a directory that does.",
            ) from error
        try:
            run_borg(self.settings, commands.key_export(self.settings.location, path.absolute()))
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _write(
        self,
        archive: str,
        command: Sequence[str],
        judge: Callable[[Message], None],
        *,
        stdin: bytes | None = None,
        report: Report | None = None,
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        started = time.monotonic()
        try:
            ended = self._run(command, stdin=stdin, report=report, on_warning=judge)
        except (SourceMissing, SourceUnreadable):
            # borg was ended at its first such warning and has saved nothing, unless the warning
            # was the last thing that it had to say.
            self.delete([name for name in self.names() if name == archive])
            raise
        duration = timedelta(seconds=time.monotonic() - started)
        told = json.loads(ended.stdout)["archive"]["stats"]
        statistics = ArchiveStatistics(
            archive, told["nfiles"], told["original_size"], told["deduplicated_size"], duration
        )
        return statistics, [finding_of(warning) for warning in ended.warnings]

    def _run(
        self,
        command: Sequence[str],
        *,
        stdin: bytes | None = None,
        report: Report | None = None,
        on_warning: Callable[[Message], None] | None = None,
        cwd: Path | None = None,
    ) -> Ended:
        def run() -> Ended:
            return run_borg(
                self.settings,
                command,
                stdin=stdin,
                report=report,
                on_warning=on_warning,
                cwd=cwd,
            )

        try:
            return run()
        except RepositoryLocked as error:
            holder = self._holder()
            if holder is None or holder.is_alive or not holder.is_here:
                raise RepositoryLocked(
                    f"{error}" + (f"; it is held by {holder}" if holder else "")
                ) from error
        logger.warning("removing the lock of a dead process from %s", self.settings.location)
        run_borg(self.settings, commands.break_lock(self.settings.location))
        return run()

    def _holder(self) -> Holder | None:
        path = self.settings.local_path
        return holder_of(path, self.settings.base_dir) if path else None

    def _archives(self, *, checkpoints: bool = False) -> list[dict[str, Any]]:
        command = commands.list_archives(self.settings.location, checkpoints=checkpoints)
        entries: list[dict[str, Any]] = json.loads(self._run(command).stdout)["archives"]
        return sorted(entries, key=lambda entry: str(entry["start"]))

    def _served_checkpoints(self) -> list[str]:
        # The newest one holds what an interrupted first backup has sent already.
        whole = set(self.names())
        entries = self._archives(checkpoints=True)
        newest = max((e["start"] for e in entries if e["name"] in whole), default="")
        return [e["name"] for e in entries if e["name"] not in whole and e["start"] < newest]

    def _files(self, archive: str) -> Iterator[ArchivedFile]:
        links: list[tuple[ArchivedFile, str]] = []
        for file, source in self._listed(archive):
            if source:
                links.append((file, source))
            else:
                yield file
        if links:
            wanted = {source for _, source in links}
            sizes = {
                shown: file.size_bytes
                for file, _ in self._listed(archive)
                if (shown := as_source(file.path)) in wanted
            }
            for file, source in links:
                yield replace(file, size_bytes=sizes.get(source, 0))

    def _listed(self, archive: str) -> Iterator[tuple[ArchivedFile, str]]:
        command = commands.list_files(self.settings.location, archive)
        with stream_borg(self.settings, command, encoding=LISTING_ENCODING) as output:
            yield from listed_files(output)

    def _read(self, archive: str, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        wanted = frozenset(paths)
        links: dict[str, list[str]] = {}
        for path, content, source in self._exported(archive, wanted):
            if path not in wanted:
                continue
            if content is None:
                links.setdefault(source, []).append(path)
            else:
                yield path, content
        # The content went by under the file's first name; keeping it all could be any size.
        for source, content, _ in self._exported(archive, frozenset(links)):
            if content is not None:
                yield from ((path, content) for path in links[source])

    def _exported(
        self, archive: str, paths: frozenset[str]
    ) -> Iterator[tuple[str, bytes | None, str]]:
        lines = sorted(path for path in paths if commands.fits_pattern_line(path))
        others = sorted(paths.difference(lines)) or lines[:1]
        for start in range(0, len(others), _ARGUMENTS):
            some = others[start : start + _ARGUMENTS]
            with memory_file(map(commands.pattern_line, lines)) as descriptor:
                patterns = Path(f"/dev/fd/{descriptor}")
                command = commands.export_tar(
                    self.settings.location, archive, some, patterns=patterns
                )
                with stream_borg(self.settings, command, pass_fds=(descriptor,)) as output:
                    yield from exported_files(output)
            lines = []


def _again(start: Callable[[], Iterator[_T]]) -> Iterator[_T]:
    """Yield everything; when it breaks off, start once more after what was yielded already."""
    done = 0
    try:
        for thing in start():
            yield thing
            done += 1
    except (RepositoryDamaged, BorgFailed) as error:
        logger.info("reading once more: %s", error)
    else:
        return
    yield from islice(start(), done, None)


def _require_directory(root: Path) -> None:
    try:
        status = root.lstat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceMissing(f"{root} does not exist") from error
    except PermissionError as error:
        raise SourceUnreadable(f"{root} may not be read") from error
    if stat.S_ISLNK(status.st_mode):
        raise SourceMissing(
            f"{root} is a symbolic link, of which borg would archive only the link",
            advice="Write the directory that it points to into the configuration.",
        )
    if not stat.S_ISDIR(status.st_mode):
        raise SourceMissing(f"{root} is not a directory")


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
