"""What a supervisor writes down about itself, so that others can find it, ask it and clean up."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from mailrewind.errors import StackError
from mailrewind.ports import Process

UP_LOG = "up.log"  # what the supervisor says, for `up` and `down` to pass on

Status = Literal["starting", "ready", "draining", "failed"]


@dataclass(frozen=True, slots=True)
class Record:
    """The stack as its supervisor last wrote it down.

    Attributes:
        status: How far it is.
        fingerprint: Of everything that its children were started with.
        supervisor: Who keeps the others alive.
        server: Prefect's server.
        worker: Takes new runs.
        retiring: Workers that take no new runs and finish theirs.
        message: Why it failed, or "".
        advice: What to do about it, or "".
    """

    status: Status
    fingerprint: str
    supervisor: Process
    server: Process | None = None
    worker: Process | None = None
    retiring: tuple[Process, ...] = field(default=())
    message: str = ""
    advice: str = ""

    @property
    def workers(self) -> tuple[Process, ...]:
        """All workers that may have runs."""
        return (*self.retiring, self.worker) if self.worker else self.retiring


def write(place: Path, record: Record) -> None:
    """Write the record, whole or not at all."""
    unfinished = place / ".stack.json"
    unfinished.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    unfinished.rename(place / "stack.json")


def read(place: Path) -> Record | None:
    """Return the record; None if there is none that makes sense."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        raw = json.loads((place / "stack.json").read_text(encoding="utf-8"))
        return Record(
            status=raw["status"],
            fingerprint=raw["fingerprint"],
            supervisor=Process(**raw["supervisor"]),
            server=_process(raw["server"]),
            worker=_process(raw["worker"]),
            retiring=tuple(Process(**each) for each in raw["retiring"]),
            message=raw["message"],
            advice=raw["advice"],
        )
    return None


def remove(place: Path) -> None:
    """Remove the record: nothing of ours runs any more."""
    (place / "stack.json").unlink(missing_ok=True)


@contextmanager
def sole_supervisor(place: Path) -> Iterator[None]:
    """Be the only supervisor of a data directory; a killed one lets go by itself.

    Raises:
        StackError: Another one lives.
    """
    handle = os.open(place / "supervisor.lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(
                f"Another supervisor keeps the stack of {place}.",
                advice="See `mailrewind status`; `mailrewind down` stops it.",
            ) from error
        yield
    finally:
        os.close(handle)


def _process(raw: Mapping[str, Any] | None) -> Process | None:
    return Process(**raw) if raw else None
