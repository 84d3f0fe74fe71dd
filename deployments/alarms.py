"""Alarms of runs that failed: one for each failure, until it is made good.

A backup that fails leaves word twice, as a run in Prefect and as a failed point in the state. Then
the alarm is the one of the point, by the same key, so that whoever looks first tells it and nobody
tells it again. A run that died before there was a point has an alarm of its own.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from mailrewind.model.points import PointStatus
from mailrewind.ports import State
from mailrewind.services.watch import Watch

from . import runs
from .api import Api, ApiRefused
from .runs import Run

_LOOK_BACK = timedelta(hours=1)
# A restore that failed is hardly ever repeated in the same words: it is history then.
_FORGET_AFTER = timedelta(days=1)
# The process of a run outlives its last word by a moment.
_SETTLED_AFTER = timedelta(seconds=10)
_RUN = "run:"
_POINT = "failed:"  # as `Watch` calls a failed point of a system; it also ends that alarm
_NOISE = re.compile(r"(?:Flow|Task) run encountered an exception:? (?:\w+: )?")


def tell_failures(api: Api, pool: str, watch: Watch, state: State, *, now: datetime) -> None:
    """Tell each failed or crashed run of a pool once; of a system's backups only the first.

    Raises:
        StackError: The API does not answer or refuses.
        NotificationFailed: Nobody could be told; the next call tries again.
    """
    told = _end_mended(api, watch, state, now)
    failed = runs.failed(api, pool, now - _LOOK_BACK)
    for run in sorted(failed, key=lambda run: run.since, reverse=True):
        if run.since > now - _SETTLED_AFTER or _is_mended(api, run):
            continue
        if _left_a_point(state, run):
            watch.tell(f"{_POINT}{run.system}", _text(run))
        elif not _is_known(run, told):
            told.append(run)
            watch.tell(f"{_RUN}{run.id}", _text(run))


def _end_mended(api: Api, watch: Watch, state: State, now: datetime) -> list[Run]:
    """End the alarms of runs that were made good; return the runs of the others."""
    still: list[Run] = []
    for key, (text, _) in state.alarms().items():
        if not key.startswith(_RUN):
            continue
        try:
            run = runs.read(api, key.removeprefix(_RUN))
        except ApiRefused as error:
            if error.status != 404:
                raise
            state.end_alarm(key)  # Prefect keeps its history for two weeks
            continue
        if _is_mended(api, run):
            watch.end(key, text)
        elif not run.system and now - run.since > _FORGET_AFTER:
            state.end_alarm(key)
        else:
            still.append(run)
    return still


def _is_mended(api: Api, run: Run) -> bool:
    """Whether the same thing has been done since: a backup, or a run of the same name.

    All restores belong to one deployment, so another mailbox's would not do.
    """
    if run.deployment_id is None:
        return False
    return any(
        other.since > run.since and (bool(run.system) or other.name == run.name)
        for other in runs.of_deployment(api, run.deployment_id, ["COMPLETED"])
    )


def _left_a_point(state: State, run: Run) -> bool:
    """Whether the state says that this run failed; if its process just died, say it there now."""
    if not run.system:
        return False
    began = run.began.replace(microsecond=0)  # as points are named
    for point in state.dead_points(run.system):
        if point.status is PointStatus.MAKING and point.taken_at >= began:
            state.end_point(point.name, PointStatus.FAILED, run.since)
    failed = state.points(run.system, (PointStatus.FAILED,))
    return any(point.taken_at >= began for point in failed)


def _is_known(run: Run, told: Sequence[Run]) -> bool:
    """Whether this failure is told: a backup that fails is tried again, four times an hour."""
    return any(
        run.id == other.id or (run.system and run.deployment_id == other.deployment_id)
        for other in told
    )


def _text(run: Run) -> str:
    # A run that died before its first step still bears the name that Prefect made up, one word.
    named = run.name if " " in run.name or not run.system else f"the backup of {run.system}"
    return f"{named} {run.state.lower()}: {' '.join(_NOISE.sub('', run.message).split())}"
