"""Start and stop Prefect's side: `python -m deployments.stack up | down | status | ...`."""

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from mailrewind.config import Config, load
from mailrewind.errors import MailrewindError, StackError

from . import children, record, runs, settings
from .api import Api
from .children import Program
from .drain import take_down
from .record import Record

_TICK_SECONDS = 0.2
_UP_SECONDS = 300.0
_DOWN_SECONDS = 900.0
_END_SECONDS = 120.0

Say = Callable[[str], None]


def up(config: Config, *, foreground: bool = False, say: Say = print) -> None:
    """Start everything, and return when schedules are active; when all runs already, say so.

    Args:
        config: What to run.
        foreground: Supervise in this process until it is told to stop, as systemd wants it.
        say: Takes lines for the operator.

    Raises:
        StackError: Something did not come up; nothing of it is left running.
    """
    settings.ensure_auth(config)
    place = settings.home(config)
    there = _living(place)
    if there and there.status == "draining":
        raise StackError(
            "The stack is going down right now.", advice="Wait for `mailrewind down` to end."
        )
    if there and there.status == "ready":
        say(f"already up: {settings.address(config)} (supervisor {there.supervisor.pid})")
        return
    if foreground:
        from .supervisor import Supervisor  # a second of imports that the other verbs do not need

        Supervisor(config, say).run()
        return
    if there is None:
        _start_supervisor(config)
    _follow(config, say)


def down(
    config: Config, *, now: bool = False, wait_seconds: float = _DOWN_SECONDS, say: Say = print
) -> None:
    """Let running flows end, then stop everything.

    Args:
        config: What runs.
        now: End running flows instead of waiting for them.
        wait_seconds: After which they are ended.
        say: Takes lines for the operator.
    """
    place = settings.home(config)
    there = record.read(place)
    if there is None:
        say("nothing is running")
        return
    last = time.monotonic() + (0.0 if now else wait_seconds)
    if not children.is_running(there.supervisor):
        _clean_up(config, there, say, lambda: time.monotonic() > last)
        return
    children.send(there.supervisor, signal.SIGTERM)
    said = _Lines(place / record.UP_LOG, say, skip=True)
    insisted = False
    while children.is_running(there.supervisor):
        said.pass_on()
        if time.monotonic() > last and not insisted:
            insisted = True
            children.send(there.supervisor, signal.SIGTERM)
        if time.monotonic() > last + _END_SECONDS:
            children.send(there.supervisor, signal.SIGKILL)
        time.sleep(_TICK_SECONDS)
    said.pass_on()
    left = record.read(place)
    if left and left.status != "failed":
        _clean_up(config, left, say, lambda: True)


def status(config: Config, *, say: Say = print) -> bool:
    """Say what runs; return whether all of it does."""
    there = record.read(settings.home(config))
    if there is None:
        say("down")
        return False
    say(f"{there.status}: {settings.address(config)}, pool {config.prefect.pool}")
    parts = {"supervisor": there.supervisor, "server": there.server, "worker": there.worker}
    alive = {name: children.is_running(process) for name, process in parts.items()}
    for name, process in parts.items():
        if process:
            say(f"{name:10} {'runs' if alive[name] else 'is dead'} (pid {process.pid})")
        else:
            say(f"{name:10} was never started")
    if there.message:
        say(f"{there.message} {there.advice}".strip())
    if alive["server"]:
        say(_running_flows(config))
    return all(alive.values()) and there.status == "ready"


