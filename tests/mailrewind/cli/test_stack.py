"""up, down and deploy become Prefect's side."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.office import Office

# Ignores SIGINT, as a shell does for what it puts into the background, and calls the command with
# a stand-in for Python.
CALL = """
import signal, sys
from mailrewind.cli.app import cli
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.executable = sys.argv[1]
cli(sys.argv[2:])
"""
STAND_IN = """#!/bin/sh
exec "{python}" -c '
import json, signal, sys
ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
print(json.dumps({{"argv": sys.argv[1:], "ignored": ignored}}))
sys.exit(7)' "$@"
"""


@pytest.mark.parametrize(
    ("words", "argv"),
    [
        (["up"], ["deployments.stack", "up"]),
        (["up", "--foreground"], ["deployments.stack", "up", "--foreground"]),
        (["down"], ["deployments.stack", "down", "--wait", "900"]),
        (["down", "--wait", "7200"], ["deployments.stack", "down", "--wait", "7200"]),
        (["down", "--now"], ["deployments.stack", "down", "--now"]),
        (["deploy"], ["deployments.apply"]),
        (["deploy", "--dry-run"], ["deployments.apply", "--dry-run"]),
    ],
)
def test_verb_becomes_its_program(
    office: Office, tmp_path: Path, words: list[str], argv: list[str]
) -> None:
    python = tmp_path / "python"
    python.write_text(STAND_IN.format(python=sys.executable))
    python.chmod(0o700)
    config = str(office.configuration)
    done = subprocess.run(
        [sys.executable, "-c", CALL, str(python), "--config", config, *words],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 7
    assert json.loads(done.stdout) == {
        "argv": ["-P", "-m", *argv, "--config", config],
        "ignored": False,
    }


def test_down_where_nothing_is_up_says_so(office: Office) -> None:
    command = [sys.executable, "-m", "mailrewind.cli", "--config", str(office.configuration)]
    done = subprocess.run([*command, "down"], capture_output=True, text=True, check=True)
    assert done.stdout == "nothing is running\n"


def test_bad_configuration_is_refused_before_anything_starts(office: Office) -> None:
    office.configuration.write_text("nonsense: 1\n")
    command = [sys.executable, "-m", "mailrewind.cli", "--config", str(office.configuration)]
    done = subprocess.run([*command, "up"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "nonsense: unknown key" in done.stderr
