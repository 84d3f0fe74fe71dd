"""Who may work on what: on one mailbox, or on a whole system while nothing else does.

Whoever works on a part takes its own row first (a lease, the row of a backup) and then looks for
the system's lease; whoever wants the system takes that first and then looks for the others. So at
least one of two that begin together sees the other.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from mailrewind.errors import BackupRunning, LeaseHeld, MailrewindError, SystemHeld
from mailrewind.ports import WHOLE_SYSTEM, State

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.25


def refuse_while_held(state: State, system: str) -> None:
    """Refuse to begin anything on a system that a restore holds as a whole.

    Raises:
        SystemHeld: Names the holder.
    """
    for lease in state.leases():
        if (lease.system, lease.mailbox) == (system, WHOLE_SYSTEM):
            raise SystemHeld(
                f"The whole system {system} is held by {lease.holder} (process "
                f"{lease.process.pid} on {lease.process.host})."
            )


@contextmanager
def hold_mailbox(
    state: State, system: str, *, mailbox: str, holder: str, wait: timedelta
) -> Iterator[None]:
    """Hold one mailbox, which may be waited for.

    Raises:
        LeaseHeld: Another restore works on the mailbox, still after ``wait``.
        SystemHeld: A restore holds the whole system; that is not waited for.
    """
    refuse_while_held(state, system)
    with state.lease(system, mailbox, holder, wait=wait):
        refuse_while_held(state, system)
        yield


@contextmanager
def hold_system(state: State, system: str, *, holder: str, wait: timedelta) -> Iterator[None]:
    """Hold a whole system; what runs on it is waited for, and nothing new begins.

    Raises:
        SystemHeld: Another restore holds it, still after ``wait``.
        LeaseHeld, BackupRunning: What ran on it has not ended within ``wait``.
    """
    with state.lease(system, WHOLE_SYSTEM, holder, wait=wait):
        deadline = time.monotonic() + wait.total_seconds()
        told: set[str] = set()
        while (obstacle := _obstacle(state, system)) is not None:
            if str(obstacle) not in told:
                logger.info("waiting: %s", obstacle)
                told.add(str(obstacle))
            left = deadline - time.monotonic()
            if left <= 0:
                raise obstacle
            time.sleep(min(_POLL_SECONDS, left))
        yield


def _obstacle(state: State, system: str) -> MailrewindError | None:
    for lease in state.leases():
        if lease.system == system and lease.mailbox != WHOLE_SYSTEM:
            return LeaseHeld(
                f"{system} cannot be held as a whole: {lease.holder} works on {lease.mailbox}."
            )
    for point, process in state.running_backups():
        if point.system == system:
            return BackupRunning(
                f"{system} cannot be held as a whole: {point.name} is being made by process "
                f"{process.pid} on {process.host}."
            )
    return None
