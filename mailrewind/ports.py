"""What the domain asks of the outside world.

Words: a MAILBOX is named by its address. A FOLDER is a path below the mailbox with "/" between
levels, in Unicode; the inbox is "INBOX". A GUID is the mail system's own name for a message; it
survives moves and flag changes. A PATH is where a file lies below "/", without a leading "/", on
the mail system and in an archive alike.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from mailrewind.model.databases import AccountRows, Examination, Returning, RowStep
from mailrewind.model.mail import Delivery, Headers, Message, Quota
from mailrewind.model.operations import (
    Draft,
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
)
from mailrewind.model.points import PointStatus, RestorePoint
from mailrewind.model.reports import ArchiveStatistics, BackupReport, Finding, IndexChanges
from mailrewind.model.restores import Added, RestorePlan, RestoreReport, Then


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


@dataclass(frozen=True, slots=True)
class Process:
    """Evidence of who does something, to tell a living process from a dead one.

    Attributes:
        host: Name of the machine.
        pid: Process id there.
        boot_id: Kernel's boot id, so that a pid of before a restart means nothing.
        started: Start time in clock ticks since boot, so that a reused pid means nothing.
    """

    host: str
    pid: int
    boot_id: str
    started: int


WHOLE_SYSTEM = "*"  # no mailbox's address: the lease on everything that a system has


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds the right to restore into a mailbox, or into a whole system.

    Attributes:
        system: Name of the system.
        mailbox: Address, or WHOLE_SYSTEM.
        holder: In words, such as "plan 3f9a1c20 by cli:root".
        since: UTC.
        process: Who.
    """

    system: str
    mailbox: str
    holder: str
    since: datetime
    process: Process


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One deed.

    Attributes:
        at: UTC.
        who: Such as "cli:root" or "prefect".
        action: Such as "restore", "undo", "retain".
        system: Name of the system.
        mailbox: Address, or "".
        text: Numbers and the reason; never a subject or a body.
    """

    at: datetime
    who: str
    action: str
    system: str
    mailbox: str
    text: str


class Part(Protocol):
    """What is archived of a system besides its mail: one archive of each restore point.

    Attributes:
        name: The archive's name ends with it.
    """

    name: str

    def archive(
        self, archives: "Archives", archive: str, *, report: Report | None = None
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        """Make the archive.

        Raises:
            ArchiveExists: Done already.
            MailSystemError: It cannot be read as it should; retryable where waiting helps.
            RepositoryError: As borg says.
        """
        ...


class MailSystem(Protocol):
    """A mail installation: what to archive, how to read an archive, how to bring messages back.

    Contract, checked for every adapter by ``tests/conformance/test_mail_systems.py``:
        * A message that was delivered reads back: same bytes (or same after line ends where the
          system re-saves), flags, keywords, INTERNALDATE, folder and GUID.
        * ``deliver`` creates missing folders and never changes a message that is already there.
        * ``messages`` may run while users work: what vanishes meanwhile is left out.
        * ``survey`` may run while users work and names every message that is there all the time.
    """

    name: str

    def parts(self) -> Sequence[Part]:
        """Return what belongs to a restore point besides the archive "mail", in order."""
        ...

    def plain(self, content: bytes) -> bytes:
        """Return a stored message as it was delivered: decrypted and decompressed.

        Raises:
            KeyDoesNotFit: It is encrypted for a key that this system does not have.
            MessageDamaged: It is not what was written once.
        """
        ...

    def objection(self, content: bytes) -> str:
        """Say why the living system could not read such a file, or "".

        Looks at the first bytes only: it is asked for every message before one is delivered.
        """
        ...

    def capture(self) -> AbstractContextManager[Capture]:
        """Hold the view open that borg reads.

        Raises:
            SourceMissing: A root does not exist.
            SourceUnreadable: A root may not be read.
        """
        ...

    def survey(self) -> Mapping[str, str]:
        """Map each message's stable key to its path now; flags may rename, the key stays."""
        ...

    def key_of(self, path: str) -> str | None:
        """Return the stable key of a message's path, or None if the path is no message."""
        ...

    def companions(self, since: datetime) -> Sequence[str]:
        """Return paths of the files that give messages their meaning, changed since a moment."""
        ...

    def hold(self, paths: Iterable[str]) -> AbstractContextManager[Sequence[str]]:
        """Keep messages and companions from being renamed while borg reads them.

        Gives what ``Archives.create_from_paths`` takes. Messages that were renamed since
        ``survey`` are followed; those that are gone are left out.
        """
        ...

    def interpret(self, files: Iterable[ArchivedFile], fetch: Fetch) -> Iterator[Message]:
        """Read an archive's listing as messages.

        Args:
            files: The listing, in any order.
            fetch: Gives the content of archived files, in any order.
        """
        ...

    def folders_in(self, files: Iterable[ArchivedFile]) -> Iterator[tuple[str, str]]:
        """Yield (mailbox, folder) of every folder in a listing, empty ones too."""
        ...

    def mailboxes(self) -> Sequence[str]:
        """Return the addresses of all living mailboxes, sorted."""
        ...

    def messages(self, mailbox: str) -> Sequence[Message]:
        """Return every message of a living mailbox, in all folders.

        Raises:
            MailboxNotFound: The system has no such mailbox.
        """
        ...

    def content(self, message: Message) -> bytes:
        """Return the content of a living message, as the archive would hold it.

        Raises:
            MailSystemError: It is gone or cannot be read.
        """
        ...

    def quota(self, mailbox: str) -> Quota | None:
        """Return how full the mailbox is, None where the system has no quota."""
        ...

    def free_bytes(self, mailbox: str) -> int:
        """Return the free space where the mailbox lies."""
        ...

    def deliver(
        self, mailbox: str, deliveries: Iterable[Delivery], *, over_quota: bool = False
    ) -> Sequence[Finding]:
        """Add messages to their folders, keeping GUID, flags, keywords and INTERNALDATE.

        Consumes ``deliveries`` once, holding one content in memory at a time.

        Args:
            mailbox: Address of a living mailbox.
            deliveries: What to add.
            over_quota: Add even if the quota would be exceeded.

        Returns:
            What the reader of the report should know; the caller verifies by reading back.

        Raises:
            MailboxNotFound: The system has no such mailbox.
            DeliveryFailed: Nothing, or not all, was added.
        """
        ...

    def remove(self, mailbox: str, added: Iterable[Added]) -> Sequence[Finding]:
        r"""Take out messages that a restore added, as far as they still have folder and flags.

        The flag "\\Seen" and "\\Recent" may differ. One finding per message left alone.
        """
        ...


