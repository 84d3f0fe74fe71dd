import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailrewind.ports import Process
from mailrewind.transports.processes import Completed, is_alive, run, stream, this_process

# Writes its own and its child's process id into the working directory, then waits for ever.
FAMILY = """\
echo $$ > parent
sleep 1000 & echo $! > child
echo started >&2
wait
"""
DEAF = "trap '' TERM\n" + FAMILY


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for name in ("parent", "child"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            if (pid := int((tmp_path / name).read_text())) > 1:
                os.kill(pid, signal.SIGKILL)


def state_of(pid_file: Path) -> str:
    """R, S, ... for a process, Z for a zombie, "" for none."""
    try:
        stat = Path(f"/proc/{int(pid_file.read_text())}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[0]


def both_states(family: Path) -> tuple[str, str]:
    # A dead grandchild is init's to reap, so it may be a zombie for a moment.
    return state_of(family / "parent"), state_of(family / "child").replace("Z", "")


def wait_until_gone(family: Path, seconds: float) -> tuple[str, str]:
    last = time.monotonic() + seconds
    while both_states(family) != ("", "") and time.monotonic() < last:
        time.sleep(0.05)
    return both_states(family)


def test_program_gives_its_code_output_and_errors():
    script = "echo out; echo one >&2; printf two >&2; exit 3"

    assert run(["sh", "-c", script]) == Completed(3, b"out\n", "one\ntwo")


def test_large_input_and_output_pass_through():
    data = os.urandom(3_000_000)

    assert run(["cat"], stdin=data).stdout == data


def test_program_that_does_not_read_its_input_does_no_harm():
    assert run(["true"], stdin=b"x" * 3_000_000) == Completed(0, b"", "")


def test_program_without_input_reads_nothing():
    assert run(["cat"]) == Completed(0, b"", "")


def test_lines_of_standard_error_arrive_while_the_program_runs():
    arrived: list[tuple[str, bool]] = []
    start = time.monotonic()
    script = "echo first >&2; sleep 1; echo second >&2"

    run(
        ["sh", "-c", script],
        on_stderr_line=lambda line: arrived.append((line, time.monotonic() - start > 0.9)),
    )

    assert arrived == [("first", False), ("second", True)]


def test_lines_are_heard_in_the_thread_that_called():
    heard: list[int] = []
    run(["sh", "-c", "echo x >&2"], on_stderr_line=lambda _: heard.append(threading.get_ident()))

    assert heard == [threading.get_ident()]


def test_only_the_last_lines_of_a_chatty_program_are_kept():
    completed = run(["sh", "-c", "seq 1 5000 >&2"])

    assert completed.stderr.splitlines() == [str(number) for number in range(4001, 5001)]


def test_missing_program_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        run(["no-such-program"])


def test_arguments_are_never_read_by_a_shell():
    nasty = ["$(id)", "a b", "'", '"', "*", "a\nb", "-x", "\udcff"]

    assert run(["printf", "%s\\0", *nasty]).stdout == b"".join(
        os.fsencode(argument) + b"\0" for argument in nasty
    )


def test_only_harmless_variables_pass_to_the_child(monkeypatch):
    for name in ("BORG_PASSPHRASE", "PREFECT_API_AUTH_STRING", "MY_OWN_NAME_FOR_IT"):
        monkeypatch.setenv(name, "geheim")
    monkeypatch.setenv("LC_TIME", "C")

    told = run(["env", "-0"], environment={"GIVEN": "yes"}).stdout

    names = {line.partition(b"=")[0] for line in told.split(b"\0") if line}
    assert b"geheim" not in told
    assert {b"GIVEN", b"PATH", b"LC_TIME"} <= names


def test_descriptors_are_inherited_only_if_named():
    reading, writing = os.pipe()
    other_reading, other_writing = os.pipe()
    os.set_inheritable(other_reading, True)
    os.write(writing, b"through the pipe")
    os.close(writing)
    try:
        descriptors = run(["ls", "/proc/self/fd"], pass_fds=(reading,)).stdout.split()
        content = run(["cat", f"/dev/fd/{reading}"], pass_fds=(reading,)).stdout
    finally:
        for descriptor in (reading, other_reading, other_writing):
            os.close(descriptor)

    assert content == b"through the pipe"
    assert str(reading).encode() in descriptors
    assert str(other_reading).encode() not in descriptors


def test_timeout_ends_the_whole_family(family):
    with pytest.raises(TimeoutError, match="sh did not end within 1 s"):
        run(["sh", "-c", FAMILY], cwd=family, timeout_seconds=1)

    assert wait_until_gone(family, 2) == ("", "")


def test_exception_from_a_line_ends_the_whole_family_first(family):
    class Enough(Exception):
        pass

    def refuse(line: str) -> None:
        raise Enough(line)

    with pytest.raises(Enough, match="started"):
        run(["sh", "-c", FAMILY], cwd=family, on_stderr_line=refuse)

    assert wait_until_gone(family, 2) == ("", "")


def test_interrupt_from_the_keyboard_ends_the_whole_family_first(family):
    def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    timer = threading.Timer(0.5, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", FAMILY], cwd=family)
    timer.join()

    assert wait_until_gone(family, 2) == ("", "")


def test_family_that_ignores_sigterm_is_killed_after_the_grace(family, monkeypatch):
    monkeypatch.setattr("mailrewind.transports.processes.GRACE_SECONDS", 1.0)

    with pytest.raises(TimeoutError):
        run(["sh", "-c", DEAF], cwd=family, timeout_seconds=0.5)

    assert wait_until_gone(family, 2) == ("", "")


def test_nothing_outlives_a_program_that_ends_by_itself(family):
    completed = run(["sh", "-c", "sleep 1000 & echo $! > child; echo done"], cwd=family)

    assert completed == Completed(0, b"done\n", "")
    assert wait_until_gone(family, 2) == ("", "")


def test_pipe_held_by_a_daemon_does_not_hold_us_up(family):
    script = "setsid sleep 1000 & echo $! > child; echo done"
    start = time.monotonic()

    completed = run(["sh", "-c", script], cwd=family)

    assert completed == Completed(0, b"done\n", "")
    assert time.monotonic() - start < 5


def test_stream_reads_while_the_program_runs_and_tells_how_it_ended():
    with stream(["sh", "-c", "echo one; sleep 1; echo two; echo bad >&2; exit 4"]) as output:
        start = time.monotonic()
        first = output.readline()
        waited = time.monotonic() - start
        rest = output.read()
        ended = output.finish()

    assert (first, rest, ended) == (b"one\n", b"two\n", Completed(4, b"", "bad"))
    assert waited < 0.9


def test_stream_of_any_size_is_whole():
    with stream(["sh", "-c", "seq 1 400000; echo x >&2"]) as output:
        lines = output.read().splitlines()

    assert lines == [str(number).encode() for number in range(1, 400_001)]


def test_leaving_a_stream_early_ends_the_program(family):
    with stream(["sh", "-c", "echo $$ > parent; exec yes"], cwd=family) as output:
        assert output.read(4) == b"y\ny\n"

    assert state_of(family / "parent") == ""


def test_family_dies_with_a_supervisor_that_is_killed(family):
    well_behaved = f"trap 'kill $!; exit' TERM\n{FAMILY}"
    code = f"from mailrewind.transports.processes import run\nrun(['sh', '-c', {well_behaved!r}])\n"
    supervisor = subprocess.Popen([sys.executable, "-c", code], cwd=family)
    last = time.monotonic() + 20
    while not (family / "child").exists() and time.monotonic() < last:
        time.sleep(0.05)
    time.sleep(0.2)
    assert "" not in both_states(family)

    supervisor.kill()
    supervisor.wait()

    assert wait_until_gone(family, 5) == ("", "")


def test_this_process_is_alive():
    assert is_alive(this_process())


def test_dead_and_zombie_processes_are_not_alive(tmp_path):
    child = subprocess.Popen(["sleep", "1000"])
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    process = replace(this_process(), pid=child.pid, started=int(fields[19]))
    alive = [is_alive(process)]

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    alive.append(is_alive(process))
    child.wait()
    alive.append(is_alive(process))

    assert alive == [True, False, False]


@pytest.mark.parametrize("change", [{"boot_id": "another"}, {"started": 1}, {"pid": 2**22 + 1}])
def test_process_of_another_boot_or_with_a_reused_id_is_dead(change):
    assert not is_alive(replace(this_process(), **change))


def test_process_of_another_host_is_taken_for_alive():
    assert is_alive(Process("elsewhere", 1, "another", 1))
