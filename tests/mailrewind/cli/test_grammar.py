"""The grammar: options anywhere, one exit code per error family, a quick start."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailrewind.cli.app import cli
from tests.command import Call
from tests.office import Office

MAILREWIND = [sys.executable, "-m", "mailrewind.cli"]


def test_global_options_may_stand_anywhere(office: Office) -> None:
    path = str(office.configuration)
    outputs = {
        CliRunner().invoke(cli, words).stdout
        for words in (
            ["--config", path, "--json", "systems"],
            ["--config", path, "systems", "--json"],
            ["systems", "--json", "--config", path],
        )
    }
    (output,) = outputs
    assert [row["name"] for row in json.loads(output)] == ["office"]


def test_error_is_said_with_its_advice_and_nothing_else(call: Call) -> None:
    result = call("points", "offce")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        "Error: No system is called 'offce'.\nSee `mailrewind systems` for the names.\n"
    )


def test_error_is_json_where_json_is_asked_for(call: Call) -> None:
    result = call("points", "offce", "--json")
    assert result.stderr == ""
    assert json.loads(result.stdout) == {
        "error": "UnknownSystem",
        "message": "No system is called 'offce'.",
        "advice": "See `mailrewind systems` for the names.",
        "retryable": False,
        "exit_code": 2,
    }


def test_traceback_is_shown_only_when_asked_for(call: Call) -> None:
    assert "Traceback" not in call("points", "offce").stderr
    assert "Traceback" in call("points", "offce", "--verbose").stderr


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("mailboxes", "office"), 40),  # there is no restore point yet
        (("repository", "info", "main"), 20),  # there is no repository yet
        (("watch", "--try"), 60),  # nobody is configured to be told
        (("repository", "list", "other"), 2),
        (("restore", "mailbox", "office"), 2),
        (("retain",), 2),
        (("nonsense",), 2),
    ],
)
def test_exit_code_tells_the_family(call: Call, words: tuple[str, ...], exit_code: int) -> None:
    assert call(*words).exit_code == exit_code


def test_missing_configuration_says_where_it_was_looked_for(call: Call, tmp_path: Path) -> None:
    result = call("systems", config=tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        f"Error: There is no configuration file at {tmp_path / 'none.yaml'}.\n"
    )


def test_help_needs_neither_database_nor_validation() -> None:
    heavy = "{'sqlalchemy', 'pydantic', 'apprise', 'prefect', 'fastapi'}"
    code = f"import sys, mailrewind.cli; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_ctrl_c_ends_with_130_and_one_word(office: Office) -> None:
    process = subprocess.Popen(
        [*MAILREWIND, "--config", str(office.configuration), "watch", "--loop", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() != ""  # it has looked once
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr.splitlines()[-1]) == (130, "Stopped.")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["SIGTERM", "SIGHUP"]
)
def test_an_end_from_outside_is_a_clean_one(office: Office, number: int, code: int) -> None:
    process = subprocess.Popen(
        [*MAILREWIND, "--config", str(office.configuration), "watch", "--loop", "60"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() != ""
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == code
