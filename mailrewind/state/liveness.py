"""Tell a living process from a dead one, and keep our own known to be living."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from mailrewind.errors import RecordsError
from mailrewind.ports import Process

logger = logging.getLogger(__name__)

STALE_AFTER = timedelta(hours=1)
RENEW_EVERY = timedelta(minutes=5)


class Liveness:
    """Judges the process that a row names.

    A process of this host is asked for. One of another host cannot be: it is dead when it has not
    renewed its row for an hour.
    """

    def __init__(
        self,
        process: Process,
        is_alive: Callable[[Process], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self.process = process
        self._is_alive = is_alive
        self._clock = clock

    def now(self) -> datetime:
        """Return the present moment."""
        return self._clock()

    def is_living(self, row: Row[Any]) -> bool:
        """Whether the process of a row still runs."""
        process = process_of(row)
        if process.host == self.process.host:
            return self._is_alive(process)
        renewed: datetime = row.renewed
        return self._clock() - renewed < STALE_AFTER

    def signature(self, process: Process) -> dict[str, Any]:
        """Return the columns that name a process, as of now."""
        return {
            "host": process.host,
            "pid": process.pid,
            "boot_id": process.boot_id,
            "started": process.started,
            "renewed": self._clock(),
        }


def process_of(row: Row[Any]) -> Process:
    """Return the process that a row names."""
    return Process(row.host, row.pid, row.boot_id, row.started)


class Renewals:
    """Renews what this process holds, in a thread of its own, for as long as it holds anything."""

    def __init__(self, every: timedelta = RENEW_EVERY) -> None:
        self._every = every
        self._lock = threading.Lock()
        self._held: dict[str, Callable[[], None]] = {}
        self._stop = threading.Event()

    def begin(self, key: str, renew: Callable[[], None]) -> None:
        """Call ``renew`` from time to time."""
        with self._lock:
            if not self._held:
                self._stop = threading.Event()
                # A daemon, so that what is held dies with the process instead of outliving it.
                threading.Thread(
                    target=self._run, args=(self._stop,), name="renewals", daemon=True
                ).start()
            self._held[key] = renew

    def end(self, key: str) -> None:
        """Stop calling it."""
        with self._lock:
            if self._held.pop(key, None) and not self._held:
                self._stop.set()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self._every.total_seconds()):
            with self._lock:
                held = list(self._held.values())
            for renew in held:
                try:
                    renew()
                except RecordsError as error:
                    # There are eleven more tries before anybody takes it for dead.
                    logger.warning("cannot renew what is held: %s", error)
