"""Prove that a schedule becomes a run.

With SQLAlchemy 2.1 Prefect's server starts, is healthy, shows its pages, and never schedules
anything; only its log says so. Nobody would notice before the first backup is missed.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from mailrewind.errors import StackError

from .api import Api

PATIENCE_SECONDS = 30.0
_NAME = "mailrewind-self-test"


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A schedule that was planted, to see whether it bears a run.

    Attributes:
        flow_id: Of the throw-away flow.
        deployment_id: Of the throw-away deployment; it has no pool, so nothing can run it.
        began: On the monotonic clock, seconds.
    """

    flow_id: str
    deployment_id: str
    began: float


def plant(api: Api) -> SelfTest:
    """Create a throw-away deployment whose schedule is far from due.

    Raises:
        StackError: The API does not answer or refuses.
    """
    for left in api.post("/deployments/filter", {"deployments": {"name": {"any_": [_NAME]}}}):
        _remove(api, left["flow_id"], left["id"])  # of a start that was broken off
    flow = api.post("/flows/", {"name": f"{_NAME}-{uuid.uuid4().hex[:12]}"})
    deployment = api.post(
        "/deployments/",
        {
            "name": _NAME,
            "flow_id": flow["id"],
            "schedules": [{"schedule": {"interval": 86400}, "active": True}],
        },
    )
    return SelfTest(flow["id"], deployment["id"], time.monotonic())


def harvest(
    api: Api,
    test: SelfTest,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    pause: Callable[[float], None] = time.sleep,
) -> float:
    """Wait for the run, remove everything of the test, and return how long it took.

    Raises:
        StackError: No run came.
    """
    try:
        while not _has_run(api, test):
            if time.monotonic() - test.began > patience_seconds:
                raise StackError(
                    f"Prefect's server made no run of a schedule within {patience_seconds:g} s, so "
                    "no backup would ever start.",
                    advice="Most likely SQLAlchemy 2.1 is installed, which Prefect 3.8 cannot use: "
                    'pip install "sqlalchemy>=2.0,<2.1", or install from the lock file.',
                )
            pause(0.5)
        return time.monotonic() - test.began
    finally:
        _remove(api, test.flow_id, test.deployment_id)


def _has_run(api: Api, test: SelfTest) -> bool:
    return bool(
        api.post(
            "/flow_runs/filter",
            {
                "flow_runs": {
                    "deployment_id": {"any_": [test.deployment_id]},
                    "state": {"type": {"any_": ["SCHEDULED"]}},
                },
                "limit": 1,
            },
        )
    )


def _remove(api: Api, flow_id: str, deployment_id: str) -> None:
    # A deployment takes its scheduled runs along.
    api.delete(f"/deployments/{deployment_id}")
    api.delete(f"/flows/{flow_id}")
