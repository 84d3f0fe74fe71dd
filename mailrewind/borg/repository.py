"""A borg repository and its verbs: the port ``Archives``, and what the operator needs beside it."""

import json
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from mailrewind.borg import commands
from mailrewind.borg.extracting import extract
from mailrewind.borg.keys import KeyForm, export_key, import_key, key_on_paper
from mailrewind.borg.known import forget, known_id, remember
from mailrewind.borg.locks import Holder, holder_of
from mailrewind.borg.messages import (
    STALE_LOCK_REMOVED,
    Message,
    finding_of,
    full_disk,
    source_error,
)
from mailrewind.borg.process import Ended, run_borg
from mailrewind.borg.reader import STUMBLES, open_content, read_contents, read_listing
from mailrewind.borg.settings import RepositorySettings
from mailrewind.borg.ssh import ssh_command
from mailrewind.errors import (
    DumpFailed,
    KeyMissing,
    RepositoryDamaged,
    RepositoryError,
    RepositoryFull,
    RepositoryLocked,
    RepositoryMissing,
    RepositoryMoved,
    RepositoryRefused,
    SourceMissing,
    SourceUnreadable,
)
from mailrewind.model.reports import ArchiveStatistics, Finding
from mailrewind.ports import ArchivedFile, Capture, Report
from mailrewind.transports.processes import tied_to_parent

__all__ = ["BorgRepository", "RepositoryInfo", "RepositorySettings"]

logger = logging.getLogger(__name__)

