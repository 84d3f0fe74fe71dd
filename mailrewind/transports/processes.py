"""Run local programs so that nothing of them is left behind, whatever happens here.

A child leads a process group of its own. Its pipes are watched from the thread that called, so
that callbacks run there and an exception, be it Ctrl-C, a cancelled run or a timeout, is met
within half a second: the group gets SIGTERM, 15 s later SIGKILL, and is reaped before the
exception goes on.

A child dies with its supervisor too, even with one that is killed by SIGKILL: it is started
through ``setpriv --pdeathsig`` (util-linux; it replaces itself by the program in a millisecond).
Python's own ``preexec_fn`` could make the same system call, but it runs Python between fork and
exec, where a lock held by another thread waits forever; Prefect's processes have many threads. The
kernel means the starting *thread* by "parent": consume a stream in the thread that opened it.
"""

import io
import logging
import os
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mailrewind.ports import Process

logger = logging.getLogger(__name__)

GRACE_SECONDS = 15.0
_DYING_SECONDS = 5.0
_TICK_SECONDS = 0.5  # an exception sent to a thread is only seen between two system calls
_CHUNK_BYTES = 65536
_ENV = "/usr/bin/env"  # by its path: whoever has an odd PATH has it all the same
_KEPT_LINES = 1000

# A list of what may pass, not of what may not: secrets have names that nobody can foresee.
_PASSED_ON = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "XDG_RUNTIME_DIR"),
        *("TZ", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "SSH_AUTH_SOCK"),
    }
)

OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Completed:
    """How a child ended.

    Attributes:
        returncode: Its exit code; negative for the signal that ended it.
        stdout: All of it; empty for a stream.
        stderr: Its last thousand lines; bytes that are not UTF-8 come as escapes.
    """

    returncode: int
    stdout: bytes
    stderr: str


