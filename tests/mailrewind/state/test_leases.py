import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from mailrewind.errors import BackupRunning, LeaseHeld
from mailrewind.model.points import PointStatus, RestorePoint
from mailrewind.ports import Lease
from mailrewind.state import SqlState
from mailrewind.transports.processes import is_alive, this_process

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ADA = "ada@example.org"
ROUNDS = 200

spawn = get_context("spawn")


def open_state(place: Path, **settings: Any) -> SqlState:
    chosen = {"process": this_process(), "is_alive": is_alive, **settings}
    return SqlState(place, **chosen)


def on_host(place: Path, host: str, clock: Callable[[], datetime], **settings: Any) -> SqlState:
    process = replace(this_process(), host=host)
    return open_state(place, process=process, clock=clock, **settings)


def test_lease_is_held_inside_the_block_and_free_after_it(state: SqlState) -> None:
    before = datetime.now(UTC)
    with state.lease("office", ADA, "plan 3f9a1c20 by cli:root"):
        (held,) = state.leases()
        assert held == Lease("office", ADA, "plan 3f9a1c20 by cli:root", held.since, this_process())
        assert before <= held.since <= datetime.now(UTC)
    assert state.leases() == []


def test_second_restore_is_refused_and_learns_who_holds_the_mailbox(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state.db", clock=lambda: NOON)
    with (
        state.lease("office", ADA, "plan 3f9a1c20 by cli:root"),
        pytest.raises(LeaseHeld) as refused,
        state.lease("office", ADA, "plan 77777777 by prefect"),
    ):
        pass
    assert str(refused.value) == (
        "The mailbox ada@example.org on office is held by plan 3f9a1c20 by cli:root (process "
        f"{os.getpid()} on {this_process().host}) since 2026-11-20 12:00:00 UTC."
    )


def test_other_mailboxes_and_systems_are_not_in_the_way(state: SqlState) -> None:
    with (
        state.lease("office", ADA, "one"),
        state.lease("office", "bob@example.org", "two"),
        state.lease("works", ADA, "three"),
    ):
        assert [held.holder for held in state.leases()] == ["one", "two", "three"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, GeneratorExit, ValueError])
def test_lease_is_released_however_the_block_ends(
    state: SqlState, end: type[BaseException]
) -> None:
    with pytest.raises(end), state.lease("office", ADA, "one"):
        raise end
    assert state.leases() == []
    with state.lease("office", ADA, "two"):
        pass


def test_other_processes_see_that_a_lease_was_released(tmp_path: Path) -> None:
    place = tmp_path / "state.db"
    neighbour = open_state(
        place, process=replace(this_process(), pid=1), is_alive=lambda process: True
    )
    state = open_state(place)
    with state.lease("office", ADA, "one"):
        assert [held.holder for held in neighbour.leases()] == ["one"]
    assert neighbour.leases() == []


def test_lease_that_could_not_be_released_does_not_stand_in_its_own_process_way(
    tmp_path: Path,
) -> None:
    state = open_state(tmp_path / "state.db", busy_timeout=timedelta(milliseconds=50))
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    with state.lease("office", ADA, "one"):
        other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()

    assert state.leases() == []
    with state.lease("office", ADA, "two"):
        assert [held.holder for held in state.leases()] == ["two"]


def test_who_waits_gets_the_lease_when_it_becomes_free(state: SqlState) -> None:
    order = []
    is_held = threading.Event()

    def first() -> None:
        with state.lease("office", ADA, "first"):
            is_held.set()
            time.sleep(0.6)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    is_held.wait(30)
    with state.lease("office", ADA, "second", wait=timedelta(seconds=60)):
        order.append("second")
    thread.join()

    assert order == ["first", "second"]


def test_waiting_ends_at_its_deadline(state: SqlState) -> None:
    with state.lease("office", ADA, "one"):
        began = time.monotonic()
        with (
            pytest.raises(LeaseHeld),
            state.lease("office", ADA, "two", wait=timedelta(seconds=0.7)),
        ):
            pass
        assert time.monotonic() - began >= 0.7


def test_lease_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state.db")
    with _holder(tmp_path / "state.db") as child:
        with pytest.raises(LeaseHeld), state.lease("office", ADA, "here"):
            pass
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert state.leases() == []
        with state.lease("office", ADA, "here"):
            assert [held.holder for held in state.leases()] == ["here"]


def test_lease_that_another_host_does_not_renew_for_an_hour_is_taken_over(tmp_path: Path) -> None:
    now = NOON
    place = tmp_path / "state.db"
    here, elsewhere = on_host(place, "mx1", lambda: now), on_host(place, "mx2", lambda: now)
    with elsewhere.lease("office", ADA, "elsewhere"):
        now += timedelta(minutes=59)
        with pytest.raises(LeaseHeld), here.lease("office", ADA, "here"):
            pass
        now += timedelta(minutes=2)
        with here.lease("office", ADA, "here"):
            assert [held.holder for held in here.leases()] == ["here"]