class Operation(Protocol):
    """One kind of restore beyond messages, such as "calendars" or "server".

    ``services.operations`` does what all have in common: ids, confirmation, leases, holding off
    backup and pruning, telling people, reports and audit.

    Attributes:
        name: As in ``OperationRequest.operation``.
        holds_system: Whether it keeps backup, pruning and every other restore off the system even
            where its plan is not destructive; one that is always does.
    """

    name: str
    holds_system: bool

    def draft(self, request: OperationRequest) -> Draft:
        """Find out what would be done; changes nothing. This is the dry run.

        Raises:
            RestoreError: It cannot be done; says what to do instead.
        """
        ...

    def carry_out(self, plan: OperationPlan, *, report: Report | None = None) -> Outcome:
        """Do it, look whether it is done, and say so.

        Makes its safety copy first; starts what it has stopped, whatever happens.
        """
        ...

    def undo(self, done: OperationReport) -> Outcome:
        """Take it back, with what ``Outcome.undo`` says.

        The outcome of one that an error or a dead process has ended is not known (None): then its
        safety copy, found by ``done.id``, says what can be taken back.

        Raises:
            NothingToUndo: It cannot be taken back.
        """
        ...


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


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of the wish for the export of one user.

    Attributes:
        user: Whose.
        content: The export, whole; empty where there is none.
        fingerprint: Of the data that it holds, as ``Calendars.users`` gives it.
        problem: Why there is none, in a sentence; "" where there is one.
    """

    user: str
    content: bytes
    fingerprint: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class HeldExports:
    """The newest export of each user, in files that stay as they are for a while.

    Attributes:
        paths: As ``Archives.create_from_paths`` takes them; shown as "sogo/<user>".
        users: Whose, sorted.
        renewed: Whose was made now.
        findings: Users without an export, or with an older one than their data.
    """

    paths: tuple[str, ...]
    users: tuple[str, ...]
    renewed: tuple[str, ...]
    findings: tuple[Finding, ...]


class Calendars(Protocol):
    """Calendars, address books and preferences of a mail system's users.

    A USER is named by an address. An EXPORT is what ``formats.sogo`` reads and writes: everything
    that one user has, with a hash of the user's password; it is shown to nobody, and every file
    that holds one is readable by its owner alone. Contract, checked on the real thing by
    ``tests/mailrewind/systems/mailcow/test_sogo.py``: an export holds what its user has, or there
    is none; what ``reset`` was given, an export has afterwards.
    """

    def users(self) -> Mapping[str, str]:
        """Map each user who has data to a fingerprint, which changes whenever those do.

        Raises:
            MailSystemError: It cannot be found out; retryable where waiting helps.
        """
        ...

    def export(self, users: Iterable[str]) -> Iterator[Exported]:
        """Export users as they are now, one answer for each, in any order.

        An export holds what there was when its fingerprint was: no less, and of no one else. A
        user without data has an empty one.

        Raises:
            ExportIncomplete: A user's data kept changing meanwhile.
            MailSystemError: None can be made; retryable where waiting helps.
        """
        ...

    def held(
        self, *, renew: Collection[str] = (), all_users: bool = False
    ) -> AbstractContextManager[HeldExports]:
        """Bring the kept exports up to date and keep them still for the time of the block.

        Exported again are users whose data have changed, those named, and once a night everybody.
        Where that fails for one, the older export stays, and a finding says so. The export of a
        user who has no data any more goes.

        Args:
            renew: Who is exported in any case.
            all_users: Whether everybody is.

        Raises:
            MailSystemError: As ``export``.
        """
        ...

    def merge(self, user: str, export: bytes) -> None:
        """Add the records whose names their folder lacks; folders that are gone come back.

        Shares and display names of the export's folders become those of the export. Nothing that
        the tool says proves anything: the caller exports again and compares.

        Raises:
            ExportDamaged: It is none, or not of this user: it would be written into another's.
            MailSystemError: It was refused; retryable where waiting helps.
        """
        ...

    def reset(self, user: str, export: bytes) -> None:
        """Make the export's folders what they are in it; other folders stay as they are.

        Raises:
            ExportDamaged, MailSystemError: As ``merge``.
        """
        ...

    def set_preferences(self, user: str, export: bytes) -> None:
        """Replace the user's preferences by those of the export.

        Raises:
            ExportDamaged, MailSystemError: As ``merge``.
        """
        ...


class Database(Protocol):
    """A mail system's database: looked into, dumped, and put back, wholly or for one account.

    A DUMP is what ``dump_to`` and a restore point's part "sql" hold, read from the beginning. A
    database that was LOADED lies beside the living one; nobody uses it before it is exchanged.
    Contract: whatever fails before the exchange leaves the living database as it was. No secret of
    an account is in anything that is returned, but in rows and steps, which are shown to nobody.

    Attributes:
        dump_path: Where the dump lies in the archive of the part "sql".
    """

    dump_path: str

    def schema_version(self) -> str:
        """Return the version of the living tables, "" where they say none.

        Raises:
            DatabaseUnreachable, DatabaseRefused: It cannot be asked.
        """
        ...

    def has_mailbox(self, address: str) -> bool:
        """Whether the database knows a mailbox, active or not."""
        ...

    def mailboxes(self) -> Sequence[str]:
        """Return the addresses of all mailboxes that the database knows, sorted."""
        ...

    def examine(self, dump: Iterable[bytes], returning: Returning) -> Examination:
        """Say what would become of accounts if a dump took the living database's place.

        Raises:
            DumpDamaged: The dump makes no sense, or has no end.
        """
        ...

    def dump_to(self, path: Path) -> Mapping[str, int]:
        """Write a compressed dump of the living database; return its rows by table.

        Raises:
            DumpFailed: It is not whole; no file is left.
            NoSpace: The disk is full.
        """
        ...

    def load(self, name: str, dump: Iterable[bytes]) -> Mapping[str, int]:
        """Load a dump beside the living database; return its rows by table, as counted there.

        Args:
            name: By which it is exchanged or discarded: letters and digits.
            dump: Not compressed.

        Raises:
            DumpDamaged: It is not whole, or the database does not take it; nothing is left of it.
            DatabaseUnreachable: The database went away meanwhile.
            NoSpace: There is no room for two of them.
        """
        ...

    def exchange(self, name: str, returning: Returning) -> Mapping[str, int]:
        """Put a loaded database in the living one's place; return its rows by table now.

        Only within ``alone``.

        Raises:
            VerificationFailed: The rows are not those that were put there.
            MailSystemError: The living database is as it was, or, if the connection broke at that
                moment, wholly exchanged.
        """
        ...

    def discard(self, name: str) -> None:
        """Remove a loaded database; one that is gone is no error."""
        ...

    def alone(self, *, holder: str) -> AbstractContextManager[None]:
        """Keep all that uses the database stopped for the time of the block.

        Raises:
            RecoveryNotArmed: Nothing was stopped.
        """
        ...

    def settle(self, address: str = "") -> Sequence[Finding]:
        """Make what depends on the database see what is in it now: caches, quota.

        Args:
            address: Of the only account that was changed; "" for all.
        """
        ...

    def plan_account(
        self, address: str, rows: AccountRows, *, keeps_credentials: bool, parts: Collection[str]
    ) -> tuple[Sequence[RowStep], Examination]:
        """Compare one account's archived rows with the living ones.

        Args:
            address: The account's.
            rows: What ``account_in`` found.
            keeps_credentials: Whether what decides about logins stays as it is now.
            parts: What of the account is meant: "mailbox", "aliases", "filters", "quota", "sogo
                profile"; none for all. An account that does not exist comes back wholly.

        Raises:
            ChoiceNeeded: There is no such part.
        """
        ...

    def account_in(self, dump: Iterable[bytes], address: str) -> AccountRows:
        """Find one account's rows in a dump.

        Raises:
            MailboxNotFound: The account did not exist then.
            DumpDamaged: The dump makes no sense, or has no end.
        """
        ...

    def put_back(self, steps: Sequence[RowStep]) -> Sequence[RowStep]:
        """Carry steps out, all or none; return them as ``take_back`` needs them.

        Raises:
            MailServerFailed: A row is not as it was any more.
        """
        ...

    def take_back(self, done: Sequence[RowStep]) -> tuple[int, Sequence[Finding]]:
        """Undo steps as far as the rows are as they were left; return how many, and the rest."""
        ...


class Swapping(Protocol):
    """Exchanges a whole mailbox for another state of it, and keeps what it was.

    A COPY lies on the mailbox's disk under the id of the operation that made it: until the
    exchange it is the state that is to come, afterwards the one that was. It is no mailbox to
    anybody, is in no archive, and goes after 30 days.
    """

    def make_copy(self, mailbox: str, copy_id: str) -> Path:
        """Make an empty copy, in place of one that was not exchanged; return its directory.

        Raises:
            NoSpace: It cannot be made.
        """
        ...

    def archived_maildir(self, message: Message) -> str:
        """Return the directory of the whole mailbox in an archive that holds the message."""
        ...

    def complete(self, mailbox: str, copy_id: str, names: Iterable[str]) -> None:
        """Make a mailbox of what was written into a copy: exactly these messages, none besides.

        Args:
            mailbox: Address.
            copy_id: Of the copy.
            names: Of the messages' files, as paths below the whole mailbox.

        Raises:
            ArchivePathMissing: Some of them are not there.
            KeyDoesNotFit: The mail server could not read one.
        """
        ...

    def exchange(self, mailbox: str, copy_id: str) -> Sequence[Finding]:
        """Put the copy in the mailbox's place, and the mailbox in the copy's.

        The mail server goes on working; whoever is logged in has to log in again.

        Returns:
            What is not as it should be: folders or messages with other UIDs than in the copy.

        Raises:
            NothingToUndo: There is no such copy (any more).
            MailSystemError: The mailbox is as it was, or the copy is where it was.
        """
        ...

    def put_back(self, mailbox: str, copy_id: str) -> Sequence[Finding]:
        """Exchange once more, if the copy is what the mailbox was before the exchange.

        Also after the process that exchanged them died, at whatever moment.

        Raises:
            NothingToUndo: It is not: nothing was exchanged, or it is back already.
            MailSystemError: As ``exchange``.
        """
        ...

    def copied(self, mailbox: str, copy_id: str) -> Sequence[Message]:
        """Return the messages of a copy.

        Raises:
            NothingToUndo: There is no such copy (any more).
        """
        ...

    def content_of_copied(self, copy_id: str, message: Message) -> bytes:
        """Return what a message of a copy holds, as it is stored.

        Raises:
            MailSystemError: It is gone or cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeletedMailbox:
    """A mailbox that a mail system keeps for a while after its deletion.

    Attributes:
        name: By which it is chosen.
        deleted_at: UTC.
        messages: How many it holds.
        size_bytes: Of all of them.
        addressed: Addresses that some of the messages were delivered to, with how many.
        local_part: What stood before the "@", where the mail system tells; else "".
    """

    name: str
    deleted_at: datetime
    messages: int
    size_bytes: int
    addressed: tuple[tuple[str, int], ...]
    local_part: str = ""


