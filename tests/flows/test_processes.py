"""Flow runs as processes of their own: side by side, and cancelled."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.settings import get_current_settings

from tests.doubles_operations import NoticeBoard
from tests.office import Office, remove
from tests.prefect_server import PrefectServer

pytest_plugins = ["tests.prefect_fixture"]

RESTORE = """
from flows.restore_mailbox import RestoreMailboxRequest, restore_mailbox
restore_mailbox(RestoreMailboxRequest(
    system="office", mailbox="ada@example.org", reason="test", action="restore"))
"""
BACKUP = """
from flows.backup import BackupRequest, backup
backup(BackupRequest(system="office"))
"""


OPERATION = """
import time
from pathlib import Path
from flows.restore_calendars import RestoreCalendarsRequest, restore_calendars
from tasks.services import services
from tests.doubles_operations import NoticeBoard
root = Path({root!r})
def wait():
    (root / "half-way").touch()
    time.sleep(60)
board = NoticeBoard(root / "board", root / "copy", name="calendars", on_the_way=wait)
services().connect("office").operations["calendars"] = board
asked = dict(system="office", user="ada@example.org", reason="test", mode="reset")
plan = restore_calendars(RestoreCalendarsRequest(**asked))
restore_calendars(RestoreCalendarsRequest(
    **asked, action="restore", plan_id=plan, type_the_system_name="office"))
"""


@pytest.fixture
def environment(prefect_server: PrefectServer, office: Office, tmp_path: Path) -> dict[str, str]:
    url = get_current_settings().api.url
    assert url is not None
    return {
        **os.environ,
        "PREFECT_API_URL": url,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "MAILREWIND_CONFIG": str(office.configuration),
    }


def start(program: str, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", program], env=environment)


def test_two_restores_of_one_mailbox_started_together_add_each_message_once(
    office: Office, environment: dict[str, str]
) -> None:
    lost = office.add_many(200)
    before = office.snapshot()
    office.back_up()
    remove(lost)
    both = [start(RESTORE, environment) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert office.snapshot() == before
    assert Counter(guid for _, guid, *_ in office.snapshot().elements()).most_common(1)[0][1] == 1
    added = sorted(len(report.added) for report in office.services.state.restore_reports())
    assert added == [0, 200]


def test_a_cancelled_backup_leaves_no_borg_and_the_next_one_succeeds(
    office: Office, environment: dict[str, str]
) -> None:
    add_large(office, 20)
    process = start(BACKUP, environment)
    wait_until(lambda: bool(borgs(office.root)), process)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert borgs(office.root) == []
    assert time.monotonic() - began < 15
    assert office.services.state.points("office") == []
    assert start(BACKUP, environment).wait(120) == 0
    assert len(office.services.state.points("office")) == 1


def test_a_cancelled_restore_leaves_no_lease_and_the_next_one_brings_back_the_rest(
    office: Office, environment: dict[str, str]
) -> None:
    lost = add_large(office, 20)
    before = office.snapshot()
    office.back_up()
    remove(lost)
    process = start(RESTORE, environment)
    wait_until(lambda: bool(office.services.state.leases()), process)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert time.monotonic() - began < 15
    assert office.services.state.leases() == []
    assert start(RESTORE, environment).wait(120) == 0
    assert office.snapshot() == before


@pytest.mark.parametrize(
    ("number", "is_known"),
    [(signal.SIGTERM, True), (signal.SIGKILL, False)],
    ids=["cancel", "kill"],
)
def test_operation_that_is_ended_from_outside_leaves_a_report_and_can_be_undone(
    office: Office,
    environment: dict[str, str],
    tmp_path: Path,
    number: signal.Signals,
    is_known: bool,
) -> None:
    (tmp_path / "copy").write_text("fire drill\nchoir")
    (tmp_path / "board").write_text("choir\nparty")
    process = start(OPERATION.format(root=str(tmp_path)), environment)
    wait_until((tmp_path / "half-way").exists, process)
    process.send_signal(number)
    process.wait(30)

    state = office.services.state
    (report,) = state.operation_reports()
    assert (report.failure, report.outcome) == ("It was cancelled." if is_known else "", None)
    assert (report.finished_at is not None) is is_known
    assert state.leases() == []
    left = office.services.operations.left_broken_off()
    assert left == ([] if is_known else [report])

    office.services.connect("office").operations["calendars"] = NoticeBoard(
        tmp_path / "board", tmp_path / "copy", name="calendars"
    )
    office.services.operations.undo(report.id, initiator="test")
    assert (tmp_path / "board").read_text() == "choir\nparty"


def add_large(office: Office, count: int) -> list[Path]:
    """Add messages that take borg seconds to read."""
    paths = office.add_many(count)
    for path in paths:
        received = path.stat().st_mtime
        path.write_bytes(path.read_bytes() + os.urandom(4_000_000))
        os.utime(path, (received, received))
    return paths


def wait_until(arrived: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while not arrived():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def borgs(repository_root: Path) -> list[int]:
    """Return the processes of borg that work below a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile
        if any(b"borg" in word for word in command[:3]) and any(
            word.startswith(os.fsencode(repository_root)) for word in command
        ):
            found.append(int(entry.name))
    return found
