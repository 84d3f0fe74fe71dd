"""End the runs whose process is dead, which Prefect would show as running for ever.

A run is judged on the host where its process was: by the note that the process left (see
`evidence`), or by the "host:pid" that our worker gives the run. A living process is never touched,
with one exception: a run that was cancelled after its worker was killed has nobody else to end it.
"""

import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mailrewind.errors import StackError

from . import children, evidence, runs
from .api import Api
from .evidence import Evidence
from .runs import Run

logger = logging.getLogger(__name__)

_PATIENCE = timedelta(seconds=15)  # a worker that lives reports the end of a run by itself
_START_PATIENCE = timedelta(seconds=75)  # from PENDING to a process, on a machine under load
_KILL_AFTER = timedelta(seconds=30)


def _now() -> datetime:
    return datetime.now(UTC)


class Reaper:
    """Looks through the active runs of one pool."""

    def __init__(
        self, api: Api, pool: str, place: Path, *, clock: Callable[[], datetime] = _now
    ) -> None:
        self._api = api
        self._pool = pool
        self._place = place
        self._clock = clock
        self._seen_dead: dict[str, datetime] = {}
        self._told_to_stop: dict[str, datetime] = {}

    def sweep_for_ever(self, seconds: float) -> None:
        """Sweep again and again; an unreachable server is met again next time."""
        while True:
            try:
                self.sweep()
            except StackError as error:
                logger.warning("dead runs not looked for: %s", error)
            except Exception:  # nobody would notice that this thread had ended
                logger.exception("dead runs not looked for")
            time.sleep(seconds)

    def sweep(self, *, patience: timedelta = _PATIENCE) -> Sequence[str]:
        """End every run that has been dead for a while.

        Args:
            patience: For how long a run must have been seen dead; none while no worker runs that
                could still report it.

        Returns:
            The names of the runs that were ended.

        Raises:
            StackError: The API does not answer or refuses.
        """
        noted = {each.run_id: each for each in evidence.all_noted(self._place)}
        active = runs.active(self._api, self._pool)
        ended = [run.name for run in active if self._end_if_dead(run, noted.get(run.id), patience)]
        still_active = {run.id for run in active}
        self._name_the_cancelled(still_active)
        self._forget_finished(noted, still_active)
        return ended

    def _end_if_dead(self, run: Run, noted: Evidence | None, patience: timedelta) -> bool:
        now = self._clock()
        if noted and noted.is_orphan and run.state == "CANCELLING":
            self._stop_orphan(noted)
        if not self._is_dead(run, noted):
            self._seen_dead.pop(run.id, None)
            return False
        if now - self._seen_dead.setdefault(run.id, now) < patience:
            return False
        # The process may have reported its end between the question and the answer.
        if runs.read(self._api, run.id).state not in runs.ACTIVE:
            return False
        kind = "CANCELLED" if run.state == "CANCELLING" else "CRASHED"
        logger.warning("the process of %s is gone: %s", run.name, kind)
        return runs.set_state(self._api, run.id, kind, "The process of this run is gone.")

    def _is_dead(self, run: Run, noted: Evidence | None) -> bool:
        if noted:
            return not noted.is_alive
        host, _, pid = run.place.rpartition(":")
        if host:
            return host == socket.gethostname() and children.process_of(int(pid)) is None
        # Taken by a worker that died before it had started a process.
        return run.state == "PENDING" and self._clock() - run.since > _START_PATIENCE

    def _stop_orphan(self, noted: Evidence) -> None:
        now = self._clock()
        if noted.run_id not in self._told_to_stop:
            self._told_to_stop[noted.run_id] = now
            children.send(noted.engine, signal.SIGTERM)
        elif now - self._told_to_stop[noted.run_id] > _KILL_AFTER:
            children.send(noted.engine, signal.SIGKILL)

    def _name_the_cancelled(self, active: set[str]) -> None:
        """Call a run cancelled that we stopped: without its worker it reported a crash."""
        for run_id in self._told_to_stop.keys() - active:
            if runs.read(self._api, run_id).state == "CRASHED":
                runs.set_state(self._api, run_id, "CANCELLED", "Cancelled.", force=True)

    def _forget_finished(self, noted: dict[str, Evidence], active: set[str]) -> None:
        for run_id, each in noted.items():
            if run_id not in active and not each.is_alive:
                evidence.forget(self._place, run_id)
        for seen in (self._seen_dead, self._told_to_stop):
            for run_id in seen.keys() - active:
                del seen[run_id]