class Garbage(Protocol):
    """Deleted mailboxes that a mail system keeps for a while, under names that may be ambiguous."""

    def candidates(self, address: str) -> Sequence[DeletedMailbox]:
        """Return what could once have been this mailbox, the latest first."""
        ...

    def could_be(self, address: str, other: str) -> bool:
        """Whether two addresses cannot be told apart by the names of deleted mailboxes."""
        ...

    def messages(self, name: str, address: str) -> Sequence[Message]:
        """Return the messages of a deleted mailbox, as those of an address.

        Raises:
            MailboxNotFound: It is gone.
        """
        ...

    def names(self, name: str, messages: Sequence[Message]) -> Sequence[str]:
        """Return the paths of its messages below the whole mailbox, as ``Swapping`` takes them."""
        ...

    def content(self, name: str, message: Message) -> bytes:
        """Return what a message holds, as it is stored.

        Raises:
            MailSystemError: It is gone or cannot be read.
        """
        ...

    def copy_into(self, name: str, directory: Path) -> None:
        """Copy the mail of a deleted mailbox into a directory on the same disk."""
        ...

    def copy_settings(self, name: str, address: str) -> None:
        """Copy what was the user's besides mail, such as filters, as far as it is not there."""
        ...

    def knows(self, address: str) -> bool:
        """Whether the mail system has this mailbox now.

        Raises:
            MailServerUnreachable, MailServerFailed: It cannot be asked.
        """
        ...

    def living(self) -> Sequence[str]:
        """Return the addresses of all mailboxes that there are now."""
        ...

    @property
    def can_create(self) -> bool:
        """Whether a mailbox can be created from here."""
        ...

    def create(self, address: str, *, size_bytes: int) -> None:
        """Create a mailbox with room for so much mail, and a password that nobody knows.

        Raises:
            MailServerUnreachable, MailServerFailed: It was not created.
        """
        ...