_USUAL_SEGMENT_BYTES = 500 * 1024**2
_SMALLEST_SEGMENT_BYTES = 5 * 1024**2
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
    """One repository, written through the borg executable and read past its lock."""

    def __init__(self, settings: RepositorySettings) -> None:
        if "{" in settings.location or "}" in settings.location:
            raise RepositoryRefused(
                f"the location {settings.location} has braces, which borg takes for placeholders",
                advice="Give the repository a path without braces.",
            )
        ssh_command(settings.ssh_command)  # refused at once, and not at the first backup
        self.settings = settings

    def prepare(self) -> None:
        """Create the repository where nothing or an empty directory is; else see that it is ours.

        Raises:
            RepositoryMissing: There was one at this location before; its disk may not be mounted.
            RepositoryMoved: Another one was at this location before.
            RepositoryRefused: Something else is there.
            RepositoryError: What stands there cannot be opened.
        """
        location, base_dir = self.settings.location, self.settings.base_dir
        known = known_id(base_dir, location)
        try:
            found = self._id()
        except RepositoryMissing as error:
            if known:
                raise RepositoryMissing(
                    f"the repository {location} is gone; it was there before",
                    advice="Mount its disk. If you removed it yourself, run "
                    "`mailrewind repository list NAME --accept-moved` once.",
                ) from error
            found = self._init()
        if known and found != known:
            raise RepositoryMoved(f"the repository at {location} is another one than before")
        if not known:
            remember(base_dir, location, found)

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

        So is one with a carriage return in its name: borg reads its input with any line ends.

        Raises:
            SourceUnreadable: One may not or cannot be read; nothing was archived.
            ArchiveExists: Done already; a retry may take it as it is.
            RepositoryError: Any other kind, by borg's message id.
        """
        absolute = [f"/{path}" for path in paths]
        unsayable = [path for path in absolute if "\r" in path]
        stdin = b"".join(os.fsencode(path) + b"\0" for path in absolute if "\r" not in path)
        command = commands.create_from_stdin(
            self.settings.location, archive, compression=self.settings.compression
        )

        def judge(message: Message) -> None:
            if error := source_error(message):
                raise error

        statistics, findings = self._write(archive, command, judge, stdin=stdin)
        left_out = [Finding(path, "cannot be archived: its name has a CR") for path in unsayable]
        return statistics, [*findings, *left_out]

    def create_from_command(
        self, archive: str, command: Sequence[str], *, path: str
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        """Archive what a command writes to standard output, as one file.

        The command is a child of borg, in its process group, and ends with it. It gets our
        harmless variables and those of borg, among which is no secret; it reads nothing.

        Args:
            archive: Its name; one that exists is refused before the command is started.
            command: The program, looked up on our PATH, and its arguments.
            path: Where the output stands in the archive, without a leading "/".

        Raises:
            DumpFailed: The command cannot be run, or failed; nothing was archived. The text ends
                with the last lines of its standard error.
            ArchiveExists: Done already; a retry may take it as it is.
            RepositoryError: Any other kind, by borg's message id.
        """
        if path.startswith("/") or not {"", ".", ".."}.isdisjoint(path.split("/")):
            raise ValueError(f"{path!r} is no path within an archive")
        try:
            tied = tied_to_parent(command)
        except FileNotFoundError as error:
            raise DumpFailed(f"there is no program {command[0]} to run") from error
        arguments = commands.create_from_command(
            self.settings.location, archive, tied, path=path, compression=self.settings.compression
        )
        return self._write(archive, arguments)

    def names(self) -> Sequence[str]:
        """Return the names of all archives, oldest first, without borg's checkpoints."""
        return [entry["name"] for entry in self._archives()]

    def files(self, archive: str) -> Iterator[ArchivedFile]:
        """List an archive; further names of one file come last.

        Raises:
            ArchiveMissing: The repository holds no archive of this name.
        """
        return read_listing(self.settings, archive)

    def read(self, archive: str, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (path, content) of regular files, in the archive's order; hard links come last.

        A path that the archive does not hold is left out: the caller compares. Consume it in one
        thread: borg ends with the thread that started it.

        Raises:
            ArchiveMissing: The repository holds no archive of this name.
            RepositoryDamaged: Content is missing or has changed.
        """
        return read_contents(self.settings, archive, paths)

    def read_stream(self, archive: str, path: str) -> AbstractContextManager[BinaryIO]:
        """Give the content of one regular file as a stream; see ``borg.reader.open_content``."""
        return open_content(self.settings, archive, path)

    def delete(self, archives: Sequence[str]) -> None:
        """Delete archives by name; a name that is gone already is no error."""
        for start in range(0, len(archives), _ARGUMENTS):
            some = archives[start : start + _ARGUMENTS]
            self._run(commands.delete(self.settings.location, some))

    def compact(self) -> None:
        """Give the space of deleted archives, and of checkpoints that served, back."""
        self.delete(self._served_checkpoints())
        self._run(commands.compact(self.settings.location))

    def extract(
        self,
        archive: str,
        target: Path,
        *,
        paths: Sequence[str] = (),
        strip: int = 0,
        report: Report | None = None,
    ) -> Sequence[Finding]:
        """Write an archive, or what lies at some paths of it, below an existing directory.

        Raises:
            MailrewindError: Those of ``borg.extracting.extract``, where all is said.
        """
        return extract(self.settings, archive, target, paths=paths, strip=strip, report=report)

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
        """Take what is at this location, be it nothing, for ours from now on."""
        forget(self.settings.base_dir, self.settings.location)
        with suppress(RepositoryMissing):
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

    def lock_holder(self) -> Holder | None:
        """Return who holds the lock; None if nobody does, or if that cannot be seen from here."""
        return self._holder()

    def break_lock(self) -> None:
        """Remove the locks that a dead process on another host has left.

        Raises:
            RepositoryLocked: The process that holds the lock runs on this machine.
        """
        holder = self.lock_holder() or self._cache_user()
        if holder and holder.is_alive:
            raise RepositoryLocked(
                f"the lock of {self.settings.location} is held by {holder}, which is running",
                advice="Wait for it, or end that process; the lock then goes away by itself.",
            )
        run_borg(self.settings, commands.break_lock(self.settings.location))

    def export_key(self, path: Path, *, form: KeyForm = "file") -> None:
        """Write a copy of the repository's key into a new file that only we may read.

        Raises:
            KeyMissing: The repository is not encrypted.
            RepositoryRefused: The file exists, or cannot be written.
        """
        export_key(self.settings, path, form=form)

    def key_on_paper(self) -> str:
        """Return a copy of the repository's key as lines to print and, one day, to type.

        Raises:
            KeyMissing: The repository is not encrypted.
        """
        return key_on_paper(self.settings)

    def import_key(self, path: Path) -> None:
        """Bring the key back from a copy, and see that the passphrase opens it.

        Raises:
            RepositoryRefused: The repository has its key already.
            KeyMissing: The copy cannot be read, is none, or belongs to another repository.
            PassphraseWrong: The key is back, and the passphrase is not the one of this copy.
        """
        with suppress(KeyMissing):
            self._id()
            raise RepositoryRefused(
                f"the repository {self.settings.location} has its key, and the passphrase opens it",
                advice="Nothing needs to be imported.",
            )
        import_key(self.settings, path)
        self._id()

    def _write(
        self,
        archive: str,
        command: Sequence[str],
        judge: Callable[[Message], None] | None = None,
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
            self._remove(archive)
            raise
        except RepositoryFull:
            # Each transaction begins with removing what a killed one has left, and this is the
            # only one that writes nothing before.
            with suppress(RepositoryError):
                self._run(commands.compact(self.settings.location))
            raise
        if any(warning.is_about_full_disk for warning in ended.warnings):
            self._remove(archive)
            raise full_disk(self.settings.location)
        duration = timedelta(seconds=time.monotonic() - started)
        told = json.loads(ended.stdout)["archive"]["stats"]
        statistics = ArchiveStatistics(
            archive, told["nfiles"], told["original_size"], told["deduplicated_size"], duration
        )
        findings = (finding_of(warning, self.settings.location) for warning in ended.warnings)
        return statistics, list(dict.fromkeys(findings))

    def _remove(self, archive: str) -> None:
        self.delete([name for name in self.names() if name == archive])

    def _run(
        self,
        command: Sequence[str],
        *,
        stdin: bytes | None = None,
        report: Report | None = None,
        on_warning: Callable[[Message], None] | None = None,
    ) -> Ended:
        def run() -> Ended:
            return run_borg(
                self.settings,
                command,
                stdin=stdin,
                report=report,
                on_warning=on_warning,
            )

        try:
            return run()
        except RepositoryLocked as error:
            holder = self._holder(str(error))
            if holder is None or holder.is_alive or not holder.is_here:
                raise RepositoryLocked(
                    str(error).rstrip(".") + (f"; it is held by {holder}" if holder else "")
                ) from error
        logger.warning("removing the lock of a dead process from %s", self.settings.location)
        run_borg(self.settings, commands.break_lock(self.settings.location))
        ended = run()
        return replace(ended, messages=(STALE_LOCK_REMOVED, *ended.messages))

    def _holder(self, complaint: str = "") -> Holder | None:
        """Return who holds the lock that borg complains of: the repository's, or its cache's."""
        base_dir = self.settings.base_dir
        for cache in base_dir.glob(".cache/borg/*/lock.exclusive"):
            if str(cache) in complaint:
                return holder_of(cache.parent, base_dir)
        path = self.settings.local_path
        return holder_of(path, base_dir) if path else None

    def _cache_user(self) -> Holder | None:
        """Return who on this machine writes, wherever the repository lies, into its cache here."""
        base_dir = self.settings.base_dir
        known = known_id(base_dir, self.settings.location)
        return holder_of(base_dir / ".cache" / "borg" / known, base_dir) if known else None

    def _init(self) -> str:
        location = self.settings.location
        self._run(commands.init(location, self.settings.encryption))
        logger.info("created the repository %s", location)
        if self.settings.local_path:
            # What borg leaves free at each commit, so that delete and compact can work when the
            # disk is full, is one segment of 500 MB: on a small disk too much to ask for.
            # Its additional_free_space stays 0, because it would hold for those two as well.
            size_bytes = shutil.disk_usage(location).total // 100
            if size_bytes < _USUAL_SEGMENT_BYTES:
                segment_bytes = max(size_bytes, _SMALLEST_SEGMENT_BYTES)
                self._run(commands.set_segment_size(location, segment_bytes))
        return self._id()

    def _id(self) -> str:
        return str(self._listing()["repository"]["id"])

    def _archives(self, *, checkpoints: bool = False) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self._listing(checkpoints=checkpoints)["archives"]
        return sorted(entries, key=lambda entry: str(entry["start"]))

    def _listing(self, *, checkpoints: bool = False) -> dict[str, Any]:
        command = commands.list_archives(self.settings.location, checkpoints=checkpoints)
        try:
            ended = run_borg(self.settings, command, past_locks=True)
        except STUMBLES as error:
            logger.info("listing once more: %s", error)
            ended = run_borg(self.settings, command, past_locks=True)
        told: dict[str, Any] = json.loads(ended.stdout)
        return told

    def _served_checkpoints(self) -> list[str]:
        # The newest one holds what an interrupted first backup has sent already.
        whole = set(self.names())
        entries = self._archives(checkpoints=True)
        newest = max((e["start"] for e in entries if e["name"] in whole), default="")
        return [e["name"] for e in entries if e["name"] not in whole and e["start"] < newest]


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
    if not commands.is_text(str(root)):
        raise SourceUnreadable(
            f"the name of {os.fsencode(root)!r} is not UTF-8, and borg keeps its command line",
            advice="Back up the directory above it.",
        )


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
