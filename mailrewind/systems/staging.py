"""Staged Maildirs: what Dovecot shall import, on the disk that holds the mailbox.

Layout: STAGING/<id>/<batch>/{cur,new,tmp,.Folder,…}, and STAGING/<id>.lock, which its maker keeps
locked as long as it lives, so that the next one can tell what a dead run left. Nobody else can
look into STAGING/<id> before everything in it is in place and has its owner.
"""

import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from mailrewind.errors import DeliveryFailed, MailServerFailed
from mailrewind.formats.dovecot import KEYWORDS, UIDLIST, write_keywords, write_uidlist
from mailrewind.formats.maildir import KEYWORD_LETTERS
from mailrewind.model.mail import Delivery
from mailrewind.systems.delivery import Ownership, Writers, make_directory, make_folder, write_file
from mailrewind.systems.directories import open_below

_LOCK = ".lock"
_PRIVATE = 0o700
_PASSABLE = 0o711
_VALIDITY = 1


@dataclass(frozen=True, slots=True, order=True)
class Batch:
    """Messages that one import takes.

    Attributes:
        is_new: Whether its folders are still missing in the mailbox.
        is_nested: Whether folders lie within each other, instead of in Maildir++'s flat way.
        number: From 0: in one batch, a folder has room for 26 keywords.
    """

    is_new: bool
    is_nested: bool
    number: int = 0

    @property
    def name(self) -> str:
        """Name of its directory."""
        kind = "new" if self.is_new else "known"
        return f"{kind}-{'nested' if self.is_nested else 'flat'}-{self.number}"


@dataclass(slots=True)
class _Folder:
    batch: Batch
    names: tuple[str, ...]
    ownership: Ownership
    keywords: list[str] = field(default_factory=list)
    written: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def stage_below(staging: Path) -> Iterator["Stage"]:
    """Make room for one restore, and take it away in the end, whatever happens.

    Raises:
        MailServerFailed: Others may write into the staging directory, or it cannot be made.
    """
    with room_below(staging) as path, closing(Stage(path)) as stage:
        yield stage


@contextmanager
def room_below(staging: Path) -> Iterator[Path]:
    """Make a directory of our own, which goes in the end, or when the next one is made.

    Raises:
        MailServerFailed: Others may write into the staging directory, or it cannot be made.
    """
    path = staging / secrets.token_hex(6)
    try:
        _make_passable(staging)
        remove_leftovers(staging)
        lock = _lock(_lock_of(path))
    except OSError as error:
        raise MailServerFailed(f"the staging directory {staging}: {error.strerror}") from error
    try:
        path.mkdir(mode=_PRIVATE)
        yield path
    finally:
        _remove(path, lock)


def remove_leftovers(staging: Path) -> None:
    """Remove the stages whose makers live no more."""
    for name in sorted({entry.name.removesuffix(_LOCK) for entry in staging.iterdir()}):
        lock = _try_lock(_lock_of(staging / name))
        if lock is not None:
            _remove(staging / name, lock)


class Stage:
    """The staged Maildirs of one restore."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folders: dict[tuple[Batch, tuple[str, ...]], _Folder] = {}
        self._writers = Writers(path, is_durable=False)

    def add(
        self,
        delivery: Delivery,
        batch: Batch,
        names: tuple[str, ...],
        *,
        top: Ownership,
        ownership: Ownership,
    ) -> None:
        """Write one message.

        Args:
            delivery: The message.
            batch: Where it belongs; its number is chosen here.
            names: Of the directories that lead to its folder within the staged Maildir.
            top: Whose the mailbox is.
            ownership: Whose the folder is; Dovecot links only where this is the same.

        Raises:
            DeliveryFailed: It cannot be written.
        """
        wanted = {flag for flag in delivery.message.flags if not flag.startswith("\\")}
        with _translated(self._path):
            folder = self._folder_with_room(batch, names, wanted, top=top, ownership=ownership)
            writer = self._writers.of((folder.batch.name, *names), ownership)
            name = writer.put(delivery, folder.keywords)
        folder.written.append((name, delivery.message.guid))

    def close(self) -> None:
        """Let go of the folder that was written to last."""
        self._writers.close()

    def seal(self) -> list[tuple[Batch, Path]]:
        """Write what gives the messages GUIDs and keywords; return the Maildirs by batch.

        Raises:
            DeliveryFailed: It cannot be written.
        """
        self.close()
        with _translated(self._path):
            for folder in self._folders.values():
                self._write_lists(folder)
            os.sync()  # once for all: Dovecot links the files and takes them for safe
            self._path.chmod(_PASSABLE)
        batches = sorted({folder.batch for folder in self._folders.values()})
        return [(batch, self._path / batch.name) for batch in batches]

    def _write_lists(self, folder: _Folder) -> None:
        uidlist = write_uidlist(_VALIDITY, folder.written)
        keywords = write_keywords(folder.keywords)
        with open_below(self._path, (folder.batch.name, *folder.names)) as directory:
            write_file(directory, UIDLIST, uidlist, folder.ownership, is_durable=False)
            write_file(directory, KEYWORDS, keywords, folder.ownership, is_durable=False)

    def _folder_with_room(
        self,
        batch: Batch,
        names: tuple[str, ...],
        wanted: set[str],
        *,
        top: Ownership,
        ownership: Ownership,
    ) -> _Folder:
        for number in count():
            folder = self._folder(replace(batch, number=number), names, top, ownership)
            lacking = sorted(wanted - set(folder.keywords))
            if len(folder.keywords) + len(lacking) <= len(KEYWORD_LETTERS) or not folder.written:
                break
        folder.keywords += lacking
        return folder

    def _folder(
        self, batch: Batch, names: tuple[str, ...], top: Ownership, ownership: Ownership
    ) -> _Folder:
        folder = self._folders.get((batch, names))
        if folder is None:
            folder = self._folders[batch, names] = _Folder(batch, names, ownership)
            self._make(folder, top)
        return folder

    def _make(self, folder: _Folder, top: Ownership) -> None:
        with open_below(self._path, ()) as here:
            make_directory(here, folder.batch.name, top)
        with open_below(self._path, (folder.batch.name,)) as root:
            make_folder(root, "", top)
        for depth, name in enumerate(folder.names, start=1):
            with open_below(self._path, (folder.batch.name, *folder.names[: depth - 1])) as parent:
                make_directory(parent, name, folder.ownership)
        with open_below(self._path, (folder.batch.name, *folder.names)) as directory:
            make_folder(directory, "", folder.ownership)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DeliveryFailed(f"a message cannot be staged at {path}: {error.strerror}") from error


def _make_passable(staging: Path) -> None:
    with suppress(FileExistsError):
        staging.mkdir(mode=_PRIVATE)
        staging.chmod(_PASSABLE)
    about = staging.lstat()
    is_ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()
    if not is_ours or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise MailServerFailed(
            f"{staging} is not a directory that only we may write in",
            advice="Move it away; it is made anew.",
        )


def _remove(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    _lock_of(path).unlink(missing_ok=True)
    os.close(lock)


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}{_LOCK}")


def _lock(path: Path) -> int:
    while True:
        lock = _try_lock(path)
        if lock is not None:
            return lock


def _try_lock(path: Path) -> int | None:
    """Lock a file and return its descriptor, or None if somebody living holds it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Somebody tidying up may have removed the file between our two calls.
        if os.fstat(lock).st_ino == path.stat().st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None
