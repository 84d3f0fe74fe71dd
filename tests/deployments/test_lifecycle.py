"""The stack lives through what happens to machines; one stack, shaken test by test."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments import children, evidence, record, runs
from deployments.stack import down, restart_worker, status, up
from mailrewind.errors import StackError
from tests.deployments.running import (
    await_state,
    deployment_id,
    end_of,
    eventually,
    request,
    start,
)
from tests.stack import RunningStack, running_stack

RUNNING = frozenset({"RUNNING"})


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("lively"), systems=("post", "other")) as running:
        yield running


def test_up_ends_when_a_schedule_has_become_a_run(lively: RunningStack) -> None:
    said = [line.split(" s  ", 1)[1] for line in lively.lines]
    assert [line.partition(" (")[0] for line in said] == [
        f"server starts on http://127.0.0.1:{lively.config.prefect.port}",
        "server is ready",
        "pool mail stands, closed against foreign commands",
        "deployments are as declared",
        "worker starts",
        "a schedule became a run",
        f"schedules are active; see http://127.0.0.1:{lively.config.prefect.port}",
        f"sign in with the content of {lively.home / 'auth'}",
    ]
    assert status(lively.config, say=lambda line: None)


def test_the_first_thing_is_one_backup_of_each_system_without_one(lively: RunningStack) -> None:
    for system in ("post", "other"):
        deployment = deployment_id(lively.api, f"backup/{system}")
        eventually(lambda d=deployment: _began(lively, d), seconds=120, what="a backup begins")
        assert end_of(lively.api, _began(lively, deployment)[0]).state == "COMPLETED"
        assert len(_began(lively, deployment)) == 1


def test_a_second_up_says_that_all_is_up(lively: RunningStack) -> None:
    said: list[str] = []
    up(lively.config, say=said.append)
    pid = _record(lively).supervisor.pid
    port = lively.config.prefect.port
    assert said == [f"already up: http://127.0.0.1:{port} (supervisor {pid})"]


def test_a_backup_outlives_its_killed_worker(lively: RunningStack) -> None:
    with _locked(lively, "post"):
        run_id = _running_backup(lively, "post")
        killed = _worker(lively)
        os.kill(killed.pid, signal.SIGKILL)
        eventually(
            lambda: _worker(lively) != killed and children.is_running(_worker(lively)),
            seconds=15,
            what="another worker",
        )
    assert end_of(lively.api, run_id).state == "COMPLETED"


def test_a_run_that_was_killed_with_its_worker_is_crashed_and_the_next_one_succeeds(
    lively: RunningStack,
) -> None:
    with _locked(lively, "post"):
        run_id = _running_backup(lively, "post")
        began = time.monotonic()
        os.kill(_worker(lively).pid, signal.SIGKILL)
        os.kill(_engine(lively, run_id), signal.SIGKILL)
        run = end_of(lively.api, run_id, seconds=120)
        assert (run.state, run.message) == ("CRASHED", "The process of this run is gone.")
        assert time.monotonic() - began < 120
        assert _processes_with(lively, "borg") == []
    deployment = deployment_id(lively.api, "backup/post")
    again = start(lively.api, deployment, parameters=request("post"))
    assert end_of(lively.api, again).state == "COMPLETED"


def test_a_cancelled_backup_is_gone_within_seconds(lively: RunningStack) -> None:
    with _locked(lively, "post"):
        run_id = _running_backup(lively, "post")
        eventually(lambda: _processes_with(lively, "borg"), seconds=20, what="borg runs")
        began = time.monotonic()
        runs.set_state(lively.api, run_id, "CANCELLING", "by hand")
        run = end_of(lively.api, run_id, seconds=30)
        eventually(lambda: not _processes_with(lively, "borg"), seconds=15, what="no borg")
        assert run.state == "CANCELLED"
        assert time.monotonic() - began < 15


def test_a_backup_whose_worker_was_killed_can_be_cancelled_all_the_same(
    lively: RunningStack,
) -> None:
    with _locked(lively, "post"):
        run_id = _running_backup(lively, "post")
        os.kill(_worker(lively).pid, signal.SIGKILL)
        runs.set_state(lively.api, run_id, "CANCELLING", "by hand")
        await_state(lively.api, run_id, frozenset({"CANCELLED"}))
        assert _processes_with(lively, "borg") == []


def test_a_killed_server_is_back_within_seconds(lively: RunningStack) -> None:
    killed = _record(lively).server
    assert killed
    os.kill(killed.pid, signal.SIGKILL)
    eventually(lambda: _record(lively).server != killed, seconds=10, what="another server")
    eventually(lambda: _answers(lively), seconds=60, what="the API answers")


def test_up_takes_over_what_a_killed_supervisor_left(lively: RunningStack) -> None:
    before = _record(lively)
    os.kill(before.supervisor.pid, signal.SIGKILL)
    assert children.wait(before.supervisor, 10)
    said: list[str] = []
    up(lively.config, say=said.append)
    after = _record(lively)
    assert (after.server, after.worker) == (before.server, before.worker)
    assert after.supervisor != before.supervisor
    assert [line.partition("s  ")[2] for line in said if "taken over" in line] == [
        f"server still runs (pid {before.server.pid}): taken over" if before.server else "",
        f"worker still runs (pid {before.worker.pid}): taken over" if before.worker else "",
    ]


def test_a_restarted_worker_finishes_its_backup_beside_the_new_one(lively: RunningStack) -> None:
    with _locked(lively, "post"):
        run_id = _running_backup(lively, "post")
        old = _worker(lively)
        restart_worker(lively.config, say=lambda line: None)
        assert children.is_running(old)
        assert children.is_running(_worker(lively))
    assert end_of(lively.api, run_id).state == "COMPLETED"
    assert children.wait(old, 10)


def test_down_waits_for_a_running_backup(lively: RunningStack) -> None:
    said: list[str] = []
    with _locked(lively, "post") as holder:
        run_id = _running_backup(lively, "post")
        release = threading.Timer(4, os.kill, (holder, signal.SIGTERM))
        release.start()
        down(lively.config, say=said.append)
        release.join()
    assert [line.partition("s  ")[2] for line in said] == [
        "going down; running flows end first",
        "waiting for 1 running: backup post",
        "worker stopped",
        "server stopped",
        "everything is down",
    ]
    assert _state_in_database(lively, run_id) == "COMPLETED"
    assert not status(lively.config, say=lambda line: None)
    assert _processes_with(lively, "deployments.") == []


def test_a_taken_port_is_named_and_nothing_is_left_running(lively: RunningStack) -> None:
    port = lively.config.prefect.port
    with (
        closing(socket.create_server(("127.0.0.1", port))),
        pytest.raises(StackError, match=f"Port {port} of 127.0.0.1 is taken") as error,
    ):
        up(lively.config, say=lambda line: None)
    assert "set prefect.port in the configuration" in error.value.advice
    assert _processes_with(lively, "deployments.") == []


def test_after_an_outage_each_system_is_backed_up_exactly_once(lively: RunningStack) -> None:
    """`post` has three missed runs in store; of `other` the scheduler never made any."""
    outage = timedelta(hours=5)
    _move_into_the_past(lively, outage)
    before = datetime.now(UTC)
    up(lively.config, say=lambda line: None)
    ended = []
    for system in ("post", "other"):
        deployment = deployment_id(lively.api, f"backup/{system}")
        found = eventually(
            lambda d=deployment: _began(lively, d, since=before), seconds=120, what="a backup"
        )
        ended.append(end_of(lively.api, found[0]).state)
    time.sleep(8)  # longer than the worker's polling: time for a burst
    assert ended == ["COMPLETED", "COMPLETED"]
    for system in ("post", "other"):
        deployment = deployment_id(lively.api, f"backup/{system}")
        assert len(_began(lively, deployment, since=before)) == 1


def test_down_now_ends_a_backup_and_leaves_no_process(lively: RunningStack) -> None:
    with _locked(lively, "post"):
        _running_backup(lively, "post")
        down(lively.config, now=True, say=lambda line: None)
        assert _processes_with(lively, "borg") == []
        assert _processes_with(lively, "deployments.") == []


def _record(stack: RunningStack) -> record.Record:
    found = record.read(stack.home)
    assert found
    return found


def _worker(stack: RunningStack) -> children.Process:
    worker = _record(stack).worker
    assert worker
    return worker


def _engine(stack: RunningStack, run_id: str) -> int:
    noted = {each.run_id: each for each in evidence.all_noted(stack.home / "runs")}
    return noted[run_id].engine.pid


def _running_backup(stack: RunningStack, system: str) -> str:
    """Start a backup, and return when borg is on its way."""
    deployment = deployment_id(stack.api, f"backup/{system}")
    run_id = start(stack.api, deployment, parameters=request(system))
    await_state(stack.api, run_id, RUNNING)
    return run_id


def _began(
    stack: RunningStack, deployment: str, *, since: datetime = datetime(2000, 1, 1, tzinfo=UTC)
) -> list[str]:
    """Return the ids of a deployment's runs that began, or ended otherwise than by collapsing."""
    states = ["PENDING", "RUNNING", "COMPLETED", "FAILED", "CRASHED"]
    found = runs.of_deployment(stack.api, deployment, states)
    return [run.id for run in found if run.since > since]


