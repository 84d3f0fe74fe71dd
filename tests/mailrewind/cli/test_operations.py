"""Restores beyond messages, from the command line."""

import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import mailrewind.wiring
from mailrewind.config import Config
from mailrewind.model.operations import OperationReport
from mailrewind.model.points import PointStatus, RestorePoint, point_name
from mailrewind.transports.processes import this_process
from mailrewind.wiring import Services
from tests.command import Call
from tests.doubles_operations import NoticeBoard
from tests.mailrewind.cli.test_output import documented
from tests.office import ADA, BOB, Office, remove

CALENDARS = ("restore", "calendars", "office", ADA)


@pytest.fixture
def board(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NoticeBoard:
    """A board in the place of calendars, of everything that the command wires."""
    (tmp_path / "copy").write_text("fire drill\nlost cat\nchoir")
    (tmp_path / "board").write_text("choir\nparty")
    board = NoticeBoard(tmp_path / "board", tmp_path / "copy", name="calendars")
    original = mailrewind.wiring.wire

    def wire(config: Config) -> Services:
        services = original(config)
        services.connect("office").operations["calendars"] = board
        return services

    # A Maildir tree has no operations, and a mailcow needs a stack of containers: what is tried
    # here is the command, whatever it is that is restored.
    monkeypatch.setattr(mailrewind.wiring, "wire", wire)
    return board


def notices(board: NoticeBoard) -> list[str]:
    return board.board.read_text().split("\n")


def shown(call: Call, *words: str) -> Any:
    result = call(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_without_yes_the_plan_is_shown_and_nothing_is_changed(
    call: Call, board: NoticeBoard
) -> None:
    result = call(*CALENDARS, "--mode", "reset")
    assert notices(board) == ["choir", "party"]
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    plan_id = lines[0].split()[-1]
    assert lines[1:6] == [
        f"Would            restore the calendars and contacts of {ADA} on office",
        "Mode             reset",
        "Preferences too  no",
        "Titles           no",
        "In short         2 added, 1 lost",
    ]
    changes = [line.split("  ")[0] for line in lines if "  added  " in line or "  lost " in line]
    assert changes == ["party", "fire drill", "lost cat"]
    words = f"{' '.join(CALENDARS)} --plan {plan_id} --system-name NAME --yes"
    assert lines[-2].startswith("Do it with: mailrewind --config ")
    assert lines[-2].endswith(words)
    assert lines[-1] == "where NAME is the system's name, typed by you."


def test_plan_as_json_says_everything(call: Call, board: NoticeBoard) -> None:
    plan = shown(call, *CALENDARS, "--record", "lost cat", "--reason", "ticket 17")
    assert set(plan) == documented("operation plan")
    assert plan.pop("command").endswith(f"restore calendars office {ADA} --plan {plan['id']} --yes")
    del plan["id"], plan["made_at"]
    assert plan == {
        "operation": "calendars",
        "system": "office",
        "target": ADA,
        "at": "latest",
        "choices": {
            "mode": ["merge"],
            "records": ["lost cat"],
            "preferences": ["no"],
            "titles": ["no"],
        },
        "reason": "ticket 17",
        "point": "",
        "moment": None,
        "is_destructive": False,
        "changes": [{"effect": "added", "subject": "lost cat", "text": "", "count": 1}],
        "findings": [{"subject": "board", "text": "hangs outside"}],
    }


def test_what_destroys_nothing_is_done_with_yes_and_can_be_undone(
    call: Call, board: NoticeBoard
) -> None:
    done = shown(call, *CALENDARS, "--yes")
    assert notices(board) == ["choir", "party", "fire drill", "lost cat"]
    assert set(done) == documented("operation report")
    assert set(done["outcome"]) == documented("outcome")
    assert done["outcome"]["counts"][0] == {"what": "notices put up", "number": 2}
    assert done["undo"].endswith(f"undo {done['id']} --yes")

    planned = call("undo", done["id"]).stdout
    assert f"undo {done['id']} --yes" in planned
    assert notices(board)[-1] == "lost cat"
    undone = shown(call, "undo", done["id"], "--yes")
    assert notices(board) == ["choir", "party"]
    assert (undone["undo"], undone["taken_back"]["counts"]) == (
        None,
        [{"what": "notices as before", "number": 2}],
    )
    assert call("undo", done["id"], "--yes").exit_code == 40
    assert "was undone at" in call("undo", done["id"]).stdout


def test_what_destroys_something_needs_plan_and_name(call: Call, board: NoticeBoard) -> None:
    at_once = call(*CALENDARS, "--mode", "reset", "--system-name", "office", "--yes")
    assert at_once.exit_code == 40
    plan_id = shown(call, *CALENDARS, "--mode", "reset")["id"]
    unnamed = call(*CALENDARS, "--plan", plan_id, "--yes")
    assert unnamed.stderr.splitlines()[-1] == (
        f"Read the plan, give its id {plan_id}, and type the system's name: office"
    )
    misnamed = call(*CALENDARS, "--plan", plan_id, "--system-name", "OFFICE", "--yes")
    assert "'OFFICE' was typed" in misnamed.stderr
    assert (unnamed.exit_code, misnamed.exit_code) == (40, 40)
    assert notices(board) == ["choir", "party"]

    named = call(*CALENDARS, "--plan", plan_id, "--system-name", "office", "--yes")
    assert named.exit_code == 0
    assert notices(board) == ["choir", "fire drill", "lost cat"]
    assert "Notices taken down" in named.stdout


def test_who_is_waited_for_is_named(call: Call, office: Office, board: NoticeBoard) -> None:
    plan_id = shown(call, *CALENDARS, "--mode", "reset")["id"]
    state = office.services.state
    now = datetime.now(UTC)
    point = RestorePoint(point_name("office", now), "office", now, PointStatus.MAKING, (), "main")
    state.begin_point(point, this_process())

    def end_the_backup_once_it_is_waited_for() -> None:
        while not state.leases():
            time.sleep(0.01)
        state.end_point(point.name, PointStatus.CANCELLED, now)

    ending = threading.Thread(target=end_the_backup_once_it_is_waited_for, daemon=True)
    ending.start()
    result = call(*CALENDARS, "--plan", plan_id, "--system-name", "office", "--yes")
    ending.join(60)
    assert f"Waiting for the backup {point.name}, which began " in result.stderr
    assert (result.exit_code, notices(board)) == (0, ["choir", "fire drill", "lost cat"])


def test_plan_is_carried_out_as_it_is_and_for_what_it_was_made(
    call: Call, board: NoticeBoard
) -> None:
    plan_id = shown(call, *CALENDARS)["id"]
    wishes = call(*CALENDARS, "--plan", plan_id, "--folder", "Calendar/personal", "--yes")
    other = call("restore", "calendars", "office", BOB, "--plan", plan_id, "--yes")
    assert "without other wishes" in wishes.stderr
    assert f"Plan {plan_id} is to restore the calendars and contacts of {ADA}" in other.stderr
    assert (wishes.exit_code, other.exit_code) == (2, 2)
    assert notices(board) == ["choir", "party"]
    assert call(*CALENDARS, "--plan", plan_id, "--reason", "x", "--yes").exit_code == 0


DELETED = {"source": ["garbage"], "whatever_it_holds": ["no"], "create": ["no"]}
DATABASE = {
    "keep_newer_credentials": ["yes"],
    "returning": ["disabled"],
    "from_another": ["no"],
}


@pytest.mark.parametrize(
    ("words", "operation", "target", "choices"),
    [
        (("restore", "deleted"), "deleted", ADA, DELETED),
        (
            ("restore", "account"),
            "account",
            ADA,
            {
                "what": ["mailbox", "aliases", "filters", "quota", "sogo profile"],
                "keep_newer_credentials": ["yes"],
                "from_another": ["no"],
            },
        ),
        (("replace", "mailbox"), "replace", ADA, {"newer": ["lose"]}),
        (("restore", "database"), "database", "", DATABASE),
        (("restore", "server"), "server", "", {}),
    ],
)
def test_each_command_asks_for_its_operation(
    call: Call,
    office: Office,
    board: NoticeBoard,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    operation: str,
    target: str,
    choices: dict[str, list[str]],
) -> None:
    argv = (*words, "office", *([target] if target else []))
    refused = call(*argv)
    assert refused.exit_code == 40
    assert f"The system office has no restore called '{operation}'" in refused.stderr

    original = mailrewind.wiring.wire

    def wire(config: Config) -> Services:
        services = original(config)
        services.connect("office").operations[operation] = board
        return services

    monkeypatch.setattr(mailrewind.wiring, "wire", wire)
    plan = shown(call, *argv)
    assert (plan["operation"], plan["target"], plan["choices"]) == (operation, target, choices)


def test_list_of_restores_shows_both_kinds_newest_first(
    call: Call, office: Office, board: NoticeBoard
) -> None:
    lost = office.add_many(2)
    office.back_up()
    remove(lost)
    messages = shown(call, "restore", "mailbox", "office", ADA, "--yes", "--reason", "ticket 17")
    notices_ = shown(call, *CALENDARS, "--yes")
    call("undo", notices_["id"], "--yes")
    listed = shown(call, "restores")
    assert [(each["id"], each["operation"], each["status"]) for each in listed] == [
        (notices_["id"], "calendars", "undone"),
        (messages["id"], "mailbox", "done"),
    ]
    assert (listed[1]["result"], listed[1]["reason"]) == ("2 added, 0 failed", "ticket 17")
    assert [each["id"] for each in shown(call, "restores", "--limit", "1")] == [notices_["id"]]
    assert "notices put up: 2, notices taken down: 0" in call("restores").stdout


def test_what_was_broken_off_is_on_every_screen(
    call: Call, office: Office, board: NoticeBoard
) -> None:
    plan = office.services.state.operation_plan(shown(call, *CALENDARS)["id"])
    died = OperationReport(plan.id, plan, plan.made_at, None, None)
    office.services.state.save_operation_report(died)
    deed = f"restore the calendars and contacts of {ADA} on office"
    told = (
        f"restore {plan.id} was broken off, which began to {deed}: undo it with "
        f"`mailrewind undo {plan.id} --yes`, or run it again"
    )
    assert f"BROKEN OFF: {told}." in call("status").stdout.splitlines()
    assert shown(call, "status")["broken_off"] == [plan.id]
    assert [each["status"] for each in shown(call, "restores")] == ["broken off"]
    (examined,) = [each for each in shown(call, "doctor") if each["name"] == "restores"]
    assert (examined["is_good"], examined["text"]) == (False, f"{told}.")
    assert told in call("watch").stdout

    ended = replace(died, finished_at=plan.made_at + timedelta(minutes=1), undone_at=plan.made_at)
    office.services.state.save_operation_report(ended)
    assert shown(call, "status")["broken_off"] == []
    assert "broken off" not in call("watch").stdout
