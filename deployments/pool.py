"""The work pool: how a flow run becomes a process, and what nobody may change about it."""

import os
from typing import Any

from mailrewind.config import Config

from .api import Api, ApiRefused

RESTORE_QUEUE = "restore"
BACKUP_QUEUE = "backup"

# Found through PATH, where the worker puts its own environment first: no path of one machine is
# stored. -P keeps the working directory from being searched for modules.
COMMAND = "python -P -m deployments.engine"


def template() -> dict[str, Any]:
    """Return the pool's base job template, which leaves nothing to be set from outside.

    `env` is left out rather than fixed: Prefect merges a run's own `env` into one that is a
    mapping, variable or not. Without output streaming a run survives its worker, and the worker
    notices a killed run at once instead of waiting for borg to close the pipe.
    """
    return {
        "job_configuration": {"command": COMMAND, "stream_output": False},
        "variables": {"type": "object", "properties": {}, "additionalProperties": False},
    }


def worker_limit(config: Config) -> int:
    """Return how many runs one worker may have at a time: their start costs CPU."""
    return config.prefect.worker_limit or max(2, 2 * (os.cpu_count() or 1))


def ensure(api: Api, config: Config) -> None:
    """Create the pool and its queues, or put them back as they should be.

    A pool that an operator has paused stays paused.
    """
    name = config.prefect.pool
    try:
        api.get(f"/work_pools/{name}")
    except ApiRefused as error:
        if error.status != 404:
            raise
        api.post(
            "/work_pools/",
            {"name": name, "type": "process", "base_job_template": template()},
        )
    else:
        api.patch(f"/work_pools/{name}", {"base_job_template": template()})
    ensure_queues(api, config)


def ensure_queues(api: Api, config: Config) -> None:
    """Create the queues of the pool, or put them back as they should be.

    The queue of backups leaves one place free, so that a herd of them never delays a restore.
    """
    name = config.prefect.pool
    _ensure_queue(api, name, RESTORE_QUEUE, priority=1, limit=None)
    _ensure_queue(api, name, BACKUP_QUEUE, priority=2, limit=max(1, worker_limit(config) - 1))


def _ensure_queue(api: Api, pool: str, name: str, *, priority: int, limit: int | None) -> None:
    path = f"/work_pools/{pool}/queues"
    wanted = {"name": name, "priority": priority, "concurrency_limit": limit}
    try:
        queue = api.get(f"{path}/{name}")
    except ApiRefused as error:
        if error.status != 404:
            raise
        api.post(path, wanted)
        return
    if any(queue[key] != value for key, value in wanted.items()):
        api.patch(f"{path}/{name}", {**wanted, "is_paused": queue["is_paused"]})
