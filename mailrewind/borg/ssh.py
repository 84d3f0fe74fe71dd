"""How borg reaches a repository's host, and what ssh says when it does not get there.

borg passes on what ssh says, but may notice the end of the connection first and say no more than
that. So ssh writes its own words into a file of ours.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mailrewind import errors

# Without these a question would wait for ever, an unknown host would be believed where somebody's
# own configuration says so, and a dead network would hold a run for hours.
_OPTIONS = (
    "-oBatchMode=yes",
    "-oStrictHostKeyChecking=yes",
    "-oServerAliveInterval=30",
    "-oServerAliveCountMax=4",
)
_UNCHECKED = re.compile(r"stricthostkeychecking[=\s]+(no|off)\b", re.IGNORECASE)
_CHANGED = re.compile(r"REMOTE HOST IDENTIFICATION HAS CHANGED|revoked (host )?key")
_UNKNOWN = re.compile(r"Host key verification failed")
_REFUSED = re.compile(r"Permission denied \(|Too many authentication failures")
_REMOTE = "Remote: "  # what borg puts before each line of the other side


def ssh_command(configured: Sequence[str] | None, *, log: str = "") -> Sequence[str]:
    """Return how to call ssh; of an option that is given twice, ssh takes the first.

    Args:
        configured: Program and arguments; None for ssh alone. Another program than ssh is called
            as it is.
        log: Path of a file that ssh appends its words to; "" for standard error.

    Raises:
        RepositoryRefused: It would talk to any host that claims to be the right one.
    """
    program = configured or ("ssh",)
    if _UNCHECKED.search(" ".join(program)):
        raise errors.RepositoryRefused(
            "the ssh_command of a repository does not check the key of its host",
            advice="Take StrictHostKeyChecking out of it, and add the host's key to known_hosts.",
        )
    if Path(program[0]).name != "ssh":
        return program
    return (*program, *_OPTIONS, *(("-E", log) if log else ()))


@contextmanager
def ssh_log() -> Iterator[int]:
    """Give the descriptor of a file in memory that bears no name, for ``ssh_command``."""
    descriptor = os.memfd_create("ssh")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def path_of(descriptor: int) -> str:
    """Return a path by which our child processes open a descriptor that they do not inherit."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def lines_of(descriptor: int) -> list[str]:
    """Return what ssh has said."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0).decode(errors="backslashreplace").splitlines()


def ssh_error(said: Sequence[str], location: str) -> errors.RepositoryError | None:
    """Return the error that lines of ssh mean, or None where waiting may help."""
    lines = [line.removeprefix(_REMOTE).strip() for line in said]
    text = "\n".join(lines)
    if _CHANGED.search(text):
        return errors.HostKeyChanged(f"the host of {location} shows another SSH key than before")
    if _UNKNOWN.search(text):
        named = next((f" ({line})" for line in lines if "host key is known" in line), "")
        return errors.HostKeyUnknown(f"the SSH key of the host of {location} is not known{named}")
    if refused := _REFUSED.search(text):
        line = next(line for line in lines if refused[0] in line)
        return errors.LoginRefused(f"the host of {location} refuses our SSH key: {line}")
    return None


def last_words(said: Sequence[str]) -> str:
    """Return the last line of ssh, or of the other side, or ""."""
    lines = [stripped for line in said if (stripped := line.removeprefix(_REMOTE).strip())]
    return lines[-1] if lines else ""
