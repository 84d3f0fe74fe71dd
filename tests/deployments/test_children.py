import signal
import sys
from pathlib import Path

import pytest

from deployments import children
from deployments.children import Program
from mailrewind.ports import Process

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def sleeper(tmp_path: Path) -> Program:
    return Program("sleeper", [sys.executable, "-c", SLEEP], {}, tmp_path, tmp_path / "log")


def test_a_child_is_ended_and_known_to_be(sleeper: Program) -> None:
    process = children.start(sleeper)
    assert children.is_running(process)
    children.stop(process, grace_seconds=10)
    assert not children.is_running(process)
    assert children.exit_code(process) == -signal.SIGTERM


def test_a_process_that_only_has_the_pid_gets_no_signal(sleeper: Program) -> None:
    process = children.start(sleeper)
    other = Process(process.host, process.pid, process.boot_id, process.started - 1)
    children.send(other, signal.SIGKILL)
    assert children.is_running(process)
    children.stop(process, grace_seconds=10)


def test_a_child_hears_sigint_even_if_its_parent_ignores_it(tmp_path: Path) -> None:
    """A shell starts background jobs with SIGINT ignored; a worker would then never stop."""
    listens = (
        "import signal, sys; from deployments.keeping import Signals; from pathlib import Path\n"
        "from deployments import children\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "Signals().listen()\n"
        "ask = 'import signal; print(signal.getsignal(signal.SIGINT).__name__)'\n"
        f"log = Path({str(tmp_path / 'ask.log')!r})\n"
        "program = children.Program('ask', [sys.executable, '-c', ask], {}, log.parent, log)\n"
        "assert children.wait(children.start(program), 20)\n"
    )
    program = Program("p", [sys.executable, "-c", listens], {}, tmp_path, tmp_path / "p.log")
    process = children.start(program)
    assert children.wait(process, 30)
    assert (children.exit_code(process), (tmp_path / "ask.log").read_text()) == (
        0,
        "default_int_handler\n",
    )


def test_a_log_that_has_grown_keeps_one_predecessor(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_bytes(b"x" * (10 * 1024 * 1024))
    with log.open("ab") as writer:
        children.rotate(log)
        writer.write(b"after")
    assert log.read_bytes() == b"after"
    assert (tmp_path / "worker.log.1").stat().st_size == 10 * 1024 * 1024
    assert (tmp_path / "worker.log.1").stat().st_mode & 0o777 == 0o600
