"""What a restore keeps of the state before it, so that it can be taken back."""

import os
from pathlib import Path

from mailrewind.errors import NoSpace, NothingToUndo


class SafetyCopy:
    """The files that one operation keeps, readable by their owner alone.

    They go after some weeks, or when somebody deletes the directory.

    Args:
        data_dir: Our data directory.
        operation_id: The plan's id.
    """

    def __init__(self, data_dir: Path, operation_id: str) -> None:
        self.directory = data_dir / "safety" / operation_id

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
