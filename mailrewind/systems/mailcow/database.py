"""mailcow's database as the port ``Database`` wants it."""

import errno
import gzip
import logging
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from mailrewind.errors import (
    ChoiceNeeded,
    ContainerMissing,
    MailSystemError,
    NoSpace,
    SourceUnreadable,
    VerificationFailed,
)
from mailrewind.formats.sql_dump import rows
from mailrewind.model.databases import AccountRows, Examination, Returning, RowStep
from mailrewind.model.operations import Change, Effect
from mailrewind.model.reports import Finding
from mailrewind.model.words import size as size_of
from mailrewind.systems.mailcow import account_rows, checking, loading
from mailrewind.systems.mailcow.account_tables import WISHES
from mailrewind.systems.mailcow.accounts import COLUMNS, Census, compare
from mailrewind.systems.mailcow.credentials import (
    disable_returning,
    keep_credentials,
    show_to_sogo,
)
from mailrewind.systems.mailcow.dumping import dump
from mailrewind.systems.mailcow.installation import DOVECOT, MEMCACHED, Installation
from mailrewind.systems.mailcow.interruption import interrupted
from mailrewind.systems.mailcow.sql_part import DUMP_PATH
from mailrewind.transports.mariadb import Connection, connect, quoted
from mailrewind.transports.processes import Completed

logger = logging.getLogger(__name__)

# Who reads or writes the database; MariaDB itself stays.
USERS = (
    *("acme-mailcow", "dovecot-mailcow", "ofelia-mailcow", "php-fpm-mailcow", "postfix-mailcow"),
    "sogo-mailcow",
)
_LONG_SECONDS = 6 * 3600.0
_COMPRESSION = 1
_QUOTA_SECONDS = 3600.0
_VOLUME = "mysql-vol-1"
_SPARE_BYTES = 64 * 1024 * 1024


