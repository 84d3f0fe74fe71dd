"""The newest export of each user, as files that only their owner may read.

    sogo/<user>      the export
    index.json       of which data each is, and since when
    lock             held while the files change, or are read

A file is replaced wholly or not at all, and the index is written after the files: an export that
the index does not know is made again.
"""

import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from mailrewind.errors import SourceUnreadable
from mailrewind.ports import Exported

_FILES = "sogo"
_INDEX = "index.json"
_LOCK = "lock"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Entry:
    fingerprint: str
    exported_at: str
    size_bytes: int


class ExportDirectory:
    """Keeps exports; everything but ``locked`` is called while that holds.

    Attributes:
        whole_at: When everybody was exported last.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files = directory / _FILES
        self._entries: dict[str, _Entry] = {}
        self.whole_at = _NEVER

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else change or read the files while the block runs; waits for others.

        Raises:
            SourceUnreadable: The directory may not be used.
        """
        try:
            self._files.mkdir(parents=True, exist_ok=True, mode=0o700)
            for directory in (self._directory, self._files):
                directory.chmod(0o700)
            lock = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SourceUnreadable(f"{self._directory}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read_index()
            yield
        finally:
            os.close(lock)

    def users(self) -> tuple[str, ...]:
        """Return whose exports are there, sorted."""
        return tuple(sorted(self._entries))

    def paths(self) -> tuple[str, ...]:
        """Return their directory and files as ``Archives.create_from_paths`` takes them."""
        room = f"{str(self._directory).lstrip('/')}/./{_FILES}"
        return (room, *(f"{room}/{user}" for user in self.users()))

    def exported_at(self, user: str) -> datetime | None:
        """Return when a user's export was made, or None without one."""
        entry = self._entries.get(user)
        return None if entry is None else datetime.fromisoformat(entry.exported_at)

    def is_current(self, user: str, fingerprint: str) -> bool:
        """Whether a user's export is there, whole, and one of just these data."""
        entry = self._entries.get(user)
        if entry is None or entry.fingerprint != fingerprint:
            return False
        with suppress(OSError):
            return (self._files / user).stat().st_size == entry.size_bytes
        return False

    def outdated(self, living: Mapping[str, str]) -> set[str]:
        """Return the users whose data are not those of their export."""
        return {user for user, mark in living.items() if not self.is_current(user, mark)}

    def keep_only(self, users: Collection[str]) -> None:
        """Remove the exports of everybody else, and what a broken write has left."""
        self._entries = {user: entry for user, entry in self._entries.items() if user in users}
        for path in self._files.iterdir():
            if path.name not in self._entries:
                path.unlink()

    def save(self, exported: Exported, at: datetime) -> None:
        """Put an export in the place of the one of before.

        Raises:
            SourceUnreadable: It cannot be written.
        """
        write_private(self._files / exported.user, exported.content)
        size = len(exported.content)
        self._entries[exported.user] = _Entry(exported.fingerprint, at.isoformat(), size)

    def write_index(self) -> None:
        """Note what the files are.

        Raises:
            SourceUnreadable: It cannot be written.
        """
        users = {user: asdict(entry) for user, entry in sorted(self._entries.items())}
        content = {"whole_at": self.whole_at.isoformat(), "users": users}
        write_private(self._directory / _INDEX, json.dumps(content, indent=1).encode())

    def _read_index(self) -> None:
        self._entries, self.whole_at = {}, _NEVER
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            content = json.loads((self._directory / _INDEX).read_bytes())
            self.whole_at = datetime.fromisoformat(content["whole_at"])
            entries = {user: _Entry(**entry) for user, entry in content["users"].items()}
            self._entries = {
                user: entry for user, entry in entries.items() if (self._files / user).is_file()
            }


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, wholly or not at all.

    Raises:
        SourceUnreadable: It cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        partial.replace(path)
    except OSError as error:
        raise SourceUnreadable(f"{path} cannot be written: {error.strerror}") from error
