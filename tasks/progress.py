"""How far a step has come, as a progress artifact of its run."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from mailrewind.ports import Progress, Report
from tasks.words import size

logger = logging.getLogger(__name__)

# One update costs some 10 ms of the server's single thread.
SECONDS_BETWEEN_UPDATES = 3.0


@contextmanager
def shown_progress(description: str) -> Iterator[Report]:
    """Give a callable that shows progress in Prefect, at most every three seconds.

    Nobody's backup fails because a picture of it could not be drawn: the first failure is logged,
    and nothing is shown from then on.
    """
    artifact = _ProgressArtifact(description)
    yield artifact.show
    artifact.finish()


class _ProgressArtifact:
    def __init__(self, description: str) -> None:
        self._description = description
        self._id: UUID | None = None
        self._next_update = 0.0
        self._is_broken = False

    def show(self, progress: Progress) -> None:
        if self._is_broken or time.monotonic() < self._next_update:
            return
        self._write(_percent(progress), f"{self._description}: {described(progress)}")
        self._next_update = time.monotonic() + SECONDS_BETWEEN_UPDATES

    def finish(self) -> None:
        if self._id is not None and not self._is_broken:
            self._write(100.0, f"{self._description}: done")

    def _write(self, percent: float, text: str) -> None:
        try:
            if self._id is None:
                made = create_progress_artifact(progress=percent, description=text)
                self._id = cast(UUID, made)  # typed for coroutines too, which a step is not
            else:
                update_progress_artifact(self._id, progress=percent, description=text)
        except Exception as error:  # Prefect's client raises what httpx and the server make up
            self._is_broken = True
            logger.warning("progress is no longer shown: %s", error)


def described(progress: Progress) -> str:
    """Say how far it has come, such as "reading mail, 1.2 of 7.8 GiB".

    V2 of the UI draws no bar for a progress artifact: the text must say everything.
    """
    if progress.unit == "bytes":
        done = size(progress.done)
        total = None if progress.total is None else size(progress.total)
    else:
        done = f"{progress.done:,}"
        total = None if progress.total is None else f"{progress.total:,} {progress.unit}"
    amount = f"{done} of {total}" if total is not None else f"{done} {progress.unit}"
    if progress.unit == "bytes" and total is None:
        amount = done
    return f"{progress.text}, {amount}" if progress.text else amount


def _percent(progress: Progress) -> float:
    if not progress.total:
        return 0.0
    return min(100.0, 100.0 * progress.done / progress.total)
