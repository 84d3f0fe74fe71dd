"""Bringing messages back from the command line, and undoing it."""

import json
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.command import Call
from tests.office import BOB, Office, Seen, remove


@dataclass(frozen=True, slots=True)
class Loss:
    """A mailbox that has lost all of its messages since the restore point.

    Attributes:
        office: Where it is.
        mailbox: Address.
        before: What a person would have noticed then.
    """

    office: Office
    mailbox: str
    before: "Counter[Seen]"

    @property
    def restore(self) -> tuple[str, ...]:
        return ("restore", "mailbox", "office", self.mailbox)

    @property
    def now(self) -> "Counter[Seen]":
        return self.office.snapshot(self.mailbox)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Office, Iterator[str]]:
    """An office with one restore point, and a mailbox for each test in it."""
    office = Office(tmp_path_factory.mktemp("house") / "office")
    addresses = [f"user{number}@example.org" for number in range(12)]
    for address in addresses:
        office.add_many(3, address)
        office.add(address, ".Projects")
        office.add(address, ".Projects.2026")
    office.back_up()
    return office, iter(addresses)


@pytest.fixture
def loss(house: tuple[Office, Iterator[str]]) -> Loss:
    office, addresses = house
    mailbox = next(addresses)
    before = office.snapshot(mailbox)
    remove(list(office.maildir(mailbox).rglob("cur/*")))
    return Loss(office, mailbox, before)


@pytest.fixture
def call(loss: Loss) -> Call:
    return Call(loss.office.configuration)


def printed(call: Call, *words: str) -> Any:
    return json.loads(call(*words, "--json").stdout)


def test_plan_is_shown_and_nothing_is_changed(call: Call, loss: Loss) -> None:
    (point,) = loss.office.services.state.points("office")
    plan = printed(call, *loss.restore)
    assert loss.now == Counter()
    assert (plan["point"], plan["present"], plan["moved"]) == (point.name, 0, [])
    assert Counter((each["folder"], each["target"]) for each in plan["to_add"]) == {
        ("INBOX", "INBOX"): 3,
        ("Projects", "Projects"): 1,
        ("Projects/2026", "Projects/2026"): 1,
    }
    assert plan["command"] == (
        f"mailrewind --config {loss.office.configuration} restore mailbox office {loss.mailbox} "
        f"--plan {plan['id']} --yes"
    )


def test_plan_is_said_in_words(call: Call, loss: Loss) -> None:
    shown = call(*loss.restore).stdout
    assert "5 messages, " in shown
    assert "2026-11-20 14:00 EET, " in shown
    assert "INBOX               3  since the newest restore point" in shown
    assert "Nothing has been changed. Do it with: mailrewind " in shown


def test_command_of_the_plan_brings_back_what_was_lost(call: Call, loss: Loss) -> None:
    command = shlex.split(printed(call, *loss.restore)["command"])
    result = call(*command[3:], "--reason", "asked by phone")
    assert result.exit_code == 0
    assert "5 messages, read back and compared" in result.stdout
    assert loss.now == loss.before
    audit = loss.office.services.state.audit_lines()
    (line,) = [line for line in audit if line.mailbox == loss.mailbox]
    assert line.who.startswith("cli:")
    assert line.text.endswith("reason: asked by phone")


def test_second_restore_adds_nothing(call: Call, loss: Loss) -> None:
    assert call(*loss.restore, "--yes").exit_code == 0
    again = printed(call, *loss.restore, "--yes")
    assert (again["added"], again["present"]) == ([], 5)
    assert loss.now == loss.before
    assert "Nothing is missing; there is nothing to do." in call(*loss.restore).stdout


def test_wishes_reach_the_plan(call: Call, loss: Loss) -> None:
    (point,) = loss.office.services.state.points("office")
    words = ("--folder", "Projects", "--into", "restored", "--at", point.name, "--also-moved")
    plan = printed(call, *loss.restore, *words, "--over-quota")
    assert sorted(each["target"] for each in plan["to_add"]) == [
        "Restored/2026-11-20/Projects",
        "Restored/2026-11-20/Projects/2026",
    ]
    assert (plan["at"], plan["also_moved"], plan["over_quota"]) == (point.name, True, True)


def test_single_messages_are_chosen_by_number(call: Call, loss: Loss) -> None:
    rows = printed(call, "messages", "office", loss.mailbox, "INBOX")
    numbers = [row["number"] for row in rows][:2]
    words = [word for number in numbers for word in ("--message", str(number))]
    plan = printed(call, *loss.restore, *words)
    assert sorted(each["number"] for each in plan["to_add"]) == sorted(numbers)


def test_plan_is_carried_out_as_it_is_or_not_at_all(call: Call, loss: Loss) -> None:
    plan = printed(call, *loss.restore)
    other = call("restore", "mailbox", "office", BOB, "--plan", plan["id"], "--yes")
    assert other.exit_code == 2
    assert f"Plan {plan['id']} is for {loss.mailbox} of office." in other.stderr
    wishes = call(*loss.restore, "--plan", plan["id"], "--folder", "INBOX", "--yes")
    assert wishes.exit_code == 2
    assert call(*loss.restore, "--plan", "00000000", "--yes").exit_code == 40
    assert loss.now == Counter()


def test_plan_is_shown_again_by_its_id(call: Call, loss: Loss) -> None:
    plan = printed(call, *loss.restore)
    assert printed(call, *loss.restore, "--plan", plan["id"]) == plan


def test_undo_takes_out_what_the_restore_added_and_only_with_yes(call: Call, loss: Loss) -> None:
    report = printed(call, *loss.restore, "--yes")
    planned = call("undo", report["id"])
    assert "at most 5 messages" in planned.stdout
    assert loss.now == loss.before
    undone = call("undo", report["id"], "--yes")
    assert undone.stdout.splitlines()[0] == f"Restore {report['id']} of {loss.mailbox} is undone."
    assert loss.now == Counter()
    assert call("undo", report["id"], "--yes").exit_code == 40
    assert "It was undone at " in call("undo", report["id"]).stdout


def test_second_restore_says_for_whom_it_waits(call: Call, loss: Loss) -> None:
    state = loss.office.services.state
    command = [sys.executable, "-m", "mailrewind.cli", "--config", str(call.configuration)]
    with state.lease("office", loss.mailbox, "plan 3f9a1c20 by prefect"):
        waiting = subprocess.Popen(
            [*command, *loss.restore, "--yes"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert waiting.stderr is not None
        said = waiting.stderr.readline().decode()
        assert loss.now == Counter()
    _, rest = waiting.communicate(timeout=60)
    assert said.startswith("Waiting for plan 3f9a1c20 by prefect, which began ")
    assert (waiting.returncode, rest, loss.now) == (0, b"", loss.before)


def test_place_without_the_message_is_refused(call: Call, loss: Loss, tmp_path: Path) -> None:
    assert call(*loss.restore, "--folder", "Nowhere").exit_code == 10
    assert call(*loss.restore, "--message", "999999").exit_code == 10
    assert call("restore", "mailbox", "office", "eve@example.org").exit_code == 10


def test_plan_over_quota_says_the_way_that_is_open(call: Call, loss: Loss) -> None:
    (loss.office.maildir(loss.mailbox) / "maildirsize").write_text("2C\n0 0\n")
    refused, allowed = call(*loss.restore).stdout, call(*loss.restore, "--over-quota").stdout
    assert refused.splitlines()[-1] == (
        "It does not fit into the quota. To go over it, plan again with --over-quota."
    )
    assert allowed.splitlines()[-1].startswith("Nothing has been changed. Do it with: ")