def test_old_holder_that_comes_back_does_not_release_the_lease_of_the_new_one(
    tmp_path: Path,
) -> None:
    now = NOON
    place = tmp_path / "state.db"
    here, elsewhere = on_host(place, "mx1", lambda: now), on_host(place, "mx2", lambda: now)
    old = elsewhere.lease("office", ADA, "elsewhere")
    old.__enter__()
    now += timedelta(hours=2)
    with here.lease("office", ADA, "here"):
        old.__exit__(None, None, None)
        assert [held.holder for held in here.leases()] == ["here"]


def test_lease_and_point_are_renewed_for_as_long_as_they_are_held(tmp_path: Path) -> None:
    now = NOON
    place = tmp_path / "state.db"
    often = timedelta(seconds=0.05)
    elsewhere = on_host(place, "mx2", lambda: now, renew_every=often)
    here = on_host(place, "mx1", lambda: now)
    elsewhere.begin_point(making("office"), replace(this_process(), host="mx2"))
    with elsewhere.lease("office", ADA, "elsewhere"):
        for _ in range(3):
            now += timedelta(minutes=50)
            time.sleep(1)
        assert [held.holder for held in here.leases()] == ["elsewhere"]
        assert [point for point, _ in here.running_backups()] == [making("office")]
    elsewhere.end_point(making("office").name, PointStatus.COMPLETE, now)


def test_renewing_ends_when_nothing_is_held_any_more(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state.db", renew_every=timedelta(seconds=0.05))
    before = set(threading.enumerate())
    with state.lease("office", ADA, "one"):
        (thread,) = set(threading.enumerate()) - before
    thread.join(30)
    assert not thread.is_alive()


def test_of_two_processes_exactly_one_gets_each_lease(tmp_path: Path) -> None:
    assert _race(tmp_path, _take_leases) == [1] * ROUNDS


def test_of_two_processes_exactly_one_begins_each_backup(tmp_path: Path) -> None:
    assert _race(tmp_path, _begin_points) == [1] * ROUNDS


def making(system: str) -> RestorePoint:
    return RestorePoint(f"{system}-point", system, NOON, PointStatus.MAKING, (), "main")


def _race(tmp_path: Path, work: Callable[..., None]) -> list[int]:
    """Let two processes do the same at the same time; return how many won, by round."""
    place = tmp_path / "state.db"
    open_state(place).close()
    barrier, wins = spawn.Barrier(2), spawn.Array("i", ROUNDS)
    racers = [spawn.Process(target=work, args=(place, barrier, wins, n)) for n in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(300)
    assert [racer.exitcode for racer in racers] == [0, 0]
    return list(wins)


def _take_leases(place: Path, barrier: Any, wins: Any, number: int) -> None:
    state = open_state(place)
    for turn in range(ROUNDS):
        barrier.wait(120)
        try:
            with state.lease("office", f"{turn}@example.org", f"racer {number}"):
                with wins.get_lock():
                    wins[turn] += 1
                barrier.wait(120)
        except LeaseHeld:
            barrier.wait(120)


def _begin_points(place: Path, barrier: Any, wins: Any, number: int) -> None:
    state = open_state(place)
    for turn in range(ROUNDS):
        point = replace(making(f"s{turn}"), name=f"s{turn}-{number}")
        barrier.wait(120)
        try:
            state.begin_point(point, this_process())
        except BackupRunning:
            pass
        else:
            with wins.get_lock():
                wins[turn] += 1
    barrier.wait(120)


@contextmanager
def _holder(place: Path) -> Iterator[Any]:
    """Run a process that holds the lease until it is killed."""
    is_held = spawn.Event()
    child = spawn.Process(target=_hold, args=(place, is_held))
    child.start()
    try:
        assert is_held.wait(60)
        yield child
    finally:
        child.kill()
        child.join()


def _hold(place: Path, is_held: Any) -> None:
    with open_state(place).lease("office", ADA, "the child"):
        is_held.set()
        time.sleep(600)


def test_process_that_is_gone_is_known_by_its_start(tmp_path: Path) -> None:
    """A reused pid is another process."""
    gone = replace(this_process(), started=1)
    state = open_state(tmp_path / "state.db", process=gone)
    lease = state.lease("office", ADA, "gone")
    lease.__enter__()
    living = open_state(tmp_path / "state.db")
    with living.lease("office", ADA, "living"):
        assert [held.holder for held in living.leases()] == ["living"]
    lease.__exit__(None, None, None)
