"""The flow runs of a pool, as Prefect's API tells of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .api import Api

ACTIVE = ("PENDING", "RUNNING", "CANCELLING")
SYSTEM_TAG = "system:"
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Run:
    """One flow run.

    Attributes:
        id: Prefect's id.
        name: As operators see it.
        deployment_id: What it runs; None for a run that belongs to no deployment.
        state: Type of its state, such as "RUNNING".
        state_name: Finer, such as "Late".
        message: What the state says, or "".
        since: When it entered that state, UTC.
        due: When it was to start, UTC.
        is_scheduled: Whether a schedule made it, rather than a person.
        place: "host:pid" of its process as our worker notes it, or "".
        began: When it first ran, UTC; when it entered its state if it never did.
        system: The mail system whose backup it is, as its deployment's tag says, or "".
    """

    id: str
    name: str
    deployment_id: str | None
    state: str
    state_name: str
    message: str
    since: datetime
    due: datetime
    is_scheduled: bool
    place: str
    began: datetime
    system: str


def read(api: Api, run_id: str) -> Run:
    """Return one run.

    Raises:
        ApiUnreachable: Nobody answers.
        ApiRefused: There is no such run, or another error.
    """
    return _parsed(api.get(f"/flow_runs/{run_id}"))


def active(api: Api, pool: str) -> Sequence[Run]:
    """Return the runs of a pool that have, or should have, a process."""
    return _of_pool(api, pool, {"state": {"type": {"any_": list(ACTIVE)}}})


def late(api: Api, pool: str, before: datetime) -> Sequence[Run]:
    """Return the runs of a pool that wait although their moment has passed, oldest first."""
    return _of_pool(
        api,
        pool,
        {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "expected_start_time": {"before_": before.isoformat()},
        },
        sort="EXPECTED_START_TIME_ASC",
    )


def failed(api: Api, pool: str, since: datetime) -> Sequence[Run]:
    """Return the runs of a pool that failed or crashed since a moment."""
    return _of_pool(
        api,
        pool,
        {
            "state": {"type": {"any_": ["FAILED", "CRASHED"]}},
            "end_time": {"after_": since.isoformat()},
        },
    )


def of_deployment(
    api: Api, deployment_id: str, states: Iterable[str], *, before: datetime | None = None
) -> Sequence[Run]:
    """Return the newest runs of a deployment in these states, by due moment, newest first."""
    condition: dict[str, Any] = {
        "deployment_id": {"any_": [deployment_id]},
        "state": {"type": {"any_": list(states)}},
    }
    if before:
        condition["expected_start_time"] = {"before_": before.isoformat()}
    answer = api.post(
        "/flow_runs/filter",
        {"flow_runs": condition, "sort": "EXPECTED_START_TIME_DESC", "limit": 20},
    )
    return [_parsed(each) for each in answer]


def set_state(api: Api, run_id: str, kind: str, message: str, *, force: bool = False) -> bool:
    """Propose a state; return whether the server took it.

    Args:
        api: Prefect's.
        run_id: Which run.
        kind: Type of the state, such as "CRASHED".
        message: For the run's page.
        force: Pass over Prefect's rules, such as that an ended run has ended.
    """
    state = {"type": kind, "name": kind.capitalize(), "message": message}
    answer = api.post(f"/flow_runs/{run_id}/set_state", {"state": state, "force": force})
    return bool(answer["status"] == "ACCEPT")


def _of_pool(
    api: Api, pool: str, condition: Mapping[str, Any], *, sort: str = "ID_DESC"
) -> list[Run]:
    found: list[Run] = []
    while True:
        answer = api.post(
            "/flow_runs/filter",
            {
                "flow_runs": condition,
                "work_pools": {"name": {"any_": [pool]}},
                "sort": sort,
                "limit": _PAGE,
                "offset": len(found),
            },
        )
        found += [_parsed(each) for each in answer]
        if len(answer) < _PAGE:
            return found


def _parsed(raw: Mapping[str, Any]) -> Run:
    state = raw.get("state") or {}
    since = datetime.fromisoformat(state.get("timestamp") or raw["created"])
    began = raw.get("start_time")
    systems = [tag for tag in raw.get("tags") or [] if tag.startswith(SYSTEM_TAG)]
    return Run(
        id=raw["id"],
        name=raw["name"],
        deployment_id=raw.get("deployment_id"),
        state=raw.get("state_type") or "",
        state_name=raw.get("state_name") or "",
        message=state.get("message") or "",
        since=since,
        due=datetime.fromisoformat(raw.get("expected_start_time") or raw["created"]),
        is_scheduled=bool(raw.get("auto_scheduled")),
        place=raw.get("infrastructure_pid") or "",
        began=datetime.fromisoformat(began) if began else since,
        system=systems[0].removeprefix(SYSTEM_TAG) if systems else "",
    )
