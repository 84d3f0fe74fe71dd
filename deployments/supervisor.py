"""Bring Prefect's side up, keep it up, take it down.

One process owns the server and the worker: it starts them in order, restarts what dies, and lets
running flows end before it stops them. If it is killed itself they go on working, and the next one
takes them over.
"""

import argparse
import importlib.util
import logging
import signal
import socket
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

from mailrewind.config import Config, load
from mailrewind.errors import MailrewindError, StackError
from mailrewind.ports import Process
from mailrewind.transports.processes import this_process

from . import catch_up, children, pool, programs, record, selftest, settings
from .api import Api
from .chores import now_utc, watch_for_ever
from .drain import Say, take_down
from .keeping import TICK_SECONDS, Kept, Signals, StopAsked
from .reaper import Reaper
from .record import Record, Status

logger = logging.getLogger(__name__)

_START_SECONDS = 180.0  # the first start migrates an empty database, perhaps on a busy machine
_SERVER_GRACE_SECONDS = 20.0
_REAP_SECONDS = 10.0
_ROTATE_SECONDS = 60.0
_BREATH_SECONDS = 5.0


class Supervisor:
    """The stack of one data directory."""

    def __init__(self, config: Config, say: Say) -> None:
        self._config = config
        self._auth = settings.ensure_auth(config)
        self._place = settings.home(config)
        self._api = Api(settings.api_url(config), self._auth)
        self._reaper = Reaper(self._api, config.prefect.pool, self._place / "runs")
        self._began = time.monotonic()
        self._say_line = say
        self._signals = Signals()
        self._server = Kept(programs.server(config, self._auth))
        self._worker = Kept(programs.worker(config, self._auth))
        self._retiring: tuple[Process, ...] = ()
        self._fingerprint = programs.fingerprint(self._server.program, self._worker.program)

    def run(self) -> None:
        """Bring everything up, keep it so, and take it down when told to.

        Raises:
            StackError: Something did not come up; what had been started is stopped again.
        """
        with record.sole_supervisor(self._place):
            self._signals.listen()
            try:
                self._bring_up()
                self._keep()
            except StopAsked:
                self._go_down()
            except MailrewindError as error:
                self._go_down()
                self._write("failed", message=str(error), advice=error.advice)
                raise

    def _bring_up(self) -> None:
        if left := record.read(self._place):
            self._take_over(left)
        self._write("starting")
        if not children.is_running(self._server.process):
            self._start_server()
        self._await_server()
        planted = selftest.plant(self._api)
        pool.ensure(self._api, self._config)
        self._say(f"pool {self._config.prefect.pool} stands, closed against foreign commands")
        self._apply()
        self._start_worker()
        seconds = selftest.harvest(self._api, planted, pause=self._signals.pause)
        self._say(f"a schedule became a run ({seconds:.0f} s)")
        self._start_chores()
        self._write("ready")
        self._say(f"schedules are active; see {settings.address(self._config)}")
        self._say(f"sign in with the content of {settings.auth_file(self._config)}")

    def _take_over(self, left: Record) -> None:
        """Adopt what a killed supervisor left, or stop it if it was started differently."""
        if left.fingerprint == self._fingerprint:
            self._retiring = tuple(each for each in left.retiring if children.is_running(each))
            for kept, process in ((self._server, left.server), (self._worker, left.worker)):
                if process and children.is_running(process):
                    kept.adopt(process)
                    self._say(f"{kept.program.name} still runs (pid {process.pid}): taken over")
            return
        for worker in left.workers:
            children.send(worker, signal.SIGTERM)
        self._retiring = tuple(each for each in left.workers if children.is_running(each))
        if left.server and children.is_running(left.server):
            children.stop(left.server, grace_seconds=_SERVER_GRACE_SECONDS)
            self._say("a server with other settings was stopped")

    def _start_server(self) -> None:
        _require_free_port(self._config.prefect.port)
        self._server.start()
        self._write("starting")
        self._say(f"server starts on {settings.address(self._config)}")

    def _await_server(self) -> None:
        """Wait until the server answers and its database is there."""
        quick = Api(settings.api_url(self._config), self._auth, timeout_seconds=5)
        log = self._server.program.log
        last = time.monotonic() + _START_SECONDS
        while True:
            if not children.is_running(self._server.process):
                raise StackError(
                    f"Prefect's server ended while it started: {_last_line(log)}",
                    advice=f"See {log}.",
                )
            try:
                quick.get("/ready")
                break
            except StackError as error:
                if time.monotonic() > last:
                    raise StackError(
                        f"Prefect's server did not get ready within {_START_SECONDS:g} s.",
                        advice=f"See {log}.",
                    ) from error
            self._signals.pause(0.3)
        self._say("server is ready")

    def _apply(self) -> None:
        """Let the deployments be as they are declared.

        A process of its own: it needs Prefect, which would cost this one 90 MB for ever.
        """
        if importlib.util.find_spec("deployments.apply") is None:
            self._say("nothing is declared: no deployments")
            return
        program = programs.apply(self._config, self._auth)
        process = children.start(program)
        try:
            while children.is_running(process):
                self._signals.pause(TICK_SECONDS)
        finally:
            children.stop(process, grace_seconds=5)
        if children.exit_code(process) != 0:
            raise StackError(
                f"The deployments could not be applied: {_last_line(program.log)}",
                advice=f"See {program.log}, and run `mailrewind deploy`.",
            )
        self._say(f"deployments are as declared ({_last_line(program.log)})")

    def _start_worker(self) -> None:
        catch_up.collapse(self._api, self._config.prefect.pool, now=now_utc())
        if children.is_running(self._worker.process):
            return
        # No worker lives that could still report the end of a run.
        ended = self._reaper.sweep(patience=timedelta(0)) if not self._retiring else ()
        for name in ended:
            self._say(f"{name} had died: marked as crashed")
        self._worker.start()
        self._write("starting")
        self._say("worker starts")

    def _start_chores(self) -> None:
        for name, chore, argument in (
            ("reaper", self._reaper.sweep_for_ever, _REAP_SECONDS),
            ("watch", watch_for_ever, self._config),
        ):
            threading.Thread(target=chore, args=(argument,), name=name, daemon=True).start()

    def _keep(self) -> None:
        restarts = self._signals.restarts
        rotated = time.monotonic()
        while True:
            self._signals.pause(TICK_SECONDS)
            try:
                if self._signals.restarts != restarts:
                    restarts = self._signals.restarts
                    self._retire_worker()
                self._tend()
                if time.monotonic() - rotated > _ROTATE_SECONDS:
                    rotated = time.monotonic()
                    for log in self._place.glob("*.log"):
                        children.rotate(log)
            except OSError as error:  # a full disk must not end what keeps backups alive
                logger.warning("cannot look after the children now: %s", error)
                self._signals.pause(_BREATH_SECONDS)

    def _tend(self) -> None:
        if any([self._server.tend(), self._worker.tend()]):
            self._write("ready")

    def _retire_worker(self) -> None:
        """Start a new worker at once; the old one finishes its runs."""
        if self._worker.process and children.is_running(self._worker.process):
            children.send(self._worker.process, signal.SIGTERM)
            self._retiring = (
                *(each for each in self._retiring if children.is_running(each)),
                self._worker.process,
            )
        self._worker.start()
        self._write("ready")
        logger.info("a new worker was started")

    def _go_down(self) -> None:
        self._write("draining")
        self._say("going down; running flows end first")
        take_down(
            self._api,
            self._config.prefect.pool,
            self._place / "runs",
            server=self._server.process,
            workers=self._workers(),
            say=self._say,
            is_impatient=lambda: self._signals.stops > 1,
        )
        record.remove(self._place)
        self._say("everything is down")

    def _workers(self) -> tuple[Process, ...]:
        return (*self._retiring, *([self._worker.process] if self._worker.process else []))

    def _write(self, status: Status, *, message: str = "", advice: str = "") -> None:
        record.write(
            self._place,
            Record(
                status=status,
                fingerprint=self._fingerprint,
                supervisor=this_process(),
                server=self._server.process,
                worker=self._worker.process,
                retiring=self._retiring,
                message=message,
                advice=advice,
            ),
        )

    def _say(self, text: str) -> None:
        self._say_line(f"{time.monotonic() - self._began:6.1f} s  {text}")


def main() -> None:
    """Supervise in the background, for `mailrewind up`, which reads what is said here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    config = load(parser.parse_args().config)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with (settings.home(config) / record.UP_LOG).open("w", encoding="utf-8", buffering=1) as file:
        try:
            Supervisor(config, lambda line: print(line, file=file)).run()
        except MailrewindError as error:
            logger.error("%s %s", error, error.advice)  # noqa: TRY400 - written for the operator
            sys.exit(error.exit_code)


def _require_free_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, port))
        except OSError as error:
            raise StackError(
                f"Port {port} of {settings.HOST} is taken by another program.",
                advice="End that program (`ss -ltnp` names it), or set prefect.port in the "
                "configuration.",
            ) from error


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return "nothing was said"
    return lines[-1] if lines else "nothing was said"


if __name__ == "__main__":
    main()
