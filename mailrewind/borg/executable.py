"""Find the borg executable and see that it is one we know."""

import re
import shutil
import sys
from functools import lru_cache
from pathlib import Path

from mailrewind.errors import BorgMissing
from mailrewind.transports.processes import run


def borg_executable() -> str:
    """Return the path of borg 1.4: the one beside our Python, else the first on PATH.

    Raises:
        BorgMissing: There is none, or it has another version.
    """
    beside = Path(sys.executable).parent / "borg"
    found = str(beside) if beside.exists() else shutil.which("borg")
    if found is None:
        raise BorgMissing(f"there is no borg beside {sys.executable} nor on the PATH")
    version = _version_of(found)
    # 1.2 has neither the exit codes nor several security fixes; 2.0 is another program.
    if version[:2] != (1, 4):
        text = ".".join(map(str, version)) or "unknown"
        raise BorgMissing(f"{found} has version {text}, and 1.4 is needed")
    return found


@lru_cache(maxsize=8)  # a start of borg costs 0.1 s
def _version_of(executable: str) -> tuple[int, ...]:
    said = run([executable, "--version"], timeout_seconds=60).stdout.decode(errors="replace")
    match = re.search(r"\b(\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(part) for part in match.groups()) if match else ()
