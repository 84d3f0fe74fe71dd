"""What is asked of a repository, and of what is archived in it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from mailrewind.model.reports import ArchiveStatistics, Finding


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """One item of an archive's listing.

    Attributes:
        path: Without a leading "/"; bytes that are not UTF-8 come as surrogate escapes.
        kind: borg's type letter: "-" file, "d" directory, "l" symbolic link, ...
        size_bytes: Of a regular file.
        modified: mtime, aware, UTC, microseconds.
    """

    path: str
    kind: str
    size_bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Capture:
    """The readable view of a system during a backup.

    Attributes:
        roots: Absolute directories to archive.
        excludes: borg patterns (with their style prefix) of what is left out.
    """

    roots: tuple[Path, ...]
    excludes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far something that lasts has come.

    Attributes:
        done: In ``unit``.
        total: In ``unit``; None while unknown.
        unit: "bytes", "files", "messages", "points" or "users".
        text: What is being done, in a few words.
    """

    done: int
    total: int | None
    unit: str
    text: str


Report = Callable[[Progress], None]


Fetch = Callable[[Sequence[str]], Iterator[tuple[str, bytes]]]


class Archives(Protocol):
    """One repository of archives.

    Contract, checked by ``tests/conformance/test_archives.py``: what was written reads back byte
    for byte; an archive exists wholly or not at all.
    """

    def prepare(self) -> None:
        """Create the repository if there is none yet; leave an existing one as it is."""
        ...

    def create(
        self, archive: str, capture: Capture, *, report: Report | None = None
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        """Archive what a capture shows; findings name files that changed or vanished.

        Raises:
            ArchiveExists: Done already; a retry may take it as it is.
            RepositoryError: Any other kind, by borg's message id.
        """
        ...

    def create_from_paths(
        self, archive: str, paths: Iterable[str]
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        """Archive exactly these paths; a path that has vanished is a finding.

        A path may begin with where the file lies instead, ended by "/./": the archive shows what
        stands behind that.
        """
        ...

    def create_from_command(
        self, archive: str, command: Sequence[str], *, path: str
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        """Archive what a command writes to standard output, as one file at ``path``.

        The command is met by no shell, reads nothing, and ends when the call is cancelled.

        Raises:
            DumpFailed: The command cannot be run, or failed; nothing was archived. The text ends
                with the last lines of its standard error.
            ArchiveExists: Done already; the command was not started.
            RepositoryError: Any other kind, by borg's message id.
        """
        ...

    def names(self) -> Sequence[str]:
        """Return the names of all archives, oldest first, without borg's checkpoints."""
        ...

    def files(self, archive: str) -> Iterator[ArchivedFile]:
        """List an archive.

        Raises:
            ArchiveMissing: The repository holds no archive of this name.
        """
        ...

    def read(self, archive: str, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (path, content) of regular files, in the archive's order, hard links last.

        A path that the archive does not hold is left out: the caller compares.
        """
        ...

    def read_stream(self, archive: str, path: str) -> AbstractContextManager[BinaryIO]:
        """Give the content of one regular file as a stream; little of it lies in memory at a time.

        Raises:
            ArchiveMissing: The repository holds no archive of this name.
            ArchivePathMissing: The archive holds no regular file at this path.
            RepositoryDamaged: Content is missing or has changed; may come after much was read, at
                the latest when the block is left.
        """
        ...

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

        What is there under the same names is replaced, what is there under others stays. Modes,
        times, links and extended attributes are as they were; owners too, by number, as root.

        Args:
            archive: Its name.
            target: Where to; nothing is written outside of it.
            paths: Files or directories with all below them; none for everything.
            strip: How many leading names each path loses; what has no more of them is left out.
            report: Hears of the progress.

        Returns:
            What came without an attribute, or not at all.

        Raises:
            SourceMissing: The target is no directory.
            SourceUnreadable: The target may not be written.
            ArchiveMissing: The repository holds no archive of this name.
            ArchivePathMissing: The archive does not hold one of the paths.
            RepositoryDamaged: Content is missing or has changed.
            NoSpace: The target's disk is full.
        """
        ...

    def delete(self, archives: Sequence[str]) -> None:
        """Delete archives by name; a name that is gone already is no error."""
        ...

    def compact(self) -> None:
        """Give the space of deleted archives back."""
        ...


class Part(Protocol):
    """What is archived of a system besides its mail: one archive of each restore point.

    Attributes:
        name: The archive's name ends with it.
    """

    name: str

    def archive(
        self, archives: Archives, archive: str, *, report: Report | None = None
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        """Make the archive.

        Raises:
            ArchiveExists: Done already.
            MailSystemError: It cannot be read as it should; retryable where waiting helps.
            RepositoryError: As borg says.
        """
        ...
