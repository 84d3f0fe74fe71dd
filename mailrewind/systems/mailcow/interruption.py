"""Stop services of a mailcow for a while, so that they run again whatever happens meanwhile."""

import logging
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from mailrewind.errors import MailServerFailed, RecoveryNotArmed
from mailrewind.systems.mailcow.recovery import (
    WATCHDOG,
    Interruption,
    armed_mark,
    directory_of,
    end_stopping,
    in_order,
    recover_leftovers,
    start_again,
    stop,
    write_note,
)
from mailrewind.transports.containers import Project
from mailrewind.transports.processes import this_process

__all__ = ["interrupted"]

logger = logging.getLogger(__name__)

AT_MOST = timedelta(hours=6)
_ARMED_SECONDS = 20.0
_POLL_SECONDS = 0.05
_SYSTEMD = Path("/run/systemd/system")
_RUNS = frozenset({"running", "restarting"})
# What the timer needs to reach the same engine; the rest of our surroundings is not its business.
_PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY")


class Stoppable(Protocol):
    """An installation whose services can be stopped."""

    @property
    def project(self) -> Project:
        """Its compose project."""
        ...


@contextmanager
def interrupted(
    installation: Stoppable,
    services: Iterable[str],
    *,
    system: str,
    data_dir: Path,
    holder: str,
    at_most: timedelta = AT_MOST,
) -> Iterator[None]:
    """Keep services, and the watchdog, stopped while the block runs.

    Nothing is stopped before the recovery timer says that it watches. Afterwards those that ran
    before are started in the right order, each when those before it are ready. Blocks may lie
    within each other: the inner one leaves alone what the outer one has stopped.

    Args:
        installation: Whose services.
        services: Which, in any order; one that the project lacks is left out.
        system: Name of the system.
        data_dir: Our data directory.
        holder: Who stops them, in words, such as "plan 3f9a1c20".
        at_most: After which the timer starts them although this process lives.

    Raises:
        RecoveryNotArmed: The timer did not begin to watch; nothing was stopped.
        MailServerUnreachable: The engine does not answer.
        MailServerFailed: The block ended well, but not all services came up.
    """
    project = installation.project
    recover_leftovers(project, system=system, data_dir=data_dir)
    running = _running(project, [*services, WATCHDOG])
    if not running:
        yield
        return
    interruption = Interruption(
        system=system,
        project=project.name,
        services=running,
        holder=holder,
        process=this_process(),
        deadline=datetime.now(UTC) + at_most,
    )
    note = _arm(data_dir, interruption)
    try:
        _stop(project, running)
        write_note(note, replace(interruption, is_stopped=True))
        yield
    except BaseException:
        if complaints := _start(project, running, note):
            logger.warning("not all services came up: %s", " ".join(complaints))
        raise
    if complaints := _start(project, running, note):
        raise MailServerFailed(
            f"not all services came up: {' '.join(complaints)}",
            advice="What was restored is in place; start them with `docker compose up -d`.",
        )


def _running(project: Project, services: Iterable[str]) -> tuple[str, ...]:
    states = project.services()
    return in_order(name for name in services if name in states and states[name].state in _RUNS)


def _stop(project: Project, services: Sequence[str]) -> None:
    """Stop services, the watchdog first: it would take the rest for a breakdown."""
    try:
        for service in reversed(services):
            logger.info("stopping %s", service)
            stop(project, service)
    except BaseException:
        end_stopping(project, services)
        raise


def _start(project: Project, services: Sequence[str], note: Path) -> Sequence[str]:
    """Start services; the timer is let go only when all are ready."""
    logger.info("starting %s", ", ".join(services))
    complaints = start_again(project, services)
    if not complaints:
        note.unlink(missing_ok=True)
    return complaints


def _arm(data_dir: Path, interruption: Interruption) -> Path:
    """Write the note and start the timer; return the note when the timer says that it watches."""
    directory = directory_of(data_dir, interruption.system)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    token = secrets.token_hex(4)
    note = directory / f"{token}.json"
    write_note(note, interruption)
    try:
        _launch(note, f"mailrewind-recovery-{token}")
        _await_armed(armed_mark(note))
    except BaseException:
        note.unlink(missing_ok=True)
        raise
    return note


def _launch(note: Path, unit: str) -> None:
    """Start the timer where the end of whoever started us does not reach it."""
    timer = [sys.executable, "-P", "-m", "mailrewind.systems.mailcow.recovery"]
    systemd_run = shutil.which("systemd-run")
    if systemd_run and _SYSTEMD.is_dir() and os.geteuid() == 0:
        # A unit of its own: ending our unit ends all that is in its control group.
        passed = [f"--setenv={name}={value}" for name, value in _surroundings().items()]
        command = [systemd_run, "--quiet", "--collect", f"--unit={unit}", *passed, *timer]
    else:
        command = [*timer, "--detach"]
    try:
        subprocess.run(
            [*command, str(note)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_ARMED_SECONDS,
            env=_surroundings(),
            cwd="/",
            start_new_session=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or b""
        text = said.decode(errors="replace").strip()[-300:] or str(error)
        raise RecoveryNotArmed(f"the recovery timer cannot be started: {text}") from error


def _await_armed(mark: Path) -> None:
    last = time.monotonic() + _ARMED_SECONDS
    while not mark.exists():
        if time.monotonic() > last:
            raise RecoveryNotArmed(f"the recovery timer did not begin within {_ARMED_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)


def _surroundings() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
