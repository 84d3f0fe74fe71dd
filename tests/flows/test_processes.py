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
