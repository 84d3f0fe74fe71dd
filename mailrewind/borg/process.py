"""Run borg unattended: its environment, its passphrase, its messages, its errors."""

import logging
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path

from mailrewind.borg.executable import borg_executable
from mailrewind.borg.messages import Hearing, Message
from mailrewind.borg.settings import RepositorySettings, environment_of
from mailrewind.borg.ssh import lines_of, path_of, ssh_log
from mailrewind.errors import RepositoryDamaged, RepositoryFull, RepositoryRefused
from mailrewind.ports import Report
from mailrewind.transports.processes import Completed, Stream, run, stream

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a borg process that did not fail has ended.

    Attributes:
        stdout: All of it.
        messages: What it warned of, and errors that did not fail it.
    """

    stdout: bytes
    messages: tuple[Message, ...]

    @property
    def warnings(self) -> tuple[Message, ...]:
        """What may have been left out, or was repaired."""
        return tuple(message for message in self.messages if message.level == "WARNING")

    @property
    def complaints(self) -> tuple[Message, ...]:
        """What is wrong with the repository."""
        return tuple(message for message in self.messages if message.level != "WARNING")


def run_borg(
    settings: RepositorySettings,
    arguments: Sequence[str],
    *,
    stdin: bytes | None = None,
    report: Report | None = None,
    on_warning: Callable[[Message], None] | None = None,
    past_locks: bool = False,
    accept_moved: bool = False,
    cwd: Path | None = None,
) -> Ended:
    """Run one borg command to its end.

    Args:
        settings: Of the repository that the command works on.
        arguments: The verb and what belongs to it.
        stdin: What borg may read.
        report: Hears of the progress.
        on_warning: Called at once with each warning; what it raises ends borg.
        past_locks: Whether the command only reads, and waits for no writer.
        accept_moved: Whether the repository may lie in another place than before.
        cwd: Where to run.

    Raises:
        MailrewindError: The kind that fits borg's message id, else its exit code.
    """
    hearing = Hearing(report=report, on_warning=on_warning)
    with ssh_log() as log, _passphrase(settings) as (variable, descriptors):
        completed = run(
            _command(settings, arguments),
            environment=variable
            | _environment(settings, log, past_locks=past_locks, accept_moved=accept_moved),
            stdin=stdin,
            on_stderr_line=hearing.hear,
            pass_fds=descriptors,
            cwd=cwd,
        )
        hearing.ssh = lines_of(log)
    _judge(completed, hearing, settings)
    return Ended(completed.stdout, tuple(hearing.messages))


@contextmanager
def stream_borg(
    settings: RepositorySettings,
    arguments: Sequence[str],
    *,
    pass_fds: Sequence[int] = (),
    encoding: str = "utf-8",
    on_warning: Callable[[Message], None] | None = None,
) -> Iterator[Stream]:
    """Run one borg command that only reads, and give its output while it runs.

    Leaving the block early ends borg; leaving it after the last byte raises what went wrong.

    Args:
        settings: Of the repository that the command works on.
        arguments: The verb and what belongs to it.
        pass_fds: File descriptors that borg reads.
        encoding: Of borg's output and messages.
        on_warning: Called with each warning while the output is read; what it raises comes out
            there.

    Raises:
        MailrewindError: The kind that fits borg's message id, else its exit code.
    """
    hearing = Hearing(encoding=encoding, on_warning=on_warning)
    with (
        ssh_log() as log,
        _passphrase(settings) as (variable, descriptors),
        stream(
            _command(settings, arguments),
            environment=_environment(settings, log, past_locks=True, accept_moved=False)
            | variable
            | {"PYTHONIOENCODING": encoding},
            on_stderr_line=hearing.hear,
            pass_fds=(*descriptors, *pass_fds),
        ) as output,
    ):
        try:
            yield output
        except (tarfile.TarError, ValueError) as error:
            _finish(output, hearing, log, settings)
            raise RepositoryDamaged(f"{settings.location}: borg's output ends early") from error
        _finish(output, hearing, log, settings)


@contextmanager
def memory_file(lines: Iterable[str]) -> Iterator[int]:
    """Give the descriptor of a file with these lines, which lies in memory and bears no name."""
    descriptor = os.memfd_create("lines")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="", closefd=False) as file:
            file.writelines(lines)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _passphrase(settings: RepositorySettings) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    # A pipe is empty once borg has read it; a variable or a file could be looked at afterwards.
    if settings.passphrase is None:
        yield {}, ()
        return
    secret = settings.passphrase()
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            pipe.write(secret)
        yield {"BORG_PASSPHRASE_FD": str(reading)}, (reading,)
    finally:
        os.close(reading)


def _environment(
    settings: RepositorySettings, log: int, *, past_locks: bool, accept_moved: bool
) -> dict[str, str]:
    try:
        return environment_of(
            settings, past_locks=past_locks, accept_moved=accept_moved, ssh_log=path_of(log)
        )
    except OSError as error:
        kind = RepositoryFull if error.errno in (ENOSPC, EDQUOT) else RepositoryRefused
        raise kind(
            f"borg's directory {settings.base_dir} cannot be written: {error.strerror}",
            advice="Check the space and the owner of the data directory.",
        ) from error


def _command(settings: RepositorySettings, arguments: Sequence[str]) -> list[str]:
    shared = ["--log-json", f"--lock-wait={settings.lock_wait_seconds}"]
    # Whoever wants to see our commands wants to see what borg does with them.
    talk = ["--debug"] if logger.isEnabledFor(logging.DEBUG) else []
    return [borg_executable(), *shared, *talk, *arguments]


def _finish(output: Stream, hearing: Hearing, log: int, settings: RepositorySettings) -> None:
    completed = output.finish()
    hearing.ssh = lines_of(log)
    _judge(completed, hearing, settings)


def _judge(completed: Completed, hearing: Hearing, settings: RepositorySettings) -> None:
    # 1 and 100 to 127 are warnings: values for the report. A signal's number lies above or below.
    code = completed.returncode
    if code not in (0, 1) and code not in range(100, 128):
        raise hearing.error(code, settings.location)
