"""What programs read is documented; what only eyes read goes elsewhere."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.command import Call
from tests.documentation import DOCS
from tests.office import ADA, BOB, Office, remove

# One command for each shape; what changes something comes last.
PRINTED = {
    "configured system": ("systems",),
    "decision": ("points", "office"),
    "mailbox": ("mailboxes", "office"),
    "folder": ("folders", "office", ADA),
    "message": ("messages", "office", ADA, "INBOX"),
    "backup plan": ("backup", "office"),
    "plan": ("restore", "mailbox", "office", ADA),
    "place of a repository": ("repository", "init", "main"),
    "archive": ("repository", "list", "main"),
    "repository": ("repository", "info", "main"),
    "check": ("repository", "check", "main"),
    "overview": ("status",),
    "alarm": ("watch",),
    "configuration": ("config", "check"),
    "examined thing": ("doctor",),
    "error": ("points", "nowhere"),
    "restore report": ("restore", "mailbox", "office", ADA, "--yes"),
    "adopt report": ("repository", "adopt", "office"),
    "restored": ("restores",),
    "retain report": ("retain", "office", "--yes"),
    "backup report": ("backup", "office", "--yes"),
}


# What a plain Maildir tree has not; the tests of these commands compare them.
ELSEWHERE = {
    "operation plan",
    "operation report",
    "calendar folder",
    "calendar item",
    "export report",
    "kept export",
}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """An office with one restore point, and messages lost since."""
    office = Office(tmp_path_factory.mktemp("standing") / "office")
    office.clock.pass_(days=-30)
    lost = [office.add(), office.add(BOB)]
    office.back_up()
    remove(lost)
    return office


def documented(shape: str) -> set[str]:
    """Return the keys that docs/json.md names for a shape, without what stands in brackets."""
    (row,) = re.findall(rf"^\| {shape} \| (.*) \|$", (DOCS / "json.md").read_text(), re.MULTILINE)
    own = re.sub(r"\([^)]*\)", "", row)
    keys = set(re.findall(r"`(\w+)`", own))
    return keys | documented("point") if own.startswith("those of a point") else keys


@pytest.mark.parametrize("shape", PRINTED)
def test_keys_are_those_of_the_documentation(standing: Office, shape: str) -> None:
    printed: Any = json.loads(Call(standing.configuration)(*PRINTED[shape], "--json").stdout)
    first = printed[0] if isinstance(printed, list) else printed
    assert set(first) == documented(shape)


def test_every_shape_is_tried() -> None:
    table = (DOCS / "json.md").read_text().partition("| shape | keys |")[2]
    shapes = set(re.findall(r"^\| ([a-z ]+) \|", table, re.MULTILINE))
    parts = {"point", "finding", "quota", "process", "outcome"}
    assert shapes - set(PRINTED) - parts == ELSEWHERE


def test_progress_is_shown_on_a_terminal_and_output_stays_clean(standing: Office) -> None:
    oldest = standing.services.state.points("office")[0].name
    command = ["--config", str(standing.configuration), "restore", "mailbox", "office", BOB]
    command += ["--at", oldest]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mailrewind.cli", *command, "--yes", "--json"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    shown = bytearray()
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # Linux: the other side is closed
        pass
    os.close(ours)
    stdout, _ = process.communicate()
    assert len(json.loads(stdout)["added"]) == 1
    assert "bringing back" in shown.decode()


def test_nothing_but_the_result_is_printed_into_a_pipe(standing: Office, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mailrewind.cli",
            "--config",
            str(standing.configuration),
            "points",
            "office",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    assert len(json.loads(done.stdout)) >= 1
