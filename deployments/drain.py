"""Take the stack down without losing a run: workers first, then what they left, then the server."""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mailrewind.errors import StackError
from mailrewind.ports import Process

from . import children, evidence, runs
from .api import Api

Say = Callable[[str], None]

_TICK_SECONDS = 0.2
# Prefect gives a run 30 s between SIGTERM and SIGKILL; borg gets 15 s of them.
_RUN_GRACE_SECONDS = 45.0
_SERVER_GRACE_SECONDS = 20.0


def take_down(
    api: Api,
    pool: str,
    place: Path,
    *,
    server: Process | None,
    workers: Sequence[Process],
    say: Say,
    is_impatient: Callable[[], bool],
) -> None:
    """Let running flows end, then stop the workers and the server.

    Args:
        api: Prefect's, to name the runs that are waited for.
        pool: Name of the work pool.
        place: Where runs leave their evidence.
        server: To stop last; flows report to it to the end.
        workers: To stop first.
        say: Takes lines for the operator.
        is_impatient: Asked again and again; once true, runs are ended instead of waited for.
    """
    for worker in workers:
        children.send(worker, signal.SIGTERM)
    if server and children.is_running(server):
        _say_what_runs(api, pool, say)
    _end_workers(workers, say, is_impatient)
    _end_orphans(place, say, is_impatient)
    if server and children.is_running(server):
        children.stop(server, grace_seconds=_SERVER_GRACE_SECONDS)
        say("server stopped")


def _say_what_runs(api: Api, pool: str, say: Say) -> None:
    try:
        names = sorted(run.name for run in runs.active(api, pool))
    except StackError:
        return  # the server is gone already; the processes are waited for all the same
    if names:
        say(f"waiting for {len(names)} running: {', '.join(names)}")


def _end_workers(workers: Sequence[Process], say: Say, is_impatient: Callable[[], bool]) -> None:
    while running := [worker for worker in workers if children.is_running(worker)]:
        if is_impatient():
            say("not waiting any longer: running flows are ended")
            for worker in running:
                children.send(worker, signal.SIGINT)
            for worker in running:
                if not children.wait(worker, _RUN_GRACE_SECONDS):
                    children.send(worker, signal.SIGKILL)
            break
        time.sleep(_TICK_SECONDS)
    if workers:
        say("worker stopped")


def _end_orphans(place: Path, say: Say, is_impatient: Callable[[], bool]) -> None:
    """Wait for flows whose worker was killed, or end them."""
    announced = False
    while orphans := [each.engine for each in evidence.all_noted(place) if each.is_alive]:
        if is_impatient():
            for orphan in orphans:
                children.stop(orphan, grace_seconds=_RUN_GRACE_SECONDS)
            return
        if not announced:
            say(f"waiting for {len(orphans)} whose worker is gone")
            announced = True
        time.sleep(_TICK_SECONDS)
