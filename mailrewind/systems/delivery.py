"""Put messages into Maildir folders as files: in a mailbox, or in a staged Maildir."""

import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from mailrewind.errors import DeliveryFailed
from mailrewind.formats import maildir
from mailrewind.formats.dovecot import KEYWORDS, read_keywords, write_keywords
from mailrewind.model.mail import Delivery
from mailrewind.systems.directories import names_in, open_below, open_in, read_if_there

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PARTS = ("tmp", "new", "cur")
_LOCK_SECONDS = 10.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose a Maildir is, and who may read it.

    Attributes:
        uid: Owner.
        gid: Group.
        mode: Of directories; files have the same without the execute bits.
    """

    uid: int
    gid: int
    mode: int

    @classmethod
    def of(cls, directory: int) -> "Ownership":
        """Read it from an open directory."""
        about = os.stat(directory)
        return cls(about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode) & 0o2777)

    @property
    def file_mode(self) -> int:
        """Mode of files."""
        return self.mode & 0o666

    def give(self, descriptor: int, *, mode: int) -> None:
        """Give an open file or directory its owner and mode.

        Raises:
            PermissionError: We are neither root nor that owner.
        """
        about = os.stat(descriptor)
        if (about.st_uid, about.st_gid) != (self.uid, self.gid):
            os.chown(descriptor, self.uid, self.gid)
        os.chmod(descriptor, mode)


def make_folder(parent: int, name: str, ownership: Ownership) -> bool:
    """Make a folder's directory with all that belongs in it; say whether it was missing.

    Each level gets its mode by itself: ``os.makedirs`` gives it to the last one only, and Dovecot
    copies instead of linking where the modes differ.

    Raises:
        OSError: It cannot be made, or something else has its name.
    """
    is_new = bool(name) and make_directory(parent, name, ownership)
    with open_in(parent, name) as folder:
        for part in _PARTS:
            make_directory(folder, part, ownership)
        if name and is_new:
            # Maildir++ tells by this file that the directory is a folder of the one above.
            with suppress(FileExistsError):
                write_file(folder, "maildirfolder", b"", ownership)
    return is_new


def make_directory(parent: int, name: str, ownership: Ownership) -> bool:
    """Make one directory with its owner and mode; say whether it was missing.

    Raises:
        OSError: It cannot be made.
    """
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    with open_in(parent, name) as directory:
        ownership.give(directory, mode=ownership.mode)
    return True


class FolderWriter:
    """Puts messages into one folder: written to ``tmp``, then linked into ``cur``."""

    def __init__(self, folder: int, ownership: Ownership, *, is_durable: bool) -> None:
        self.folder = folder
        self._ownership = ownership
        self._is_durable = is_durable
        self._taken: set[str] = set()
        for part in ("new", "cur"):
            with open_in(folder, part) as directory:
                self._taken |= {maildir.base_of(name) for name in names_in(directory)}

    def put(self, delivery: Delivery, keywords: Sequence[str]) -> str:
        """Write one message and return its file's name; no other file's place is taken.

        Args:
            delivery: What to write.
            keywords: Of the folder, in the order of their letters.

        Raises:
            OSError: It cannot be written.
        """
        message = delivery.message
        draft = f"{time.time_ns()}.{os.getpid()}.mailrewind"
        sizes = maildir.sizes_of(message.path.rpartition("/")[2], delivery.content)
        letters = maildir.letters_of(message.flags, keywords)
        with open_in(self.folder, "tmp") as drafts, open_in(self.folder, "cur") as cur:
            write_file(
                drafts,
                draft,
                delivery.content,
                self._ownership,
                received=message.received,
                is_durable=self._is_durable,
            )
            try:
                name = self._free_name(message.guid, sizes, letters)
                os.link(draft, name, src_dir_fd=drafts, dst_dir_fd=cur)
                return name
            finally:
                os.unlink(draft, dir_fd=drafts)

    def finish(self) -> None:
        """See to it that the names of the messages are on the disk too."""
        if self._is_durable:
            with open_in(self.folder, "cur") as cur:
                os.fsync(cur)

    def _free_name(self, guid: str, sizes: str, letters: str) -> str:
        for copy in count():
            name = maildir.name_for(guid, copy=copy, sizes=sizes, letters=letters)
            if maildir.base_of(name) not in self._taken:
                break
        self._taken.add(maildir.base_of(name))
        return name


class Writers:
    """Opens folders for writing, and keeps the last one open: archives come folder by folder.

    Args:
        root: A directory that the operator named, or that is ours.
        is_durable: Whether each message shall be on the disk before the next one.
    """

    def __init__(self, root: Path, *, is_durable: bool) -> None:
        self._root = root
        self._is_durable = is_durable
        self._names: tuple[str, ...] | None = None
        self._current: FolderWriter | None = None
        self._open = ExitStack()

    def of(self, names: tuple[str, ...], ownership: Ownership) -> FolderWriter:
        """Return the writer of the folder that these directories lead to.

        Raises:
            OSError: The folder cannot be opened.
        """
        if self._current is None or self._names != names:
            self.close()
            folder = self._open.enter_context(open_below(self._root, names))
            self._current = FolderWriter(folder, ownership, is_durable=self._is_durable)
            self._names = names
        return self._current

    def close(self) -> None:
        """Finish the folder that is open."""
        if self._current is not None:
            self._current.finish()
        self._current = None
        self._open.close()


def add_keywords(folder: int, wanted: frozenset[str], ownership: Ownership) -> tuple[str, ...]:
    """Give keywords their letters in a folder, as far as there are letters; return all of them.

    Dovecot locks the list by creating "dovecot-keywords.lock", and replaces the list by it.

    Raises:
        DeliveryFailed: Somebody else holds the lock.
        OSError: The list cannot be written.
    """
    known = read_keywords(read_if_there(folder, KEYWORDS))
    if wanted <= set(known):
        return known
    with _replaced(folder, ownership) as lock:
        names = list(read_keywords(read_if_there(folder, KEYWORDS)))
        for keyword in sorted(wanted - set(names)):
            if "" in names:
                names[names.index("")] = keyword
            elif len(names) < len(maildir.KEYWORD_LETTERS):
                names.append(keyword)
        os.write(lock, write_keywords(names))
    return tuple(names)


def write_file(
    directory: int,
    name: str,
    content: bytes,
    ownership: Ownership,
    *,
    received: datetime | None = None,
    is_durable: bool = True,
) -> None:
    """Write a new file with an owner, a mode and a time.

    Raises:
        OSError: It exists already or cannot be written.
    """
    descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        ownership.give(descriptor, mode=ownership.file_mode)
        if received is not None:
            moment = (received - _EPOCH) // timedelta(microseconds=1) * 1000
            os.utime(descriptor, ns=(moment, moment))
        if is_durable:
            os.fsync(descriptor)
    except BaseException:
        os.unlink(name, dir_fd=directory)
        raise
    finally:
        os.close(descriptor)


@contextmanager
def _replaced(folder: int, ownership: Ownership) -> Iterator[int]:
    """Lock the list of keywords, and put what is written into the lock in its place."""
    name = f"{KEYWORDS}.lock"
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            lock = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
            break
        except FileExistsError as error:
            if time.monotonic() > deadline:
                raise DeliveryFailed(
                    f"{name} has been locked for {_LOCK_SECONDS:g} seconds",
                    advice="Remove the lock file if no mail server uses the folder.",
                ) from error
            time.sleep(0.05)
    try:
        ownership.give(lock, mode=ownership.file_mode)
        yield lock
        os.fsync(lock)
        os.rename(name, KEYWORDS, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:  # only then: after the renaming, a lock of this name is somebody else's
        os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(lock)
