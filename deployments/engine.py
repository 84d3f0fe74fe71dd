"""Run one flow run: ours or none.

The pool's template starts this module instead of Prefect's engine. It checks with what the run
came, leaves a note about its process for the reaper, and then becomes Prefect's engine, in the same
process, so that cancelling works as Prefect means it to. Prefect is not imported before: a refusal
is quick, and the engine meets a process as it expects it.
"""

import os
import runpy
import sys
import time
import traceback
from pathlib import Path
from uuid import UUID

from mailrewind.errors import MailrewindError

from . import evidence, runs
from .api import Api, ApiRefused, ApiUnreachable
from .children import rotate
from .entrypoints import RunRefused, permitted

_PATIENCE_SECONDS = 180.0


def main() -> int:
    """Run the flow run that the environment names; return the exit code."""
    run_id = str(UUID(os.environ["PREFECT__FLOW_RUN_ID"]))
    place = evidence.directory()
    evidence.note(place, run_id)
    _write_output_to(place.parent / "engine.log")
    api = Api.of_environment()
    try:
        entrypoint = _patiently(api, run_id)
    except RunRefused as refusal:
        print(f"{run_id}: {refusal}", file=sys.stderr)
        runs.set_state(api, run_id, "FAILED", f"{refusal} {refusal.advice}")
        return 0
    # Prefect's engine takes this instead of asking the server again: what was checked is what
    # runs, and pull steps are never looked at.
    os.environ["PREFECT__FLOW_ENTRYPOINT"] = entrypoint
    sys.argv = ["prefect.engine"]
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    return 0


def _patiently(api: Api, run_id: str) -> str:
    """Return the permitted entrypoint; a server that restarts is waited for."""
    last = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return _entrypoint(api, run_id)
        except ApiUnreachable:
            if time.monotonic() > last:
                raise
            time.sleep(1)


def _entrypoint(api: Api, run_id: str) -> str:
    run = api.get(f"/flow_runs/{run_id}")
    deployment_id = run.get("deployment_id")
    if deployment_id is None:
        return permitted(run, None)
    try:
        deployment = api.get(f"/deployments/{deployment_id}")
    except ApiRefused as error:
        if error.status == 404:
            return permitted(run, None)
        raise
    return permitted(run, deployment)


def _write_output_to(log: Path) -> None:
    """Send output to a file: the worker takes none, so that a run outlives it."""
    rotate(log)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MailrewindError:
        traceback.print_exc()
        sys.exit(1)
