"""Our worker: Prefect's process worker, made deaf to what the API may say about execution.

Three things differ from `prefect worker start`. The command, environment and working directory of
a run are ours whatever the pool's template says by then. Hooks of cancelled and crashed runs, which
Prefect loads inside the worker, are loaded by the same rule as the flows, so no pull step runs
here. And the first SIGTERM drains: no new runs, the running ones end, then the worker does; Prefect
would kill them.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
from prefect.client.orchestration import get_client
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.runner._flow_run_executor import FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle
from prefect.runner._starter_engine import EngineCommandStarter
from prefect.utilities.asyncutils import run_sync_in_worker_thread
from prefect.workers.process import (
    ProcessJobConfiguration,
    ProcessWorker,
    ProcessWorkerResult,
)

from . import evidence
from .api import Api
from .entrypoints import permitted
from .pool import COMMAND
from .reaper import Reaper

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

_REAP_SECONDS = 30


class OwnWorker(ProcessWorker):
    """A process worker that runs our engine, and can be drained."""

    is_draining = False

    @classmethod
    def __dispatch_key__(cls) -> str:
        """Stand beside Prefect's own process worker in its registry, not in its place."""
        return "mailrewind"

    @property
    def has_runs(self) -> bool:
        """Whether a run of this worker has not ended yet."""
        return self.is_setup and self.limiter.borrowed_tokens > 0

    async def get_and_submit_flow_runs(self) -> list["FlowRun"]:
        """Take new runs, unless this worker is on its way out."""
        return [] if self.is_draining else await super().get_and_submit_flow_runs()

    async def run(
        self,
        flow_run: "FlowRun",
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> ProcessWorkerResult:
        """Run one flow run as a process of its own, and wait for it."""
        status = task_status or anyio.TASK_STATUS_IGNORED
        async with FlowRunExecutorContext() as context:
            executor = context.create_executor(
                flow_run,
                EngineCommandStarter(
                    command=COMMAND,
                    cwd=_working_directory(),
                    stream_output=False,
                    control_channel=context.control_channel,
                ),
                resolve_flow=_own_flow,
                propose_submitting=False,
            )
            async with anyio.create_task_group() as group:
                handle: ProcessHandle = await group.start(executor.submit)
                # The reaper of another host must see that this process is not its own.
                status.started(f"{socket.gethostname()}:{handle.pid}")
        if handle.returncode is None:
            raise RuntimeError("The process of the flow run did not start.")
        return ProcessWorkerResult(status_code=handle.returncode, identifier=str(handle.pid))


async def serve(worker: OwnWorker) -> None:
    """Work until SIGTERM, then finish what runs; a second one, or SIGINT, ends it at once."""
    loop = asyncio.get_running_loop()
    terminations: asyncio.Queue[None] = asyncio.Queue()
    interrupted = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, terminations.put_nowait, None)
    loop.add_signal_handler(signal.SIGINT, interrupted.set)

    async def drain() -> None:
        await terminations.get()
        worker.is_draining = True
        print("draining: no new runs, the running ones end", flush=True)
        while worker.has_runs:
            await anyio.sleep(0.2)
        interrupted.set()

    async def give_up() -> None:
        await interrupted.wait()
        group.cancel_scope.cancel()

    async def insist() -> None:
        while not worker.is_draining:
            await anyio.sleep(0.1)
        await terminations.get()
        interrupted.set()

    async with anyio.create_task_group() as group:
        for each in (drain, insist, give_up, worker.start):
            group.start_soon(each)


def main() -> None:
    """Serve a pool; the server is named by Prefect's own variables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--pool", required=True, help="the work pool to serve")
    parser.add_argument("--limit", type=int, default=None, help="how many runs at a time")
    parser.add_argument("--name", default=f"mailrewind on {socket.gethostname()}")
    parser.add_argument(
        "--supervised", action="store_true", help="somebody else looks for dead runs of this host"
    )
    arguments = parser.parse_args()
    # The engine is started as `python`, found on PATH: this one.
    os.environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    )
    if not arguments.supervised:
        _reap_in_background(arguments.pool)
    worker = OwnWorker(
        work_pool_name=arguments.pool,
        name=arguments.name,
        limit=arguments.limit or 2 * (os.cpu_count() or 1),
        create_pool_if_not_found=False,
    )
    asyncio.run(serve(worker))


async def _own_flow(flow_run: "FlowRun") -> Flow[..., Any]:
    """Load the flow of a run for its hooks, as strictly as for running it."""
    async with get_client() as client:
        if flow_run.deployment_id is None:
            raise ValueError("the run belongs to no deployment")
        deployment = await client.read_deployment(flow_run.deployment_id)
    entrypoint = permitted(
        {"job_variables": flow_run.job_variables},
        deployment.model_dump(mode="json"),
    )
    return await run_sync_in_worker_thread(
        load_flow_from_entrypoint, entrypoint, use_placeholder_flow=False
    )


def _working_directory() -> Path:
    """Return an empty folder of ours: Prefect reads settings from files where it stands."""
    place = evidence.directory().parent / "work"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


def _reap_in_background(pool: str) -> None:
    reaper = Reaper(Api.of_environment(), pool, evidence.directory())
    threading.Thread(
        target=reaper.sweep_for_ever, args=(_REAP_SECONDS,), name="reaper", daemon=True
    ).start()


if __name__ == "__main__":
    main()
