"""Start again what somebody stopped and did not live to start: the recovery timer.

Who stops services of a mailcow notes first which, and waits until a process of this module watches
that note. It belongs to nobody: neither the end of who started it, nor of a worker or its unit,
ends it. It starts the services when the process that stopped them is gone, or has had its time.
When the timer itself was killed, the note stays, and whoever comes next starts them.
"""

import argparse
import fcntl
import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from mailrewind.errors import ContainerMissing, MailrewindError
from mailrewind.model.reports import Finding
from mailrewind.ports import Process
from mailrewind.systems.mailcow.readiness import start_and_await
from mailrewind.transports.containers import Project
from mailrewind.transports.processes import is_alive

__all__ = ["Interruption", "directory_of", "in_order", "recover_leftovers", "start_again"]

logger = logging.getLogger(__name__)

WATCHDOG = "watchdog-mailcow"
_GRACE_SECONDS = 10.0
# More for what loses something when it is killed; little for what has nothing to lose.
_OTHER_GRACE_SECONDS = {"mysql-mailcow": 60.0, "redis-mailcow": 30.0, "dovecot-mailcow": 30.0} | {
    WATCHDOG: 3.0
}
_POLL_SECONDS = 1.0
_AGAIN_SECONDS = 5.0
_READY_SECONDS = 60.0
_STAMP = "%Y-%m-%d %H:%M:%S UTC"
# Each needs those before it; what is not named comes before the watchdog, who complains of all.
_ORDER = (
    *("unbound-mailcow", "mysql-mailcow", "redis-mailcow", "memcached-mailcow", "clamd-mailcow"),
    *("rspamd-mailcow", "php-fpm-mailcow", "dovecot-mailcow", "postfix-mailcow", "sogo-mailcow"),
    *("nginx-mailcow", "acme-mailcow"),
)


@dataclass(frozen=True, slots=True)
class Interruption:
    """What somebody stopped for a while.

    Attributes:
        system: Name of the system.
        project: The compose project.
        services: What ran before, in the order in which it is started.
        holder: Who stopped it, in words.
        process: Whose death means that nobody else will start it.
        deadline: When it is started although the process lives, UTC.
        is_stopped: Whether all of it has been stopped. If not, the engine may be about to: it
            goes on stopping a service when the one who asked for it is gone.
    """

    system: str
    project: str
    services: tuple[str, ...]
    holder: str
    process: Process
    deadline: datetime
    is_stopped: bool = False

    def has_lapsed(self, now: datetime) -> bool:
        """Whether nobody is left who would start the services in time."""
        return now > self.deadline or not is_alive(self.process)


def in_order(services: Iterable[str]) -> tuple[str, ...]:
    """Sort services so that each finds what it needs; the watchdog comes last."""

    def turn(service: str) -> tuple[int, str]:
        if service == WATCHDOG:
            return len(_ORDER) + 1, ""
        return (_ORDER.index(service) if service in _ORDER else len(_ORDER)), service

    return tuple(sorted(set(services), key=turn))


def directory_of(data_dir: Path, system: str) -> Path:
    """Return where the notes of a system's interruptions lie."""
    return data_dir / "recovery" / system


def armed_mark(note: Path) -> Path:
    """Return the file by which the timer says that it watches a note."""
    return note.with_suffix(".armed")


def write_note(note: Path, interruption: Interruption) -> None:
    """Write what was, or is about to be, stopped; after a power cut it is there wholly."""
    content = asdict(interruption) | {"deadline": interruption.deadline.isoformat()}
    partial = note.with_suffix(".partial")
    with partial.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(note)


def read_note(note: Path) -> Interruption | None:
    """Read a note; None if it is gone, for then all runs again."""
    try:
        content = json.loads(note.read_bytes())
    except FileNotFoundError:
        return None
    return Interruption(
        system=content["system"],
        project=content["project"],
        services=tuple(content["services"]),
        holder=content["holder"],
        process=Process(**content["process"]),
        deadline=datetime.fromisoformat(content["deadline"]),
        is_stopped=content["is_stopped"],
    )


def start_again(
    project: Project, services: Sequence[str], *, ready_seconds: float = _READY_SECONDS
) -> Sequence[str]:
    """Start services in their order, each when those before it are ready.

    One that does not come up is in nobody's way: the others are started all the same.

    Returns:
        What went wrong, one sentence for each service that is not ready.
    """
    complaints = []
    for service in in_order(services):
        try:
            start_and_await(project, service, wait_seconds=ready_seconds)
        except ContainerMissing:
            logger.warning("%s has no container any more", service)
        except MailrewindError as error:
            complaints.append(str(error))
    return complaints