class MailcowDatabase:
    """The database of one mailcow.

    Args:
        installation: Which one.
        system: Name of the system.
        data_dir: Our data directory.
    """

    dump_path = DUMP_PATH

    def __init__(self, installation: Installation, *, system: str, data_dir: Path) -> None:
        self._installation = installation
        self._system = system
        self._data_dir = data_dir

    def schema_version(self) -> str:
        """Return the version of the living tables, "" where they say none."""
        with self._connected() as connection:
            return checking.schema_version(connection)

    def has_mailbox(self, address: str) -> bool:
        """Whether the database knows a mailbox, active or not."""
        with self._connected() as connection:
            known = "SELECT COUNT(*) FROM mailbox WHERE username = %s"
            return connection.number(known, (address,)) > 0

    def mailboxes(self) -> Sequence[str]:
        """Return the addresses of all mailboxes that the database knows, sorted."""
        with self._connected() as connection:
            found = connection.rows("SELECT username FROM mailbox ORDER BY username")
        return [str(row["username"]) for row in found]

    def examine(self, dump: Iterable[bytes], returning: Returning) -> Examination:
        """Say what would become of accounts if a dump took the living database's place."""
        then, now = Census(), Census()
        for table, columns, values in rows(dump, COLUMNS):
            cells = map(account_rows.cell, values)
            then.take(table, dict(zip(columns, cells, strict=True)))
        with self._connected() as connection:
            for table, row in _living_rows(connection):
                now.take(table, row)
        found = compare(
            then,
            now,
            keeps=returning.keeps_credentials,
            disables=returning.disables_returning,
        )
        everything = Change(
            Effect.REPLACE, "database", "what is not named here becomes as it was then"
        )
        return Examination(
            schema=(then.schema, now.schema),
            installation=(then.guid, now.guid),
            changes=(*found.changes, everything, *self._stopped()),
            facts=found.facts,
            findings=found.findings,
        )

    def dump_to(self, path: Path) -> Mapping[str, int]:
        """Write a compressed dump of the living database; return its rows by table."""
        access = self._installation.database()
        with (
            _private(path) as file,
            gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_COMPRESSION) as packed,
        ):
            return dump(
                self._installation.project,
                user=access.user,
                password=access.password,
                database=access.database,
                target=cast(BinaryIO, packed),
            )

    def load(self, name: str, dump: Iterable[bytes]) -> Mapping[str, int]:
        """Load a dump beside the living database; return its rows by table, as counted there."""
        with self._connected(as_root=True) as connection:
            for left in loading.leftovers(connection):
                logger.info("removing the database %s, left by a load that was broken off", left)
                loading.remove(connection, left)
            self._refuse_full_disk(connection)
            return loading.load(connection, self._installation.project, _scratch(name), dump)

    def exchange(self, name: str, returning: Returning) -> Mapping[str, int]:
        """Put a loaded database in the living one's place; return its rows by table now."""
        living, loaded = self._installation.database().database, _scratch(name)
        with self._connected(as_root=True) as connection:
            if returning.keeps_credentials:
                keep_credentials(connection, living, loaded)
            if returning.disables_returning:
                disable_returning(connection, living, loaded)
            show_to_sogo(connection, living, loaded)
            meant = loading.rows_by_table(connection, loaded)
            loading.exchange(connection, living, loaded)
            found = loading.rows_by_table(connection, living)
        if wrong := sorted({table for table, _ in meant.items() ^ found.items()}):
            raise VerificationFailed(f"tables have other rows than they were given: {wrong}")
        return found

    def discard(self, name: str) -> None:
        """Remove a loaded database; one that is gone is no error."""
        with self._connected(as_root=True) as connection:
            loading.remove(connection, _scratch(name))

    def alone(self, *, holder: str) -> AbstractContextManager[None]:
        """Keep all that uses the database stopped for the time of the block."""
        return interrupted(
            self._installation, USERS, system=self._system, data_dir=self._data_dir, holder=holder
        )

    def settle(self, address: str = "") -> Sequence[Finding]:
        """Make what depends on the database see what is in it now: caches, quota."""
        findings: list[Finding] = []
        try:
            # SOGo keeps users' settings there, and would write them back.
            self._installation.project.restart(MEMCACHED)
        except ContainerMissing:
            logger.debug("this stack has no %s", MEMCACHED)
        except MailSystemError as error:
            findings.append(Finding(MEMCACHED, f"{error}"))
        whose = ["-u", address] if address else ["-A"]
        findings += self._told(["doveadm", "auth", "cache", "flush"], "the cache of logins")
        if not address or self._is_active(address):
            findings += self._told(["doveadm", "quota", "recalc", *whose], "the quota")
        return findings

    def plan_account(
        self, address: str, rows: AccountRows, *, keeps_credentials: bool, parts: Collection[str]
    ) -> tuple[Sequence[RowStep], Examination]:
        """Compare one account's archived rows with the living ones."""
        wishes = frozenset(parts) or WISHES
        if unknown := sorted(wishes - WISHES):
            known = ", ".join(sorted(WISHES))
            raise ChoiceNeeded(f"an account has no {', '.join(unknown)}; it has {known}")
        with self._connected() as connection:
            plan = account_rows.plan_rows(
                connection, address, rows, keeps=keeps_credentials, wishes=wishes
            )
            schema = checking.schema_version(connection)
            guid = checking.installation_of(connection)
        examination = Examination(
            schema=(account_rows.version_in(rows, "db_schema"), schema),
            installation=(account_rows.version_in(rows, "GUID"), guid),
            changes=plan.changes,
            facts=account_rows.facts_of(plan),
            findings=plan.findings,
        )
        return plan.steps, examination

    def account_in(self, dump: Iterable[bytes], address: str) -> AccountRows:
        """Find one account's rows in a dump."""
        return account_rows.rows_in(dump, address)

    def put_back(self, steps: Sequence[RowStep]) -> Sequence[RowStep]:
        """Carry steps out, all or none; return them as ``take_back`` needs them."""
        with self._connected() as connection:
            return account_rows.put_back(connection, steps)

    def take_back(self, done: Sequence[RowStep]) -> tuple[int, Sequence[Finding]]:
        """Undo steps as far as the rows are as they were left; return how many, and the rest."""
        with self._connected() as connection:
            return account_rows.take_back(connection, done)

    @contextmanager
    def _connected(self, *, as_root: bool = False) -> Iterator[Connection]:
        access = self._installation.database(as_root=as_root)
        with connect(access, answer_seconds=_LONG_SECONDS if as_root else 120) as connection:
            yield connection

    def _refuse_full_disk(self, connection: Connection) -> None:
        """A MariaDB whose disk is full waits for somebody to make room, and all mail with it."""
        living = self._installation.database().database
        size = "SELECT SUM(data_length + index_length) FROM information_schema.tables"
        needed = connection.number(f"{size} WHERE table_schema = %s", (living,)) + _SPARE_BYTES
        place = self._installation.volume(_VOLUME)
        try:
            free = shutil.disk_usage(place).free
        except OSError:  # an engine on another host; MariaDB will tell
            return
        if free < needed:
            raise NoSpace(
                f"loading a database beside the living one needs some {size_of(needed)} below "
                f"{place}, where {size_of(free)} are free",
                advice="Make room there: both databases exist for a moment.",
            )

    def _stopped(self) -> list[Change]:
        there = self._installation.project.services()
        text = "started again when the database is in place"
        return [Change(Effect.STOP, name, text) for name in USERS if name in there]

    def _is_active(self, address: str) -> bool:
        with self._connected() as connection:
            known = "SELECT COUNT(*) FROM mailbox WHERE username = %s AND active IN (1, 2)"
            return connection.number(known, (address,)) > 0

    def _told(self, argv: Sequence[str], what: str) -> list[Finding]:
        """Tell Dovecot something; return that it was not done."""
        try:
            done = self._installation.project.execute(DOVECOT, argv, timeout_seconds=_QUOTA_SECONDS)
        except MailSystemError as error:
            return [Finding(what, f"Dovecot could not be told: {error}")]
        return [Finding(what, _said(done))] if done.returncode else []


def _living_rows(connection: Connection) -> Iterator[tuple[str, Mapping[str, str | bytes | None]]]:
    """Yield what a census looks at, as far as the living tables have it."""
    database = str(connection.value("SELECT DATABASE()"))
    there = {*loading.tables_of(connection, database)}
    for table in COLUMNS.keys() & there:
        for row in connection.rows(f"SELECT * FROM {quoted(table)}"):
            yield table, row


@contextmanager
def _private(path: Path) -> Iterator[BinaryIO]:
    """Write a new file that only its owner may read; it has its name once it is wholly on disk."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        for directory in (path.parent.parent, path.parent):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            yield file
            file.flush()
            os.fsync(descriptor)
        partial.replace(path)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoSpace(f"no space is left for the safety dump {path}") from error
        raise SourceUnreadable(f"the safety dump {path} cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _scratch(name: str) -> str:
    if not name.isalnum():
        raise ValueError(f"{name!r} is no name for a database")
    return f"{loading.PREFIX}{name}"


def _said(done: Completed) -> str:
    lines = [line for line in done.stderr.splitlines() if "Info:" not in line]
    return f"ended with code {done.returncode}: {' '.join(lines[-3:])}"
