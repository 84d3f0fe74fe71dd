"""Processes that we start, keep and end: known by pid and start time, never by name."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mailrewind.ports import Process
from mailrewind.transports.processes import is_alive

_LOG_BYTES = 10 * 1024 * 1024
_TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Program:
    """How to start a child.

    Attributes:
        name: For the log and for people, such as "worker".
        argv: The program and its arguments; no secret among them.
        environment: All of it.
        cwd: A folder of ours: Prefect reads settings from files where it stands.
        log: Takes its output.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path
    log: Path


def start(program: Program) -> Process:
    """Start a child in a process group of its own; it lives on without us.

    Signals that this process handles are the default again in the child: a Prefect worker that
    ignores SIGINT never stops.
    """
    rotate(program.log)
    log = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        popen = subprocess.Popen(
            program.argv,
            env=dict(program.environment),
            cwd=program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )
    finally:
        os.close(log)
    _ours[popen.pid] = popen
    process = process_of(popen.pid)
    if process is None:  # impossible while we have not waited for it
        raise ProcessLookupError(popen.pid)
    return process


def is_running(process: Process | None) -> bool:
    """Whether a child, or one that an earlier supervisor started, still runs."""
    if process is None:
        return False
    for popen in _ours.values():
        popen.poll()  # a dead child stays a zombie until it is asked
    return is_alive(process)


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal, and only ever to the process that is meant."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # Checked after the handle is open, so the pid cannot have changed hands in between.
        if is_running(process):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)


def wait(process: Process, seconds: float) -> bool:
    """Wait for a process to end; return whether it has."""
    last = time.monotonic() + seconds
    while is_running(process):
        if time.monotonic() > last:
            return False
        time.sleep(_TICK_SECONDS)
    return True


def exit_code(process: Process) -> int | None:
    """Return how a child of this process ended, None while it runs."""
    popen = _ours.get(process.pid)
    return None if popen is None else popen.poll()


def stop(process: Process, *, grace_seconds: float) -> None:
    """End a process: SIGTERM, and after a while SIGKILL."""
    send(process, signal.SIGTERM)
    if not wait(process, grace_seconds):
        send(process, signal.SIGKILL)
        wait(process, 5)


def process_of(pid: int) -> Process | None:
    """Return the evidence by which a process is known again, None if there is none."""
    try:
        # proc(5): the name in parentheses may hold anything, so count from its end.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return Process(socket.gethostname(), pid, boot_id, int(fields[19]))


def rotate(log: Path) -> None:
    """Keep a log and one predecessor of at most 10 MiB each.

    The file is copied and emptied, not renamed: processes that outlive us go on writing to it.
    """
    try:
        if log.stat().st_size < _LOG_BYTES:
            return
    except FileNotFoundError:
        return
    with (
        suppress(OSError),  # on a full disk the new lines matter more than the old ones
        log.open("rb") as now,
        os.fdopen(_private(log.with_suffix(".log.1")), "wb") as before,
    ):
        before.write(now.read(2 * _LOG_BYTES))
    os.truncate(log, 0)


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


_ours: dict[int, subprocess.Popen[bytes]] = {}