def stop(project: Project, service: str) -> None:
    """Stop a service, with the time that it needs to end well."""
    project.stop(service, grace_seconds=_OTHER_GRACE_SECONDS.get(service, _GRACE_SECONDS))


def end_stopping(project: Project, services: Sequence[str]) -> Sequence[str]:
    """Let the engine end the stop that it may be in: else it would stop what we have started.

    Services are stopped one after the other, so it can only be at the first that still runs.

    Returns:
        What went wrong.
    """
    try:
        states = project.services()
        for service in reversed(in_order(services)):
            if service in states and states[service].state == "running":
                stop(project, service)
                break
    except MailrewindError as error:
        return [str(error)]
    return []


def recover_leftovers(project: Project, *, system: str, data_dir: Path) -> Sequence[Finding]:
    """Start what a dead process left stopped; say what was started, by us or by the timer.

    Args:
        project: The compose project of the system.
        system: Name of the system.
        data_dir: Our data directory.
    """
    directory = directory_of(data_dir, system)
    findings = []
    for note in sorted(directory.glob("*.json")):
        interruption = read_note(note)
        if interruption is not None and interruption.has_lapsed(datetime.now(UTC)):
            _recover(project, note, interruption)
    for told in sorted(directory.glob("*.recovered")):
        findings.append(Finding(system, told.read_text().strip()))
        logger.warning("%s", findings[-1].text)
        told.unlink(missing_ok=True)
    return findings


def main(arguments: Sequence[str]) -> None:
    """Watch one note until it is gone, or until what it names must be started."""
    parser = argparse.ArgumentParser(prog="mailrewind.systems.mailcow.recovery")
    parser.add_argument("--detach", action="store_true")
    parser.add_argument("note", type=Path)
    options = parser.parse_args(arguments)
    # Before we let go of who started us, so that it hears of a log that cannot be written.
    logging.basicConfig(
        filename=options.note.parent / "log",
        level=logging.INFO,
        format="%(asctime)s %(process)d %(message)s",
    )
    if options.detach:
        _detach()
    watch(options.note)


def watch(note: Path) -> None:
    """Say that the note is watched, and start its services when nobody else will."""
    mark = armed_mark(note)
    mark.write_text(f"{os.getpid()}\n")
    logger.info("watching %s", note.name)
    try:
        while (interruption := read_note(note)) is not None:
            if not interruption.has_lapsed(datetime.now(UTC)):
                time.sleep(_POLL_SECONDS)
                continue
            with Project(interruption.project) as project:
                if _recover(project, note, interruption):
                    return
            time.sleep(_AGAIN_SECONDS)
    finally:
        mark.unlink(missing_ok=True)
        logger.info("no longer watching %s", note.name)


def _recover(project: Project, note: Path, interruption: Interruption) -> bool:
    """Start the services of a note and remove it; whether none of them was in the way of that."""
    with _alone(note.parent):
        if not note.exists():
            return True
        alive = is_alive(interruption.process)
        why = "had its time" if alive else "was gone"
        names = ", ".join(interruption.services)
        logger.info("%s %s: starting %s", interruption.holder, why, names)
        if not interruption.is_stopped:
            for complaint in end_stopping(project, interruption.services):
                logger.warning("%s", complaint)
        complaints = start_again(project, interruption.services)
        for complaint in complaints:
            logger.warning("%s", complaint)
        if complaints and not _all_run(project, interruption.services):
            return False
        note.with_suffix(".recovered").write_text(
            f"{names} were started at {datetime.now(UTC):{_STAMP}} because {interruption.holder}, "
            f"which had stopped them, {why}\n"
        )
        note.unlink(missing_ok=True)
        logger.info("all of them run")
        return True


def _all_run(project: Project, services: Sequence[str]) -> bool:
    """Whether all run, be they healthy or not: more cannot be done for them from here."""
    try:
        states = project.services()
    except MailrewindError as error:
        logger.warning("%s", error)
        return False
    return all(states[name].state == "running" for name in services if name in states)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _detach() -> None:
    """Go on as a process that nobody is the parent of, in a session of its own."""
    if os.fork():
        os._exit(0)
    os.setsid()
    # Whoever waits for the end of these would wait for ours.
    with Path(os.devnull).open("r+b") as nothing:
        for number in (0, 1, 2):
            os.dup2(nothing.fileno(), number)


if __name__ == "__main__":
    main(sys.argv[1:])
