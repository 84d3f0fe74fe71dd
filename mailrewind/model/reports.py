"""What a run did, in numbers and findings."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Finding:
    """Something noteworthy that did not fail the run.

    Attributes:
        subject: The thing it is about: a path, a folder, an address.
        text: One sentence for the operator.
    """

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class ArchiveStatistics:
    """What one borg run wrote.

    Attributes:
        archive: Full name.
        files: Regular files in the archive.
        original_bytes: Before compression and deduplication.
        added_bytes: New in the repository, compressed and deduplicated.
        duration: Wall time of the borg process.
    """

    archive: str
    files: int
    original_bytes: int
    added_bytes: int
    duration: timedelta


@dataclass(frozen=True, slots=True)
class IndexChanges:
    """What a restore point changed in the catalogue.

    Attributes:
        messages: How many lie in all folders at this point, copies counted.
        mailboxes: How many mailboxes have at least one folder.
        appeared: Not in their mailbox at the point before.
        vanished: In no folder of their mailbox any more.
        moved: In another folder than before.
        flagged: Same place, other flags.
    """

    messages: int
    mailboxes: int
    appeared: int
    vanished: int
    moved: int
    flagged: int


@dataclass(frozen=True, slots=True)
class BackupReport:
    """One backup run, as its artifact and `mailrewind points` show it.

    Attributes:
        point: Name of the restore point.
        system: Name of the system.
        taken_at: Moment of the restore point, UTC.
        finished_at: When the catalogue stood, UTC.
        archives: One entry per archive.
        index: What changed since the point before; None when only the archive was made.
        late: Messages that only the second pass caught.
        findings: What did not fail the run.
        gone: The mail system's keys of messages that were archived and then deleted or moved
            before the run had ended; the catalogue needs them to tell a move from a copy.
    """

    point: str
    system: str
    taken_at: datetime
    finished_at: datetime
    archives: tuple[ArchiveStatistics, ...]
    index: IndexChanges | None
    late: int
    findings: tuple[Finding, ...]
    gone: tuple[str, ...] = ()

    @property
    def added_bytes(self) -> int:
        """New bytes in the repository."""
        return sum(archive.added_bytes for archive in self.archives)


@dataclass(frozen=True, slots=True)
class AdoptReport:
    """What was found in a repository that the state did not know.

    Attributes:
        system: Name of the system.
        adopted: Names of the restore points that are known from now on, oldest first.
        known: How many points of the repository were known before.
        findings: What lies there and is no complete point of this system.
    """

    system: str
    adopted: tuple[str, ...]
    known: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class RetainReport:
    """What one run of retention did.

    Attributes:
        system: Name of the system.
        at: When it had ended, UTC.
        removed: Names of the restore points that went.
        kept: How many stay.
    """

    system: str
    at: datetime
    removed: tuple[str, ...]
    kept: int
