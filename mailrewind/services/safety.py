"""What a restore keeps of the state before it, so that it can be taken back."""

import logging
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mailrewind.errors import NoSpace, NothingToUndo

logger = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=30)
_ROOM = "safety"


class SafetyCopy:
    """The files that one operation keeps, readable by their owner alone.

    They go after thirty days, or when somebody deletes the directory.

    Args:
        data_dir: Our data directory.
        operation_id: The plan's id.
    """

    def __init__(self, data_dir: Path, operation_id: str) -> None:
        self.directory = data_dir / _ROOM / operation_id

    def write(self, name: str, content: bytes) -> None:
        """Keep a file; what it was before, if it was there, is gone.

        Raises:
            NoSpace: It cannot be written, so nothing should be changed.
        """
        partial = self.directory / f".{name}.partial"
        try:
            for directory in (self.directory.parent, self.directory):
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with os.fdopen(os.open(partial, flags, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.directory / name)
        except OSError as error:
            raise NoSpace(
                f"the safety copy in {self.directory} cannot be written: {error.strerror}",
                advice="Nothing was changed; free space below the data directory.",
            ) from error

    def holds(self, name: str) -> bool:
        """Whether a file of this name is kept."""
        return (self.directory / name).exists()

    def read(self, name: str) -> bytes:
        """Return a kept file.

        Raises:
            NothingToUndo: It is not there (any more).
        """
        try:
            return (self.directory / name).read_bytes()
        except OSError as error:
            raise NothingToUndo(
                f"the safety copy {self.directory / name} is not there: {error.strerror}"
            ) from error


def forget_old_copies(data_dir: Path, now: datetime) -> int:
    """Remove the safety copies of all operations that are older than ``KEPT_FOR``.

    They hold what nobody should be able to find for ever, such as hashes of passwords.

    Args:
        data_dir: Our data directory.
        now: The present moment, aware.

    Returns:
        How many operations can no longer be undone.
    """
    gone = 0
    for directory in _directories(data_dir / _ROOM):
        if now - datetime.fromtimestamp(directory.stat().st_mtime, UTC) <= KEPT_FOR:
            continue
        shutil.rmtree(directory, ignore_errors=True)
        if directory.exists():
            logger.warning("the safety copy %s cannot be removed", directory)
        else:
            gone += 1
    return gone


def _directories(room: Path) -> list[Path]:
    try:
        return sorted(path for path in room.iterdir() if path.is_dir() and not path.is_symlink())
    except FileNotFoundError:
        return []
