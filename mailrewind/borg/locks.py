"""Who holds the lock of a repository on this machine.

borg's lock is the directory ``lock.exclusive`` with one empty file in it, whose name says who:
``<host id>.<pid>-<thread>``. borg itself removes the lock of a dead process of the same host id.
What it cannot see is a process id that was given to another program since, after a reboot for
instance; then it waits for ever, and we look closer.
"""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from mailrewind.borg.settings import host_id

_NAME = re.compile(r"(?P<host>.+)\.(?P<pid>\d+)-[0-9a-f]+")
_SLACK_SECONDS = 2.0  # a process start is known in hundredths, the clock may have been set


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    Attributes:
        host: borg's host id.
        pid: Process id there.
        is_here: Whether that host is this one.
        is_alive: Whether the process that took the lock still runs; only known if it is here.
    """

    host: str
    pid: int
    is_here: bool
    is_alive: bool

    def __str__(self) -> str:
        """Name the holder in a message."""
        return f"process {self.pid} on {'this machine' if self.is_here else self.host}"


def holder_of(repository: Path, base_dir: Path) -> Holder | None:
    """Return who holds the exclusive lock of a local repository, or None."""
    try:
        entries = list((repository / "lock.exclusive").iterdir())
        taken = min(entry.stat().st_mtime for entry in entries)
    except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
        return None
    match = _NAME.fullmatch(entries[0].name)
    if match is None:
        return None
    pid = int(match["pid"])
    is_here = match["host"] == host_id(base_dir)
    return Holder(match["host"], pid, is_here, is_here and _ran_before(pid, taken))


def _ran_before(pid: int, moment: float) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    if fields[0] in (b"Z", b"X"):  # waits for its parent to take note, and holds nothing
        return False
    uptime_seconds = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    started = time.time() - uptime_seconds + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return started <= moment + _SLACK_SECONDS
