"""Leases: one row per mailbox, or whole system, that a restore works on."""

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from mailrewind.errors import (
    LeaseHeld,
    MailrewindError,
    RecordsError,
    RestoreError,
    SystemHeld,
)
from mailrewind.ports import WHOLE_SYSTEM, Lease
from mailrewind.state.liveness import Liveness, Renewals, process_of
from mailrewind.state.schema import lease
from mailrewind.transports.database import Database

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.25

# Tokens that this process holds or is about to take. A row of ours with another token was left
# behind when it could not be released, on a full disk for example.
_held_here: set[str] = set()


class Leases:
    """The rows of leases."""

    def __init__(self, database: Database, liveness: Liveness, renewals: Renewals) -> None:
        self._database = database
        self._liveness = liveness
        self._renewals = renewals

    @contextmanager
    def hold(self, system: str, mailbox: str, holder: str, wait: timedelta) -> Iterator[None]:
        """Hold a lease; see ``ports.State``."""
        token = secrets.token_hex(8)
        _held_here.add(token)
        is_taken = True  # until the contrary is known: an interrupt may come at any time
        try:
            try:
                self._take(system, mailbox, holder, token, wait)
            except MailrewindError:
                is_taken = False
                raise
            self._renewals.begin(token, lambda: self._renew(token))
            yield
        finally:
            self._renewals.end(token)
            _held_here.discard(token)
            if is_taken:
                self._release(token)

    def held(self) -> Sequence[Lease]:
        """Return the leases of living processes."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(lease).order_by(lease.c.since, lease.c.system, lease.c.mailbox)
            ).all()
        return [_lease(row) for row in rows if self._is_held(row)]

    def _take(self, system: str, mailbox: str, holder: str, token: str, wait: timedelta) -> None:
        deadline = time.monotonic() + wait.total_seconds()
        while (other := self._try_to_take(system, mailbox, holder, token)) is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _refusal(other)
            time.sleep(min(_POLL_SECONDS, left))

    def _try_to_take(self, system: str, mailbox: str, holder: str, token: str) -> Lease | None:
        """Take the lease and return None, or return the lease that stands in the way."""
        key = (lease.c.system == system, lease.c.mailbox == mailbox)
        values = {
            "holder": holder,
            "token": token,
            "since": self._liveness.now(),
            **self._liveness.signature(self._liveness.process),
        }
        with self._database.write() as connection:
            row = connection.execute(select(lease).where(*key)).one_or_none()
            if row is None:
                connection.execute(insert(lease).values(system=system, mailbox=mailbox, **values))
                return None
            if self._is_held(row):
                return _lease(row)
            logger.warning("taking over the lease on %s from %s, who is gone", mailbox, row.holder)
            connection.execute(update(lease).where(*key, lease.c.token == row.token).values(values))
            return None

    def _is_held(self, row: Row[Any]) -> bool:
        if process_of(row) == self._liveness.process:
            return row.token in _held_here
        return self._liveness.is_living(row)

    def _renew(self, token: str) -> None:
        with self._database.write() as connection:
            connection.execute(
                update(lease).where(lease.c.token == token).values(renewed=self._liveness.now())
            )

    def _release(self, token: str) -> None:
        try:
            with self._database.write() as connection:
                connection.execute(delete(lease).where(lease.c.token == token))
        except RecordsError as error:
            # The restore is over and must be told as it went; the row is known to be stale, here
            # by its token and elsewhere when this process has ended.
            logger.warning("a lease could not be released and will be taken over: %s", error)


def _refusal(held: Lease) -> RestoreError:
    by = (
        f"is held by {held.holder} (process {held.process.pid} on {held.process.host}) since "
        f"{held.since:%Y-%m-%d %H:%M:%S %Z}"
    )
    if held.mailbox == WHOLE_SYSTEM:
        return SystemHeld(f"The whole system {held.system} {by}")
    return LeaseHeld(f"The mailbox {held.mailbox} on {held.system} {by}")


def _lease(row: Row[Any]) -> Lease:
    return Lease(row.system, row.mailbox, row.holder, row.since, process_of(row))