class Stream(io.BufferedReader):
    """The standard output of a running child."""

    def __init__(self, child: "_Child") -> None:
        super().__init__(_Output(child), _CHUNK_BYTES)
        self._child = child

    def finish(self) -> Completed:
        """Read on to the end without keeping anything, and return how the child ended."""
        while self.read(_CHUNK_BYTES):
            pass
        return Completed(self._child.wait(), b"", self._child.stderr)


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    timeout_seconds: float | None = None,
    on_stderr_line: OnLine | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a program to its end; a bad exit code is the caller's to judge.

    Args:
        argv: The program, looked up on the PATH it will get, and its arguments.
        environment: Merged over the few harmless variables that pass from our own.
        cwd: Where to run it.
        stdin: What it may read; nothing by default.
        timeout_seconds: After which it is ended.
        on_stderr_line: Called in this thread for each line, without its end.
        pass_fds: Open file descriptors that it inherits under the same numbers.

    Raises:
        FileNotFoundError: There is no such program.
        TimeoutError: It ran for too long and has been ended.
    """
    child = _Child(argv, environment, cwd, stdin, timeout_seconds, on_stderr_line, pass_fds)
    try:
        output = bytearray()
        while child.is_open:
            output += child.listen(_CHUNK_BYTES)
        return Completed(child.wait(), bytes(output), child.stderr)
    finally:
        child.end()


@contextmanager
def stream(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    timeout_seconds: float | None = None,
    on_stderr_line: OnLine | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[Stream]:
    """Run a program and give its standard output as a binary stream.

    Leaving the block ends the child, so call ``finish`` to learn its exit code. The arguments
    and what is raised are those of ``run``.
    """
    child = _Child(argv, environment, cwd, stdin, timeout_seconds, on_stderr_line, pass_fds)
    try:
        yield Stream(child)
    finally:
        child.end()


def tied_to_parent(argv: Sequence[str], *, path: str | None = None) -> list[str]:
    """Return the arguments by which a program ends with whoever starts it.

    Args:
        argv: The program and its arguments.
        path: Where to look the program up; None for our own PATH.

    Raises:
        FileNotFoundError: There is no such program.
    """
    program = shutil.which(argv[0], path=path)
    if program is None:
        raise FileNotFoundError(f"no program {argv[0]} to run")
    setpriv = shutil.which("setpriv")
    # In both the "--" stands: a parser on the way may swallow the first one that it meets.
    tie = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else [_ENV, "--"]
    return [*tie, program, *argv[1:]]


def this_process() -> Process:
    """Return the evidence by which ``is_alive`` knows this process again."""
    pid = os.getpid()
    _, started = _state_and_start(pid)
    return Process(socket.gethostname(), pid, _boot_id(), started)


def is_alive(process: Process) -> bool:
    """Whether the process still runs; one on another host is taken for alive."""
    if process.host != socket.gethostname():
        return True
    if process.boot_id != _boot_id():
        return False
    try:
        state, started = _state_and_start(process.pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return started == process.started and state not in "ZX"


class _Child:
    """A started process and its pipes."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str] | None,
        cwd: Path | None,
        stdin: bytes | None,
        timeout_seconds: float | None,
        on_stderr_line: OnLine | None,
        pass_fds: Sequence[int],
    ) -> None:
        logger.debug("running %s", shlex.join(argv))
        self._name = Path(argv[0]).name
        self._timeout_seconds = timeout_seconds
        self._deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        self._on_line = on_stderr_line
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._partial = b""
        self._unsent = memoryview(stdin or b"")
        surroundings = _harmless() | dict(environment or {})
        self._process = subprocess.Popen(
            tied_to_parent(argv, path=surroundings.get("PATH")),
            env=surroundings,
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        self._has_exited = False
        self._is_quiet = False
        self._selector = selectors.DefaultSelector()
        try:
            self._watch()
        except BaseException:
            self._signal(signal.SIGKILL)
            self._process.wait()
            raise

    @property
    def is_open(self) -> bool:
        """Whether more may come: the process lives, or a pipe still has something to say."""
        return bool(self._selector.get_map()) and not (self._has_exited and self._is_quiet)

    @property
    def stderr(self) -> str:
        """The last lines of standard error."""
        return "\n".join(self._lines)

    def listen(self, size: int) -> bytes:
        """Wait for up to a tick, pass lines on, and return what came on standard output."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TimeoutError(f"{self._name} did not end within {self._timeout_seconds:g} s")
        received = b""
        events = self._selector.select(_TICK_SECONDS)
        # Somebody outside the group may hold a pipe of a process that is gone: ssh's master does.
        self._is_quiet = not events
        for key, _ in events:
            if key.fileobj is self._process.stdout:
                received = self._read(self._process.stdout, size)
            elif key.fileobj is self._process.stderr:
                self._hear(self._read(self._process.stderr, _CHUNK_BYTES))
            elif key.fileobj is self._process.stdin:
                self._feed(self._process.stdin)
            else:
                self._note_exit()
        return received

    def wait(self) -> int:
        """Listen until the process has ended, reap it and return its exit code."""
        while self.is_open:
            self.listen(_CHUNK_BYTES)
        if self._partial:
            self._hear(b"\n")
        return self._process.wait()

    def end(self) -> None:
        """End the whole group if it still runs, reap it and close the pipes."""
        self._on_line = None
        self._deadline = None
        try:
            if self._process.returncode is None:
                self._signal(signal.SIGTERM)
                self._listen_until_end(GRACE_SECONDS)
        finally:
            try:
                if self._process.returncode is None:
                    self._signal(signal.SIGKILL)
                    self._listen_until_end(_DYING_SECONDS)
            finally:
                self._process.wait()
                self._close()

    def _listen_until_end(self, seconds: float) -> None:
        # The pipes close when the last of the group has died, not only its leader.
        last = time.monotonic() + seconds
        while self.is_open and time.monotonic() < last:
            self.listen(_CHUNK_BYTES)

    def _watch(self) -> None:
        self._exit = os.pidfd_open(self._process.pid)
        self._selector.register(self._exit, selectors.EVENT_READ)
        for pipe in (self._process.stdout, self._process.stderr):
            self._selector.register(_opened(pipe), selectors.EVENT_READ)
        if self._process.stdin:
            os.set_blocking(self._process.stdin.fileno(), False)
            self._selector.register(self._process.stdin, selectors.EVENT_WRITE)

    def _note_exit(self) -> None:
        self._selector.unregister(self._exit)
        self._has_exited = True
        # Not reaped yet, so the group's number cannot have been given to anybody else.
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read(self, pipe: IO[bytes], size: int) -> bytes:
        data = os.read(pipe.fileno(), size)
        if not data:
            self._selector.unregister(pipe)
        return data

    def _hear(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            text = line.decode(errors="backslashreplace")
            self._lines.append(text)
            if self._on_line:
                self._on_line(text)

    def _feed(self, pipe: IO[bytes]) -> None:
        try:
            self._unsent = self._unsent[os.write(pipe.fileno(), self._unsent[:_CHUNK_BYTES]) :]
        except BrokenPipeError:
            self._unsent = memoryview(b"")
        if not self._unsent:
            self._selector.unregister(pipe)
            pipe.close()

    def _close(self) -> None:
        self._selector.close()
        os.close(self._exit)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()


class _Output(io.RawIOBase):
    """Standard output; reading it hears standard error as well."""

    def __init__(self, child: _Child) -> None:
        self._child = child

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # bytes-like, as given
        while self._child.is_open:
            if data := self._child.listen(len(buffer)):
                buffer[: len(data)] = data
                return len(data)
        return 0


def _harmless() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith("LC_")
    }


def _opened(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("opened without a pipe")
    return pipe


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _state_and_start(pid: int) -> tuple[str, int]:
    # proc(5): the name in parentheses may hold anything, so count from its end.
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return fields[0].decode(), int(fields[19])