def _answers(stack: RunningStack) -> bool:
    try:
        stack.api.get("/ready")
    except StackError:
        return False
    return True


@contextmanager
def _locked(stack: RunningStack, system: str) -> Iterator[int]:
    """Hold the lock of a system's repository, so that its backup waits in borg."""
    repository = stack.config.repository(system).location
    ready = stack.config.data_dir / "locked"
    ready.unlink(missing_ok=True)
    borg = Path(sys.executable).parent / "borg"
    holder = subprocess.Popen(
        [
            *(str(borg), "with-lock", repository),
            *(sys.executable, "-c"),
            f"import pathlib, time; pathlib.Path({str(ready)!r}).touch(); time.sleep(90)",
        ],
        env={
            "PATH": os.environ["PATH"],
            "BORG_BASE_DIR": str(stack.config.data_dir / "borg-of-test"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        },
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(ready.exists, seconds=20, what="the lock is held")
        yield holder.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(holder.pid, signal.SIGTERM)
        holder.wait()


def _processes_with(stack: RunningStack, word: str) -> list[str]:
    """Return the command lines of processes of this stack that hold a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            cwd = (path / "cwd").readlink()
        except OSError:
            continue
        of_stack = str(stack.config.data_dir.parent) in f"{line} {cwd}"
        if word in line and of_stack and "with-lock" not in line:
            found.append(line)
    return found


def _state_in_database(stack: RunningStack, run_id: str) -> str:
    with closing(sqlite3.connect(stack.home / "prefect.db")) as database:
        query = "select state_type from flow_run where id = ?"
        return str(database.execute(query, (run_id,)).fetchone()[0])


def _move_into_the_past(stack: RunningStack, outage: timedelta) -> None:
    """Let everything that is in store and every restore point be older."""
    with closing(sqlite3.connect(stack.home / "prefect.db")) as database, database:
        ids = dict(database.execute("select name, id from deployment").fetchall())
        scheduled = "deployment_id = ? and state_type = 'SCHEDULED'"
        assert database.execute(
            f"select count(*) from flow_run where {scheduled}", (ids["post"],)
        ).fetchone() >= (3,)
        database.execute(f"delete from flow_run where {scheduled}", (ids["other"],))
        rows = database.execute(
            "select r.id, r.expected_start_time, s.id, s.state_details from flow_run r "
            "join flow_run_state s on s.id = r.state_id where r.deployment_id = ? "
            "and r.state_type = 'SCHEDULED'",
            (ids["post"],),
        ).fetchall()
        for run, due, state, details in rows:
            past = datetime.fromisoformat(due) - outage
            database.execute(
                "update flow_run set expected_start_time = ?, next_scheduled_start_time = ? "
                "where id = ?",
                (*[past.isoformat(sep=" ", timespec="microseconds")] * 2, run),
            )
            changed = json.loads(details) | {"scheduled_time": past.isoformat() + "Z"}
            database.execute(
                "update flow_run_state set state_details = ? where id = ?",
                (json.dumps(changed), state),
            )
        hours = f"-{outage // timedelta(hours=1)} hours"
        database.execute(
            "update flow_run_state set timestamp = datetime(timestamp, ?) "
            "|| substr(timestamp, 20) where type != 'SCHEDULED'",
            (hours,),
        )
    with closing(sqlite3.connect(stack.config.data_dir / "state.db")) as database, database:
        microseconds = outage // timedelta(microseconds=1)
        database.execute("update restore_point set taken_at = taken_at - ?", (microseconds,))
