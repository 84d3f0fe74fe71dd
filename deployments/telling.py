"""Tell the operators of runs that failed, and forget those that were made good since."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from mailrewind.ports import State
from mailrewind.services.watch import Watch

from . import runs
from .api import Api, ApiRefused
from .runs import Run

_LOOK_BACK = timedelta(hours=1)
_PREFIX = "run:"
_ENDED = ("COMPLETED", "FAILED", "CRASHED")


def tell_failures(api: Api, pool: str, watch: Watch, state: State, *, now: datetime) -> None:
    """Tell each failed or crashed run of a pool once.

    Raises:
        StackError: The API does not answer or refuses.
        NotificationFailed: Nobody could be told; the next call tries again.
    """
    _forget_mended(api, state)
    for run in runs.failed(api, pool, now - _LOOK_BACK):
        if not _is_mended(api, run):
            watch.tell(f"{_PREFIX}{run.id}", f"{run.name} {run.state.lower()}: {run.message}")


def _forget_mended(api: Api, state: State) -> None:
    for key in _told(state.alarms()):
        try:
            run = runs.read(api, key.removeprefix(_PREFIX))
        except ApiRefused as error:
            if error.status != 404:
                raise
            state.end_alarm(key)  # Prefect keeps its history for two weeks
            continue
        if _is_mended(api, run):
            state.end_alarm(key)


def _told(alarms: Iterable[str]) -> list[str]:
    return [key for key in alarms if key.startswith(_PREFIX)]


def _is_mended(api: Api, run: Run) -> bool:
    """Whether the same deployment has completed since."""
    if run.deployment_id is None:
        return False
    ended = runs.of_deployment(api, run.deployment_id, _ENDED)
    return any(other.state == "COMPLETED" and other.since > run.since for other in ended)
