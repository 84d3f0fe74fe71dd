import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from mailrewind.errors import RecoveryNotArmed
from mailrewind.model.reports import Finding
from mailrewind.systems.mailcow.interruption import interrupted
from mailrewind.systems.mailcow.recovery import directory_of, in_order, recover_leftovers
from mailrewind.transports.containers import Project
from tests.mailcow_office import SYSTEM, MailcowOffice
from tests.stacks.mailcow.stack import MailcowStack

pytest_plugins = ["tests.mailcow"]

ADA = "ada@example.org"
DOVECOT, MYSQL, SOGO = "dovecot-mailcow", "mysql-mailcow", "sogo-mailcow"
MEMCACHED, WATCHDOG = "memcached-mailcow", "watchdog-mailcow"
HOLDER = Path(__file__).with_name("holding_services.py")


@pytest.fixture
def project(mailcow: MailcowStack) -> Iterator[Project]:
    with Project(mailcow.project) as project:
        yield project


@contextmanager
def holder(
    project: Project, data_dir: Path, *services: str, at_most: float = 600, waits: bool = True
) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that has stopped the services."""
    arguments = [project.name, str(data_dir), str(at_most), *services]
    with subprocess.Popen(
        [sys.executable, str(HOLDER), *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            if waits:
                assert process.stdout is not None
                assert process.stdout.readline() == "stopped\n"
            yield process
        finally:
            process.kill()


def running(project: Project) -> set[str]:
    return {name for name, state in project.services().items() if state.state == "running"}


def until(claim: Callable[[], bool], seconds: float) -> float:
    """Wait for something; return how many seconds it took."""
    began = time.monotonic()
    while not claim():
        assert time.monotonic() - began < seconds, "it did not happen"
        time.sleep(0.1)
    return time.monotonic() - began


def test_services_start_after_what_they_need_and_the_watchdog_last() -> None:
    assert in_order([WATCHDOG, SOGO, "olefy-mailcow", DOVECOT, MYSQL, DOVECOT]) == (
        MYSQL,
        DOVECOT,
        SOGO,
        "olefy-mailcow",
        WATCHDOG,
    )


def test_services_are_stopped_with_the_watchdog_and_answer_again_afterwards(
    mailcow: MailcowStack, project: Project, tmp_path: Path
) -> None:
    before = running(project)
    with interrupted(
        SimpleNamespace(project=project),
        [DOVECOT, "no-such-mailcow"],
        system="office",
        data_dir=tmp_path,
        holder="a test",
    ):
        assert before - running(project) == {DOVECOT, WATCHDOG}
        time.sleep(6)  # the watchdog would have started it by now
        assert DOVECOT not in running(project)
    assert running(project) == before
    with mailcow.imap(ADA):
        pass
    until(lambda: not list(directory_of(tmp_path, "office").glob("*.armed")), 10)


def test_what_did_not_run_before_is_not_started(project: Project, tmp_path: Path) -> None:
    project.stop(MEMCACHED)
    try:
        with interrupted(
            SimpleNamespace(project=project),
            [DOVECOT, MEMCACHED],
            system="office",
            data_dir=tmp_path,
            holder="a test",
        ):
            pass
        assert MEMCACHED not in running(project)
    finally:
        project.start(MEMCACHED)


def test_within_another_interruption_nothing_is_started_too_early(
    project: Project, tmp_path: Path
) -> None:
    installation = SimpleNamespace(project=project)

    def stopped(*services: str) -> object:
        return interrupted(
            installation, services, system="office", data_dir=tmp_path, holder="a test"
        )

    with stopped(DOVECOT):
        with stopped(DOVECOT, MEMCACHED):
            assert {DOVECOT, MEMCACHED} & running(project) == set()
        assert {DOVECOT, MEMCACHED} & running(project) == {MEMCACHED}
    assert {DOVECOT, MEMCACHED} <= running(project)


def test_after_kill_9_of_the_holder_the_services_answer_within_90_seconds(
    mailcow: MailcowStack, project: Project, tmp_path: Path
) -> None:
    before = running(project)
    with holder(project, tmp_path, MYSQL, DOVECOT, SOGO) as process:
        assert before - running(project) == {MYSQL, DOVECOT, SOGO, WATCHDOG}
        process.kill()
        process.wait()
        seconds = until(lambda: running(project) == before, 90)
    print(f"all services run again {seconds:.1f} s after kill -9")
    mailcow.wait("mysql", "dovecot", "sogo")
    until(lambda: not list(directory_of(tmp_path, "office").glob("*.json")), 60)
    [finding] = recover_leftovers(project, system="office", data_dir=tmp_path)
    assert finding.subject == "office"
    assert f"{MYSQL}, {DOVECOT}, {SOGO}, {WATCHDOG} were started at " in finding.text
    assert "because plan 3f9a1c20, which had stopped them, was gone" in finding.text


def test_after_kill_9_while_a_service_is_being_stopped_all_of_them_run_and_go_on_running(
    mailcow: MailcowStack, project: Project, tmp_path: Path
) -> None:
    before = running(project)
    # It does not hear that it should end, so the engine waits before it kills it.
    os.kill(mailcow.service("sogo").attrs["State"]["Pid"], signal.SIGSTOP)
    with holder(project, tmp_path, DOVECOT, SOGO, waits=False) as process:
        until(lambda: WATCHDOG not in running(project), 60)
        time.sleep(2)
        assert {DOVECOT, SOGO} < running(project)
        process.kill()
        process.wait()
        until(lambda: not list(directory_of(tmp_path, "office").glob("*.json")), 90)
    assert running(project) == before
    time.sleep(12)
    assert running(project) == before


def test_a_cancelled_holder_starts_the_services_itself_within_30_seconds(
    project: Project, tmp_path: Path
) -> None:
    before = running(project)
    with holder(project, tmp_path, MYSQL, DOVECOT, SOGO) as process:
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait()
        seconds = time.monotonic() - began
        assert running(project) == before
    print(f"all services run again {seconds:.1f} s after the cancellation")
    assert seconds < 30
    assert recover_leftovers(project, system="office", data_dir=tmp_path) == []


def test_cancelled_while_a_service_is_being_stopped_all_run_within_30_seconds_and_go_on_running(
    mailcow: MailcowStack, project: Project, tmp_path: Path
) -> None:
    before = running(project)
    os.kill(mailcow.service("sogo").attrs["State"]["Pid"], signal.SIGSTOP)
    with holder(project, tmp_path, DOVECOT, SOGO, waits=False) as process:
        until(lambda: WATCHDOG not in running(project), 60)
        time.sleep(2)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait()
        assert time.monotonic() - began < 30
    assert running(project) == before
    time.sleep(12)
    assert running(project) == before


def test_services_are_started_when_their_time_is_over_although_the_holder_lives(
    project: Project, tmp_path: Path
) -> None:
    before = running(project)
    with holder(project, tmp_path, DOVECOT, at_most=10) as process:
        until(lambda: running(project) == before, 60)
        assert process.poll() is None


def test_when_the_timer_was_killed_too_whoever_comes_next_starts_the_services(
    mailcow: MailcowStack, project: Project, tmp_path: Path
) -> None:
    before = running(project)
    with holder(project, tmp_path, DOVECOT) as process:
        [mark] = directory_of(tmp_path, "office").glob("*.armed")
        os.kill(int(mark.read_text()), signal.SIGKILL)
        process.kill()
        process.wait()
        assert DOVECOT not in running(project)
    [finding] = recover_leftovers(project, system="office", data_dir=tmp_path)
    assert isinstance(finding, Finding)
    assert running(project) == before
    mailcow.wait("dovecot")
    assert recover_leftovers(project, system="office", data_dir=tmp_path) == []


def test_the_next_backup_starts_what_a_dead_process_left_stopped(
    mailcow: MailcowStack, project: Project, tmp_path: Path
) -> None:
    office = MailcowOffice(mailcow, tmp_path)
    before = running(project)
    with holder(project, tmp_path / "data", DOVECOT) as process:
        [mark] = directory_of(tmp_path / "data", SYSTEM).glob("*.armed")
        os.kill(int(mark.read_text()), signal.SIGKILL)
        process.kill()
        process.wait()
    office.back_up()
    assert running(project) == before


def test_what_another_living_process_has_stopped_is_left_alone(
    project: Project, tmp_path: Path
) -> None:
    with holder(project, tmp_path, DOVECOT):
        assert recover_leftovers(project, system="office", data_dir=tmp_path) == []
        assert DOVECOT not in running(project)
        os.kill(os.getpid(), 0)
    until(lambda: DOVECOT in running(project), 90)
    until(lambda: not list(directory_of(tmp_path, "office").glob("*.json")), 60)


def test_without_a_timer_nothing_is_stopped(project: Project, tmp_path: Path) -> None:
    before = project.services()
    (directory_of(tmp_path, "office") / "log").mkdir(parents=True)
    with (
        pytest.raises(RecoveryNotArmed, match="cannot be started"),
        interrupted(
            SimpleNamespace(project=project),
            [DOVECOT],
            system="office",
            data_dir=tmp_path,
            holder="a test",
            at_most=timedelta(minutes=1),
        ),
    ):
        raise AssertionError("it should not have come here")
    assert project.services() == before