class Rebuilding(Protocol):
    """An installation of a mail system that is to become another one, from its archives.

    A VOLUME is a directory of the installation that an archive knows by the same name.

    Attributes:
        directory: The mail system's own, with its settings.
    """

    directory: Path

    def is_laid_out(self) -> bool:
        """Whether the installation has been started once, so that its volumes are there."""
        ...

    def obstacles(self) -> Sequence[str]:
        """Say what is in the installation already, such as mailboxes; nothing if it is empty.

        Raises:
            MailSystemError: It cannot be found out.
        """
        ...

    def volumes(self) -> Mapping[str, Path]:
        """Return where the volumes lie that archives hold, by name."""
        ...

    def is_cleared_first(self, volume: str) -> bool:
        """Whether nothing may stay in a volume of what is in it."""
        ...

    def objection(self, settings: bytes) -> str:
        """Say why the archived settings cannot be brought to this installation, or ""."""
        ...

    def put_settings(self, settings: bytes) -> Sequence[Finding]:
        """Bring the archived settings in, but for what the running services depend on.

        Returns:
            What has to be done for the settings to have their effect.
        """
        ...

    def kept_files(self) -> Sequence[str]:
        """Return which files of its directory stay as they are where they are there."""
        ...

    def give_owners(self, volume: str, directory: Path) -> None:
        """Give directories of a volume that no archive has an entry of the owner they should have.

        Such are those that came into being while the mail was archived.
        """
        ...

    def label(self, directory: Path) -> None:
        """Give all below a directory the security label that the directory itself has."""
        ...

    def alone(self, *, holder: str) -> AbstractContextManager[None]:
        """Keep all services but the database stopped for the time of the block.

        Raises:
            RecoveryNotArmed: Nothing was stopped.
        """
        ...


