"""Keep a child alive, and listen to what this process is told meanwhile."""

import logging
import signal
import time
from dataclasses import dataclass

from mailrewind.ports import Process

from . import children
from .children import Program

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.2

_HEALTHY_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 60.0


class StopAsked(BaseException):
    """An operator, or systemd, wants the stack down; not an error."""


class Signals:
    """Counts what this process is told: stop, stop at once, take a new worker."""

    def __init__(self) -> None:
        self.stops = 0
        self.restarts = 0

    def listen(self) -> None:
        """Handle signals from now on; children get the defaults back, as exec does it."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._restart)

    def pause(self, seconds: float) -> None:
        """Sleep.

        Raises:
            StopAsked: As soon as somebody wants the stack down.
        """
        last = time.monotonic() + seconds
        while (left := last - time.monotonic()) > 0:
            if self.stops:
                raise StopAsked
            time.sleep(min(TICK_SECONDS, left))

    def _stop(self, *_: object) -> None:
        self.stops += 1

    def _restart(self, *_: object) -> None:
        self.restarts += 1


@dataclass(slots=True)
class Kept:
    """A child that is started again whenever it dies, with growing pauses.

    Attributes:
        program: How to start it.
        process: The living one, or the last one.
        began: When it was started or taken over, on the monotonic clock.
        failures: How often it died without having lived for a while.
        not_before: When it may be started again.
    """

    program: Program
    process: Process | None = None
    began: float = 0.0
    failures: int = 0
    not_before: float = 0.0

    def start(self) -> None:
        """Start it."""
        self.process = children.start(self.program)
        self.began = time.monotonic()
        self.not_before = 0.0

    def adopt(self, process: Process) -> None:
        """Keep one that runs already."""
        self.process = process
        self.began = time.monotonic()

    def tend(self) -> bool:
        """Start it again if it has died and the pause is over; return whether it was started."""
        now = time.monotonic()
        if children.is_running(self.process):
            if now - self.began > _HEALTHY_SECONDS:
                self.failures = 0
            return False
        if not self.not_before:
            seconds = min(_LONGEST_PAUSE_SECONDS, 0.5 * 2**self.failures)
            self.failures += 1
            self.not_before = now + seconds
            logger.warning("the %s has died; it starts again in %g s", self.program.name, seconds)
        if now < self.not_before:
            return False
        self.start()
        return True
