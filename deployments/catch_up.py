"""After an outage: exactly one backup of each system whose newest restore point is too old.

Prefect keeps up to three runs per schedule in store and would start all of them at once, and knows
nothing of those it never made. So what is in store is cut down to one, and what is missing is
judged by the state, not by Prefect's memory.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from . import runs
from .api import Api, ApiRefused

logger = logging.getLogger(__name__)

_LATE_AFTER = timedelta(seconds=30)
_SOON = timedelta(minutes=1)
_NOT_AGAIN_FOR = timedelta(minutes=15)
_WAITING = frozenset({"Scheduled", "Late"})
_ENDED = ("FAILED", "CRASHED", "COMPLETED")


def _now() -> datetime:
    return datetime.now(UTC)


def collapse(api: Api, pool: str, *, now: datetime) -> Sequence[str]:
    """Cancel all but the newest of the overdue scheduled runs of each deployment.

    Returns:
        The names of the cancelled runs.

    Raises:
        StackError: The API does not answer or refuses.
    """
    waiting = defaultdict(list)
    for run in runs.late(api, pool, now - _LATE_AFTER):
        # A run that waits for its own retry, or for an answer, is no missed one.
        if run.is_scheduled and run.state_name in _WAITING:
            waiting[run.deployment_id].append(run)
    superfluous = [run for late in waiting.values() for run in late[:-1]]
    for run in superfluous:
        logger.info("%s is superfluous: a later run of the same schedule is waiting", run.name)
        runs.set_state(api, run.id, "CANCELLED", "A later run of the same schedule covers it.")
    return [run.name for run in superfluous]


def catch_up(
    api: Api, overdue: Iterable[str], *, clock: Callable[[], datetime] = _now
) -> Sequence[str]:
    """Start one backup of each overdue system, unless one runs, is about to, or has just failed.

    Args:
        api: Prefect's.
        overdue: Names of systems.
        clock: Says what time it is.

    Returns:
        The systems whose backup was started.

    Raises:
        StackError: The API does not answer or refuses.
    """
    return [system for system in overdue if _start(api, system, clock())]


def _start(api: Api, system: str, now: datetime) -> bool:
    deployment = _deployment(api, system)
    if deployment is None or _is_waited_for(api, deployment, now):
        return False
    ended = runs.of_deployment(api, deployment, _ENDED)
    if any(now - run.since < _NOT_AGAIN_FOR for run in ended[:3]):
        return False
    logger.info("%s has no recent restore point: a backup starts now", system)
    last = ended[0].id if ended else "none"
    api.post(
        f"/deployments/{deployment}/create_flow_run",
        {
            # Two supervisors, or one that was restarted, ask for the same run.
            "idempotency_key": f"catch-up-{system}-after-{last}",
            "tags": ["catch-up"],
            "state": {
                "type": "SCHEDULED",
                "name": "Scheduled",
                "message": "The newest restore point is older than the schedule allows.",
            },
        },
    )
    return True


def _deployment(api: Api, system: str) -> str | None:
    """Return the id of a system's backup; None while there is none, or an operator paused it."""
    try:
        deployment = api.get(f"/deployments/name/backup/{system}")
    except ApiRefused as error:
        if error.status == 404:
            return None
        raise
    return None if deployment["paused"] else str(deployment["id"])


def _is_waited_for(api: Api, deployment: str, now: datetime) -> bool:
    return bool(
        runs.of_deployment(api, deployment, runs.ACTIVE)
        or runs.of_deployment(api, deployment, ["SCHEDULED"], before=now + _SOON)
    )
