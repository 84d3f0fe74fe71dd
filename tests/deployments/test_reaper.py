"""Dead runs of a pool that no worker serves, so that nobody else ends them."""

import json
import socket
import subprocess
import uuid
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments import children, evidence, runs
from deployments.api import Api
from deployments.evidence import Evidence
from deployments.reaper import Reaper
from mailrewind.ports import Process
from mailrewind.transports.processes import this_process
from tests.stack import RunningStack


@pytest.fixture
def api(stack: RunningStack) -> Api:
    return stack.api


@pytest.fixture
def pool(api: Api) -> str:
    name = f"pool-{uuid.uuid4().hex[:8]}"
    api.post("/work_pools/", {"name": name, "type": "process"})
    return name


def test_a_run_whose_process_is_gone_is_crashed(api: Api, pool: str, tmp_path: Path) -> None:
    run_id = _run(api, pool, "RUNNING")
    _note(tmp_path, Evidence(run_id, _dead(), None))
    assert _sweep(api, pool, tmp_path) == [run_id]
    run = runs.read(api, run_id)
    assert (run.state, run.message) == ("CRASHED", "The process of this run is gone.")


def test_a_cancelled_run_whose_process_is_gone_is_cancelled(
    api: Api, pool: str, tmp_path: Path
) -> None:
    run_id = _run(api, pool, "RUNNING")
    runs.set_state(api, run_id, "CANCELLING", "by hand")
    _note(tmp_path, Evidence(run_id, _dead(), None))
    assert _sweep(api, pool, tmp_path) == [run_id]
    assert runs.read(api, run_id).state == "CANCELLED"


def test_a_run_with_a_living_process_is_left_alone(api: Api, pool: str, tmp_path: Path) -> None:
    run_id = _run(api, pool, "RUNNING")
    _note(tmp_path, Evidence(run_id, this_process(), None))
    assert _sweep(api, pool, tmp_path) == []


def test_a_reused_pid_is_another_process(api: Api, pool: str, tmp_path: Path) -> None:
    ours = this_process()
    run_id = _run(api, pool, "RUNNING")
    earlier = Process(ours.host, ours.pid, ours.boot_id, ours.started - 1)
    _note(tmp_path, Evidence(run_id, earlier, None))
    assert _sweep(api, pool, tmp_path) == [run_id]


def test_a_run_on_another_host_is_left_to_its_own_reaper(
    api: Api, pool: str, tmp_path: Path
) -> None:
    _run(api, pool, "RUNNING", place="elsewhere:1")
    assert _sweep(api, pool, tmp_path) == []


def test_a_run_of_this_host_without_a_note_is_judged_by_its_pid(
    api: Api, pool: str, tmp_path: Path
) -> None:
    _run(api, pool, "RUNNING", place=f"{socket.gethostname()}:{this_process().pid}")
    dead = _run(api, pool, "RUNNING", place=f"{socket.gethostname()}:{_dead().pid}")
    assert _sweep(api, pool, tmp_path) == [dead]


def test_a_run_that_never_got_a_process_is_crashed_after_a_while(
    api: Api, pool: str, tmp_path: Path
) -> None:
    run_id = _run(api, pool, "PENDING")
    assert _sweep(api, pool, tmp_path) == []
    later = datetime.now(UTC) + timedelta(seconds=90)
    reaper = Reaper(api, pool, tmp_path, clock=lambda: later)
    reaper.sweep(patience=timedelta(0))
    assert runs.read(api, run_id).state == "CRASHED"


def test_a_worker_that_lives_is_given_time_to_report(api: Api, pool: str, tmp_path: Path) -> None:
    run_id = _run(api, pool, "RUNNING")
    _note(tmp_path, Evidence(run_id, _dead(), None))
    moments = [datetime.now(UTC)]
    reaper = Reaper(api, pool, tmp_path, clock=lambda: moments[-1])
    assert reaper.sweep() == []
    moments.append(moments[0] + timedelta(seconds=14))
    assert reaper.sweep() == []
    moments.append(moments[0] + timedelta(seconds=16))
    assert len(reaper.sweep()) == 1


def test_notes_of_ended_runs_are_removed(api: Api, pool: str, tmp_path: Path) -> None:
    _note(tmp_path, Evidence(str(uuid.uuid4()), _dead(), None))
    living = Evidence(_run(api, pool, "RUNNING"), this_process(), None)
    _note(tmp_path, living)
    _sweep(api, pool, tmp_path)
    assert list(evidence.all_noted(tmp_path)) == [living]


def test_a_note_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"run_id": ')
    assert list(evidence.all_noted(tmp_path)) == []


def _run(api: Api, pool: str, state: str, *, place: str = "") -> str:
    flow = api.post("/flows/", {"name": "asleep"})
    run_id = str(
        api.post(
            "/flow_runs/",
            {"flow_id": flow["id"], "state": {"type": "PENDING"}, "work_pool_name": pool},
        )["id"]
    )
    api.patch(f"/flow_runs/{run_id}", {"name": run_id, "infrastructure_pid": place or None})
    if state != "PENDING":
        assert runs.set_state(api, run_id, state, "")
    return run_id


def _sweep(api: Api, pool: str, place: Path) -> list[str]:
    return list(Reaper(api, pool, place).sweep(patience=timedelta(0)))


def _dead() -> Process:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        process = children.process_of(sleeper.pid)
        sleeper.kill()
    assert process
    return process


def _note(place: Path, noted: Evidence) -> None:
    (place / f"{noted.run_id}.json").write_text(json.dumps(asdict(noted)))
