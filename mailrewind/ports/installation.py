"""What is asked of a mail installation as a whole: its database, its garbage, its volumes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from mailrewind.model.databases import AccountRows, Examination, Returning, RowStep
from mailrewind.model.mail import Message
from mailrewind.model.reports import Finding


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

    def archived_maildirs(self, mailbox: str, paths: Iterable[str]) -> Collection[str]:
        """Return the directories of a whole mailbox that some paths in archives lie in."""
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

        Also after the process that exchanged them died, at whatever moment. What is back already
        stays so, and the mail server is told of it once more.

        Raises:
            NothingToUndo: It is not: nothing was exchanged, or the mailbox is another one by now.
            MailSystemError: As ``exchange``.
        """
        ...

    def is_exchanged(self, mailbox: str, copy_id: str) -> bool:
        """Whether the copy is what the mailbox was: there is something to put back."""
        ...

    def is_back(self, mailbox: str, copy_id: str) -> bool:
        """Whether ``put_back`` was done: the copy is what the exchange had brought, and what came.

        Raises:
            NothingToUndo: There is no such copy (any more).
            MailSystemError: The mail server does not say where the mailbox is.
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
