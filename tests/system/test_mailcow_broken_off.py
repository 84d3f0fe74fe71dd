"""Backups and restores of a mailcow that die on the way: nothing is lost, services run again."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from deployments import evidence, record, runs
from mailrewind.model.points import PointStatus
from tests.command import Call
from tests.deployments.running import eventually
from tests.mailcow_customer import (
    REASON,
    SYSTEM,
    Customer,
    await_services,
    customer_of,
    states,
)
from tests.stacks.mailcow.stack import MailcowStack

pytest_plugins = ["tests.mailcow"]
pytestmark = pytest.mark.timeout(900)

KILLED_SECONDS = 90
CANCELLED_SECONDS = 30
DATABASE = "restore-database/database"


@pytest.fixture(scope="module")
def customer(mailcow: MailcowStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    folder = tmp_path_factory.mktemp("broken off") / "customer"
    with customer_of(mailcow, folder) as customer:
        assert customer.first_backup().state == "COMPLETED"
        yield customer


@contextmanager
def held_up(stack: MailcowStack, statement: str) -> Iterator[None]:
    """Keep whoever comes to a table waiting in the database for the time of the block."""
    with closing(stack.database()) as connection, connection.cursor() as cursor:
        cursor.execute("SET autocommit = 0")
        cursor.execute(statement)
        yield


def restore_with_services_stopped(customer: Customer, stack: MailcowStack) -> tuple[str, str]:
    """Begin to restore the database; return the run and the restore when services are down."""
    planned = customer.restore(DATABASE)
    run_id = customer.start(
        DATABASE,
        system=SYSTEM,
        reason=REASON,
        action="restore",
        plan_id=planned.plan_id,
        type_the_system_name=SYSTEM,
    )
    down = {"watchdog", "dovecot", "sogo", "postfix", "php-fpm"}
    eventually(
        lambda: {states(stack)[f"{name}-mailcow"] for name in down} == {"exited"},
        seconds=120,
        what="the services are stopped",
    )
    (restore_id,) = [each for each, status in statuses(customer).items() if status == "running"]
    return run_id, restore_id


def statuses(customer: Customer) -> dict[str, str]:
    """Return how each restore ended, as the shell lists them."""
    result = Call(customer.configuration)("--json", "restores")
    assert result.exit_code == 0, result.output
    return {each["id"]: each["status"] for each in json.loads(result.stdout)}


def accounts(stack: MailcowStack) -> list[tuple[object, ...]]:
    return stack.sql("SELECT username, password, active, name FROM mailbox ORDER BY username")


def test_services_run_again_when_worker_and_flow_are_killed_and_the_restore_is_undone(
    customer: Customer, mailcow: MailcowStack
) -> None:
    mailcow.sql("UPDATE mailbox SET name = 'Since then'")
    before = accounts(mailcow)
    running = states(mailcow)
    # The exchange of the databases waits for this transaction to end.
    with held_up(mailcow, "SELECT * FROM mailbox"):
        run_id, restore_id = restore_with_services_stopped(customer, mailcow)
        databases = mailcow.volume("mysql-vol-1")
        eventually(lambda: [*databases.glob("mailrewind_*_old")], seconds=60, what="the exchange")
        there = record.read(customer.home)
        assert there
        assert there.worker
        noted = {each.run_id: each for each in evidence.all_noted(customer.home / "runs")}
        os.kill(there.worker.pid, signal.SIGKILL)
        os.kill(noted[run_id].engine.pid, signal.SIGKILL)
        began = time.monotonic()
    await_services(mailcow, running, seconds=KILLED_SECONDS)
    mailcow.wait("dovecot", "sogo")
    took = time.monotonic() - began
    print(f"services run again {took:.1f} s after kill -9")
    assert took < KILLED_SECONDS
    assert customer.ended(run_id).run.state == "CRASHED"
    assert statuses(customer)[restore_id] == "broken off"

    undone = customer.run("undo-restore/undo", restore_id=restore_id, reason=REASON)
    assert undone.run.state == "COMPLETED", undone.run.message
    assert accounts(mailcow) == before
    assert states(mailcow) == running
    assert statuses(customer)[restore_id] == "undone"


def test_services_run_again_when_a_restore_is_cancelled_and_the_next_one_completes(
    customer: Customer, mailcow: MailcowStack
) -> None:
    before = accounts(mailcow)
    running = states(mailcow)
    # The safety dump, which nothing else comes before that touches this table, waits for it.
    with held_up(mailcow, "LOCK TABLES quarantine WRITE"):
        run_id, restore_id = restore_with_services_stopped(customer, mailcow)
        began = time.monotonic()
        runs.set_state(customer.api, run_id, "CANCELLING", "by hand")
        await_services(mailcow, running, seconds=CANCELLED_SECONDS)
        mailcow.wait("dovecot", "sogo")
        took = time.monotonic() - began
    print(f"services run again {took:.1f} s after the cancellation")
    assert took < CANCELLED_SECONDS
    assert customer.ended(run_id).run.state == "CANCELLED"
    assert accounts(mailcow) == before
    assert statuses(customer)[restore_id] == "failed"
    customer.by_plan(DATABASE)
    assert states(mailcow) == running


def test_a_dump_that_is_killed_half_way_is_no_restore_point_and_is_made_again(
    customer: Customer, mailcow: MailcowStack
) -> None:
    mailcow.sql("CREATE TABLE large AS SELECT seq, MD5(seq) AS text FROM seq_1_to_1500000")
    complete = customer.services.state.points(SYSTEM)
    run_id = customer.start(f"backup/{SYSTEM}")
    dumper = eventually(lambda: _dumper(mailcow), seconds=120, what="a dump")
    os.kill(dumper, signal.SIGKILL)
    waiting = eventually(
        lambda: (
            (run := _task(customer, run_id)) and run["state"]["name"] == "AwaitingRetry" and run
        ),
        seconds=60,
        what="the step waits for its next try",
    )
    assert waiting["state"]["message"] == ""
    assert customer.services.state.points(SYSTEM) == complete
    (making,) = customer.services.state.points(SYSTEM, (PointStatus.MAKING,))
    names = customer.services.archives("main").names()
    assert [name for name in names if name.startswith(making.name)] == [f"{making.name}-mail"]
    mailcow.sql("DROP TABLE large")

    done = customer.ended(run_id)
    assert done.run.state == "COMPLETED", done.run.message
    assert customer.services.state.points(SYSTEM)[-1].name == making.name
    names = customer.services.archives("main").names()
    assert [name.removeprefix(f"{making.name}-") for name in names if making.name in name] == [
        "mail",
        "sql",
        "server",
        "sogo",
    ]


def _dumper(stack: MailcowStack) -> int | None:
    """Return the process that dumps in this stack's container, as the host sees it."""
    container = str(stack.service("mysql").id)
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            is_one = path.read_text().strip() in ("mariadb-dump", "mysqldump")
            if is_one and container in path.with_name("cgroup").read_text():
                return int(path.parent.name)
        except OSError:
            continue
    return None


def _task(customer: Customer, run_id: str) -> dict | None:
    wanted = {"flow_runs": {"id": {"any_": [run_id]}}, "sort": "EXPECTED_START_TIME_DESC"}
    found = customer.api.post("/task_runs/filter", wanted)
    return found[0] if found else None
