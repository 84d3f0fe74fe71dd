"""Bring the server's deployments to what prefect.yaml and the configuration declare.

`python -m deployments.apply [--config FILE] [--dry-run]`; `mailrewind deploy` and `mailrewind up`
call it. Only what differs is written, so a second call writes nothing: every write of a deployment
throws its future runs away and lets the scheduler make them again.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mailrewind.config import Config, load
from mailrewind.errors import MailrewindError, StackError

from . import pool
from .api import Api, ApiRefused
from .declaration import Deployment, Json, Schedule, declared, declared_flows
from .difference import Difference, Found, difference, read


def apply(config: Config, api: Api, *, dry_run: bool = False) -> Difference:
    """Make the server have what is declared, and return what that took.

    Args:
        config: Whose systems are filled in.
        api: The server's.
        dry_run: Only find out.

    Raises:
        StackError: The declaration cannot be read, the pool is missing, or the server refuses.
    """
    wanted = declared(config)
    found = read(api, declared_flows())
    needed = difference(wanted, found, pool=config.prefect.pool)
    if dry_run or needed.is_empty:
        return needed
    _require_pool(api, config)
    for deployment in needed.new:
        _create(api, deployment)
    for there, deployment in needed.changed:
        _change(api, there, deployment)
    for there in needed.gone:
        api.delete(f"/deployments/{there.id}")
    return needed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a command; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="mailrewind deploy", description="Tell Prefect our deployments."
    )
    parser.add_argument("--config", type=Path, help="path of mailrewind.yaml")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the difference, change nothing"
    )
    given = parser.parse_args(arguments)
    try:
        config = load(given.config)
        done = apply(config, Api.of(config), dry_run=given.dry_run)
    except MailrewindError as error:
        print(f"{error} {error.advice}".strip(), file=sys.stderr)
        return error.exit_code
    for line in done.lines():
        print(line)
    verb = "to create" if given.dry_run else "created"
    changed, removed = ("to change", "to remove") if given.dry_run else ("changed", "removed")
    print(
        f"{len(done.new)} {verb}, {len(done.changed)} {changed}, {len(done.gone)} {removed}, "
        f"{done.unchanged} as declared"
    )
    return 0


def _require_pool(api: Api, config: Config) -> None:
    """See that the pool is there, and its queues as `mailrewind up` makes them."""
    name = config.prefect.pool
    try:
        api.get(f"/work_pools/{name}")
    except ApiRefused as error:
        if error.status != 404:
            raise
        raise StackError(
            f"The Prefect server has no work pool {name!r}.",
            advice="`mailrewind up` makes it, with a template that runs nothing but our flows.",
        ) from error
    pool.ensure_queues(api, config)


def _create(api: Api, deployment: Deployment) -> None:
    flow = api.post("/flows/", {"name": deployment.flow})
    api.post(
        "/deployments/",
        _body(deployment)
        | {
            "flow_id": flow["id"],
            "name": deployment.name,
            "schedules": [_schedule_body(schedule) for schedule in deployment.schedules],
        },
    )


def _change(api: Api, there: Found, deployment: Deployment) -> None:
    """Patch: a schedule of the same slug keeps its id, and an unchanged one is not touched."""
    slugs = {schedule.slug for schedule in deployment.schedules}
    kept: set[str] = set()
    for slug, schedule_id in there.schedule_ids:
        if slug in slugs and slug not in kept:
            kept.add(slug)
        else:
            api.delete(f"/deployments/{there.id}/schedules/{schedule_id}")
    body = _body(deployment)
    if there.deployment.schedules != deployment.schedules:
        body["schedules"] = [_schedule_body(schedule) for schedule in deployment.schedules]
    if there.deployment.limit is None:
        # A limit that was switched off is only switched on again by making it anew.
        api.patch(f"/deployments/{there.id}", {"concurrency_limit": None})
    api.patch(f"/deployments/{there.id}", body)


def _body(deployment: Deployment) -> Json:
    return {
        "entrypoint": deployment.entrypoint,
        "description": deployment.description,
        "tags": list(deployment.tags),
        "work_pool_name": deployment.pool,
        "work_queue_name": deployment.queue,
        "concurrency_limit": deployment.limit,
        "concurrency_options": {"collision_strategy": deployment.collision},
        "parameter_openapi_schema": deployment.schema,
        "parameters": deployment.parameters,
        "enforce_parameter_schema": deployment.enforces_schema,
        "paused": deployment.is_paused,
        "pull_steps": list(deployment.pull_steps),
        "job_variables": deployment.job_variables,
        "path": deployment.path,
        "storage_document_id": None,
        "infrastructure_document_id": None,
    }


def _schedule_body(schedule: Schedule) -> Json:
    return {
        "slug": schedule.slug,
        "active": schedule.active,
        "schedule": {"cron": schedule.cron, "timezone": schedule.time_zone, "day_or": True},
        "parameters": schedule.parameters,
    }


if __name__ == "__main__":
    sys.exit(main())
