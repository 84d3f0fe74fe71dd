"""Directories that other people change while we look at them.

Everything is opened name by name from a directory that the operator named, without following
symbolic links: whoever may write into a mailbox cannot lead us out of the tree.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from mailrewind.formats.maildir import base_of

T = TypeVar("T")

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINK = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READ = os.O_RDONLY | _NO_LINK
_TICK_NS = 50_000_000  # the clock of a directory's mtime may stand still for a kernel's tick
_QUIET_LISTINGS = 12
_MOST_LISTINGS = 200


@contextmanager
def open_below(root: Path, names: Sequence[str]) -> Iterator[int]:
    """Open a directory below a root and give its descriptor.

    Raises:
        OSError: It does not exist, may not be read, or a symbolic link lies on the way.
    """
    descriptor = os.open(root, _OPEN)
    try:
        for name in names:
            inner = os.open(name, _OPEN, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_in(directory: int, name: str) -> Iterator[int]:
    """Open a directory's subdirectory by name, "" for the directory itself.

    Raises:
        OSError: As ``open_below``.
    """
    descriptor = os.open(name or ".", _OPEN, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def subdirectories(directory: int) -> list[str]:
    """Return the names of the directories in a directory; symbolic links are none."""
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def names_in(directory: int) -> list[str]:
    """Return all names in a directory."""
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def files_in(directory: int) -> list[str]:
    """Return the names of the regular files in a directory: nothing else is a message."""
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]


def messages_named_in(directory: int) -> dict[str, str]:
    """Map the base name of each message in a directory to its file name.

    A message that is there all the time is in the result, one that has gone meanwhile may be.
    """

    def look(name: str) -> str:
        return name

    return _listed(directory, look)


def messages_looked_at_in(directory: int) -> dict[str, tuple[str, os.stat_result]]:
    """Map the base name of each message in a directory to its file name and what ``stat`` says.

    A message that is there all the time is in the result, one that has gone meanwhile may be.
    """

    def look(name: str) -> tuple[str, os.stat_result]:
        return name, os.stat(name, dir_fd=directory, follow_symlinks=False)

    return _listed(directory, look)


def _listed(directory: int, look: Callable[[str], T]) -> dict[str, T]:
    """Look at every message in a directory that may be renamed at every moment.

    While a directory is read, a file that is renamed may be seen under its old name, its new
    one, both or neither. So listings are put together until the directory has not changed during
    one of them, or until many in a row have named no message that had not been looked at.
    """
    found: dict[str, T] = {}
    quiet = 0
    for _ in range(_MOST_LISTINGS):
        began = time.time_ns()
        before = os.stat(directory).st_mtime_ns
        is_complete = True
        for name in files_in(directory):
            if name.startswith("."):
                continue
            base = base_of(name)
            is_complete = is_complete and base in found
            with suppress(FileNotFoundError):
                found[base] = look(name)
        was_still = os.stat(directory).st_mtime_ns == before and began - before > _TICK_NS
        quiet = quiet + 1 if is_complete else 0
        if was_still or quiet >= _QUIET_LISTINGS:
            break
    return found


def read_file(directory: int, name: str) -> bytes:
    """Read a regular file of a directory whole.

    Raises:
        OSError: There is none, or it is no regular file.
    """
    descriptor = os.open(name, _READ, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(f"{name} is no regular file")
        return file.read()


def read_if_there(directory: int, name: str) -> bytes:
    """Read a file of a directory, or return nothing if there is none."""
    try:
        return read_file(directory, name)
    except FileNotFoundError:
        return b""


def append_if_there(directory: int, name: str, content: bytes) -> None:
    """Append to a regular file of a directory, if there is one."""
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_APPEND | _NO_LINK, dir_fd=directory)
    except FileNotFoundError:
        return
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
