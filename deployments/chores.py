"""What is looked after every minute while the stack runs."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mailrewind.config import Config, load
from mailrewind.errors import ConfigurationError, MailrewindError

from . import catch_up
from .alarms import tell_failures
from .api import Api

if TYPE_CHECKING:
    from mailrewind.wiring import Services

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 60.0
# After an outage every system is overdue; the backups that mend it begin only now.
_QUIET_SECONDS = 120.0


def now_utc() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def watch_for_ever(config: Config) -> None:
    """Catch up, and tell what is wrong, every minute; whatever happens, go on."""
    watching = _Watching(config)
    while True:
        for chore in (watching.catch_up, watching.tell_runs, watching.check):
            _carry_out(chore)
        time.sleep(_EVERY_SECONDS)


class Wired:
    """The services, wired again when the configuration has changed.

    A configuration that cannot be used must not silence the alarms, least of all those of the runs
    that fail of it: what was in force before stays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: float | None = None
        self._services: Services | None = None

    def services(self) -> "Services":
        """Return them.

        Raises:
            MailrewindError: They cannot be wired, and never were.
        """
        changed = self._path.stat().st_mtime if self._path.is_file() else None
        if self._services is None or changed != self._read_at:
            from mailrewind.wiring import wire  # a second of imports that `up` need not wait for

            try:
                self._services = wire(load(self._path))
            except ConfigurationError as error:
                if self._services is None:
                    raise
                logger.warning("the configuration of before stays in force: %s", error)
            self._read_at = changed
        return self._services


class _Watching:
    """The chores, over what they need."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._began = time.monotonic()
        self._wired = Wired(config.path)

    def catch_up(self) -> None:
        services, api = self._wired.services(), Api.of(self._config)
        catch_up.collapse(api, self._config.prefect.pool, now=now_utc())
        catch_up.catch_up(api, services.watch.overdue())

    def tell_runs(self) -> None:
        services = self._wired.services()
        tell_failures(
            Api.of(self._config),
            self._config.prefect.pool,
            services.watch,
            services.state,
            now=now_utc(),
        )

    def check(self) -> None:
        if time.monotonic() - self._began < _QUIET_SECONDS:
            return
        self._wired.services().watch.check()


def _carry_out(chore: Callable[[], None]) -> None:
    try:
        chore()
    except MailrewindError as error:
        logger.warning("%s: %s %s", chore.__name__, error, error.advice)
    except Exception:  # one broken chore must not end the others
        logger.exception("%s failed", chore.__name__)