def restart_worker(config: Config, *, say: Say = print) -> None:
    """Start a new worker; the old one finishes its runs.

    Raises:
        StackError: The stack is not up.
    """
    place = settings.home(config)
    there = _living(place)
    if there is None or there.status != "ready":
        raise StackError("The stack is not up.", advice="Run `mailrewind up`.")
    children.send(there.supervisor, signal.SIGHUP)
    last = time.monotonic() + _END_SECONDS
    while (now := record.read(place)) is None or now.worker == there.worker:
        if time.monotonic() > last:
            raise StackError("The supervisor started no new worker.")
        time.sleep(_TICK_SECONDS)
    say(f"a new worker was started (pid {now.worker.pid if now.worker else '?'})")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a command; return the exit code."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        config = load(given.config)
        if given.verb == "up":
            up(config, foreground=given.foreground, say=_say)
        elif given.verb == "down":
            down(config, now=given.now, wait_seconds=given.wait, say=_say)
        elif given.verb == "restart-worker":
            restart_worker(config, say=_say)
        else:
            return 0 if status(config, say=_say) else 1
    except MailrewindError as error:
        print(f"{error}\n{error.advice}".strip(), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Prefect's side: server, worker, schedules.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    upward = verbs.add_parser("up", help="start everything")
    upward.add_argument("--foreground", action="store_true", help="stay, as systemd wants it")
    downward = verbs.add_parser("down", help="let running flows end, then stop everything")
    downward.add_argument("--now", action="store_true", help="end running flows")
    downward.add_argument(
        "--wait", type=float, default=_DOWN_SECONDS, metavar="SECONDS", help="how long to wait"
    )
    others = [verbs.add_parser("status", help="say what runs")]
    others.append(verbs.add_parser("restart-worker", help="take a new worker"))
    for each in (upward, downward, *others):
        each.add_argument("--config", type=Path, help="path of mailrewind.yaml")
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


def _living(place: Path) -> Record | None:
    there = record.read(place)
    return there if there and children.is_running(there.supervisor) else None


def _start_supervisor(config: Config) -> None:
    place = settings.home(config)
    (place / record.UP_LOG).unlink(missing_ok=True)
    stale = record.read(place)
    if stale and stale.status == "failed":
        record.remove(place)
    process = children.start(
        Program(
            name="supervisor",
            argv=[
                *(sys.executable, "-P", "-m", "deployments.supervisor"),
                *("--config", str(config.path)),
            ],
            environment=os.environ,
            cwd=place,
            log=place / "supervisor.log",
        )
    )
    while children.is_running(process):
        there = record.read(place)
        if there and there.supervisor == process:
            return
        time.sleep(_TICK_SECONDS)


def _follow(config: Config, say: Say) -> None:
    """Pass on what the supervisor says, until it is ready or has failed."""
    place = settings.home(config)
    said = _Lines(place / record.UP_LOG, say)
    last = time.monotonic() + _UP_SECONDS
    try:
        while True:
            there = record.read(place)
            said.pass_on()
            if there and there.status == "failed":
                children.wait(there.supervisor, _END_SECONDS)
                record.remove(place)
                raise StackError(there.message, advice=there.advice)
            if there and there.status == "ready":
                said.pass_on()
                return
            if there is None or not children.is_running(there.supervisor):
                raise StackError(
                    "The supervisor ended while it started.",
                    advice=f"See {place / 'supervisor.log'}.",
                )
            if time.monotonic() > last:
                raise StackError(f"The stack was not up within {_UP_SECONDS:g} s.")
            time.sleep(_TICK_SECONDS)
    except KeyboardInterrupt:
        down(config, say=say)
        raise


def _clean_up(config: Config, there: Record, say: Say, is_impatient: Callable[[], bool]) -> None:
    """Take down what a supervisor left that did not end as it should."""
    place = settings.home(config)
    take_down(
        Api.of(config),
        config.prefect.pool,
        place / "runs",
        server=there.server,
        workers=there.workers,
        say=say,
        is_impatient=is_impatient,
    )
    record.remove(place)
    say("everything is down")


def _running_flows(config: Config) -> str:
    try:
        names = sorted(
            run.name for run in runs.active(Api.of(config, timeout_seconds=5), config.prefect.pool)
        )
    except StackError as error:
        return f"flows      unknown: {error}"
    return f"flows      {', '.join(names) if names else 'none runs'}"


class _Lines:
    """The lines of a growing file, each passed on once."""

    def __init__(self, path: Path, say: Say, *, skip: bool = False) -> None:
        self._path = path
        self._say = say
        self._offset = 0
        if skip:
            with suppress(FileNotFoundError):
                self._offset = path.stat().st_size

    def pass_on(self) -> None:
        """Pass on what is new."""
        with suppress(FileNotFoundError), self._path.open(encoding="utf-8") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith("\n"):
                    return
                self._offset += len(line.encode())
                self._say(line.rstrip("\n"))


if __name__ == "__main__":
    sys.exit(main())