class Catalog(Protocol):
    """Which message was in which folder of which mailbox of one system, from when to when.

    Moments are those of restore points, whole seconds, UTC. Everything here is derived from the
    archives. Contract: recording the same point twice changes nothing.
    """

    def recorded(self) -> datetime | None:
        """Return the moment of the newest recorded point, or None."""
        ...

    def unknown(self, messages: Iterable[Message]) -> Sequence[Message]:
        """Return those whose GUID the catalogue has not met in their mailbox, one per GUID."""
        ...

    def record(
        self,
        at: datetime,
        messages: Iterable[Message],
        folders: Iterable[tuple[str, str]],
        headers: Mapping[tuple[str, str], Headers],
    ) -> IndexChanges:
        """Record everything that a restore point holds, in one transaction.

        Args:
            at: The point's moment; must be newer than every recorded one.
            messages: All of them.
            folders: (mailbox, folder) of all folders, empty ones included.
            headers: By (mailbox, GUID), for what ``unknown`` returned.

        Raises:
            RecordsBusy: Another process is writing.
            RecordsFull: The disk is full; nothing was recorded.
        """
        ...

    def forget(self, kept: Sequence[datetime]) -> int:
        """Drop messages that none of the kept points holds; return how many went."""
        ...

    def mailboxes(self, at: datetime) -> Sequence[tuple[str, int, int]]:
        """Return (address, messages, bytes) as of a point, sorted by address."""
        ...

    def folders(self, mailbox: str, at: datetime) -> Sequence[tuple[str, int, int, int]]:
        """Return (path, messages, unseen, bytes) as of a point, INBOX first, then sorted.

        Raises:
            MailboxNotFound: The mailbox did not exist at that point.
        """
        ...

    def messages(self, mailbox: str, at: datetime) -> Sequence[Then]:
        """Return every message of a mailbox as of a point, in all folders.

        Raises:
            MailboxNotFound: The mailbox did not exist at that point.
        """
        ...

    def page(
        self,
        mailbox: str,
        folder: str,
        at: datetime,
        *,
        after: tuple[int, int] | None = None,
        limit: int = 50,
    ) -> Sequence[tuple[Then, Headers, tuple[int, int]]]:
        """Return one page of a folder's list, newest first, with each row's cursor.

        Raises:
            MailboxNotFound: The mailbox did not exist at that point.
            FolderNotFound: The folder did not exist at that point.
        """
        ...


