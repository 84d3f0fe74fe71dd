"""What the tests of the running side ask Prefect, again and again."""

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from deployments import runs
from deployments.api import Api
from deployments.runs import Run

T = TypeVar("T")

ENDED = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


def eventually(ask: Callable[[], T | None], *, seconds: float, what: str) -> T:
    """Return the first answer that is something."""
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        if answer := ask():
            return answer
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def deployment_id(api: Api, name: str) -> str:
    return str(api.get(f"/deployments/name/{name}")["id"])


def plant(api: Api, **fields: Any) -> str:
    """Create a deployment in the pool as an attacker would; return its id."""
    flow = api.post("/flows/", {"name": f"planted-{uuid.uuid4().hex[:8]}"})
    body = {"name": "planted", "flow_id": flow["id"], "work_pool_name": "mail", **fields}
    return str(api.post("/deployments/", body)["id"])


def start(api: Api, deployment: str, **fields: Any) -> str:
    """Create a run of a deployment; return its id."""
    return str(api.post(f"/deployments/{deployment}/create_flow_run", fields)["id"])


def await_state(api: Api, run_id: str, states: frozenset[str], *, seconds: float = 120) -> Run:
    def ask() -> Run | None:
        run = runs.read(api, run_id)
        return run if run.state in states else None

    return eventually(ask, seconds=seconds, what=f"{run_id} in {sorted(states)}")


def end_of(api: Api, run_id: str, *, seconds: float = 120) -> Run:
    return await_state(api, run_id, ENDED, seconds=seconds)


def request(system: str) -> Mapping[str, Any]:
    return {"request": {"system": system}}