class State(Protocol):
    """What must survive: restore points, plans, reports, undo, leases, audit, alarms.

    One database for all systems. Every method is one transaction and raises RecordsBusy,
    RecordsFull or RecordsUnreadable.
    """

    def begin_point(self, point: RestorePoint, process: Process) -> None:
        """Write the row of a point that is being made.

        Raises:
            BackupRunning: A living process is making a point of this system; names it.
        """
        ...

    def enter_point(self, point: RestorePoint) -> None:
        """Write the row of a complete point whose archives were found standing.

        It is complete at once: of a point in the making whose process dies, the next backup would
        remove the archives.

        Raises:
            ArchiveExists: There is a row of this name, in whatever status.
        """
        ...

    def add_part(self, point: str, part: str) -> None:
        """Note that one archive of a point stands; noting it twice is no error."""
        ...

    def end_point(self, point: str, status: PointStatus, at: datetime) -> None:
        """Move a point on to ``complete``, ``failed``, ``cancelled`` or ``removed``."""
        ...

    def points(
        self, system: str, statuses: Iterable[PointStatus] = (PointStatus.COMPLETE,)
    ) -> Sequence[RestorePoint]:
        """Return the points of a system in any of these statuses, oldest first."""
        ...

    def dead_points(self, system: str) -> Sequence[RestorePoint]:
        """Return points still ``making`` whose process is gone, and failed ones with archives."""
        ...

    def save_backup_report(self, report: BackupReport) -> None:
        """Keep the report of a backup run; the later of two for one point wins."""
        ...

    def backup_reports(self, system: str, *, limit: int = 20) -> Sequence[BackupReport]:
        """Return the newest reports of a system, newest first."""
        ...

    def backup_report(self, point: str) -> BackupReport:
        """Return the report of one backup run.

        Raises:
            RestorePointNotFound: There is none of this point.
        """
        ...

    def save_plan(self, plan: RestorePlan) -> None:
        """Keep a plan under its id."""
        ...

    def plan(self, plan_id: str) -> RestorePlan:
        """Return a kept plan.

        Raises:
            PlanNotFound: No plan has this id.
        """
        ...

    def save_restore_report(self, report: RestoreReport) -> None:
        """Keep what a restore did, with what undo needs; the later of two for one id wins."""
        ...

    def restore_report(self, report_id: str) -> RestoreReport:
        """Return the report of one restore.

        Raises:
            NothingToUndo: No restore has this id.
        """
        ...

    def restore_reports(self, *, limit: int = 20) -> Sequence[RestoreReport]:
        """Return the newest restore reports of all systems, newest first."""
        ...

    def lease(
        self, system: str, mailbox: str, holder: str, *, wait: timedelta = timedelta(0)
    ) -> AbstractContextManager[None]:
        """Hold the only right to restore into a mailbox, or the one named WHOLE_SYSTEM.

        The two do not know each other: ``services.holding`` makes them exclude one another. A
        lease whose process is dead (same host: pid, boot id and start time; other hosts: not
        renewed for an hour) is taken over.

        Raises:
            LeaseHeld: After ``wait``; the message names holder, host, pid and since when.
            SystemHeld: The same, of WHOLE_SYSTEM.
        """
        ...

    def leases(self) -> Sequence[Lease]:
        """Return all leases that are held now."""
        ...

    def running_backups(self) -> Sequence[tuple[RestorePoint, Process]]:
        """Return the points being made, with the process that makes each."""
        ...

    def audit(self, line: AuditLine) -> None:
        """Append one line."""
        ...

    def audit_lines(self, *, limit: int = 50) -> Sequence[AuditLine]:
        """Return the newest lines, newest first."""
        ...

    def save_operation_plan(self, plan: OperationPlan) -> None:
        """Keep a plan under its id."""
        ...

    def operation_plan(self, plan_id: str) -> OperationPlan:
        """Return a kept plan.

        Raises:
            PlanNotFound: No plan has this id.
        """
        ...

    def save_operation_report(self, report: OperationReport) -> None:
        """Keep what an operation did; the later of two for one id wins."""
        ...

    def operation_report(self, report_id: str) -> OperationReport:
        """Return the report of one operation.

        Raises:
            NothingToUndo: No operation has this id.
        """
        ...

    def operation_reports(self, *, limit: int = 20) -> Sequence[OperationReport]:
        """Return the newest reports of all systems, newest first."""
        ...

    def raise_alarm(self, key: str, text: str, at: datetime) -> bool:
        """Note an alarm; True when it is new, so that it is told once."""
        ...

    def end_alarm(self, key: str) -> bool:
        """Forget an alarm; True when there was one."""
        ...

    def alarms(self) -> Mapping[str, tuple[str, datetime]]:
        """Return (text, since) of the alarms that have not ended, by key."""
        ...


class Notifier(Protocol):
    """A way to tell the operators."""

    def tell(self, subject: str, text: str, *, also: Sequence[str] = ()) -> Sequence[str]:
        """Send one message to everybody configured.

        Args:
            subject: One line.
            text: Never with a secret, or with what stands in anybody's mail.
            also: Addresses that are told besides.

        Returns:
            Those of ``also`` that could not be told.

        Raises:
            NotificationFailed: Nobody could be told.
        """
        ...
