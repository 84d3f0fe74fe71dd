"""Bringing messages back from the command line, and undoing it."""

import json
import shlex

from tests.command import Call
from tests.office import ADA, BOB, Office, remove

RESTORE = ("restore", "mailbox", "office", ADA)


def test_plan_is_shown_and_nothing_is_changed(call: Call, office: Office) -> None:
    lost = office.add_many(3)
    office.add(ADA, ".Projects")
    point = office.back_up()
    remove(lost[:2])
    before = office.snapshot()
    plan = json.loads(call(*RESTORE, "--json").stdout)
    assert office.snapshot() == before
    assert (plan["point"], plan["present"], plan["moved"]) == (point, 2, [])
    assert [(each["folder"], each["target"]) for each in plan["to_add"]] == [("INBOX", "INBOX")] * 2
    assert plan["command"] == (
        f"mailrewind --config {office.configuration} restore mailbox office {ADA} "
        f"--plan {plan['id']} --yes"
    )
    shown = call(*RESTORE).stdout
    assert "2 messages, " in shown
    assert "since the newest restore point" in shown
    assert "Nothing has been changed. Do it with: " in shown


def test_command_of_the_plan_brings_back_what_was_lost(call: Call, office: Office) -> None:
    lost = office.add_many(3)
    office.back_up()
    before = office.snapshot()
    remove(lost)
    command = shlex.split(json.loads(call(*RESTORE, "--json").stdout)["command"])
    result = call(*command[3:], "--reason", "asked by phone")
    assert result.exit_code == 0
    assert "3 messages, read back and compared" in result.stdout
    assert office.snapshot() == before
    (line,) = [line for line in office.services.state.audit_lines() if line.action == "restore"]
    assert line.who.startswith("cli:")
    assert line.text.endswith("reason: asked by phone")


def test_second_restore_adds_nothing(call: Call, office: Office) -> None:
    lost = office.add_many(3)
    office.back_up()
    remove(lost)
    assert call(*RESTORE, "--yes").exit_code == 0
    before = office.snapshot()
    again = json.loads(call(*RESTORE, "--yes", "--json").stdout)
    assert (again["added"], again["present"]) == ([], 3)
    assert office.snapshot() == before
    assert "Nothing is missing; there is nothing to do." in call(*RESTORE).stdout


def test_wishes_reach_the_plan(call: Call, office: Office) -> None:
    lost = [office.add(ADA, ".Projects"), office.add(ADA, ".Projects.2026"), office.add()]
    point = office.back_up()
    remove(lost)
    words = ("--folder", "Projects", "--into", "restored", "--at", point, "--also-moved")
    plan = json.loads(call(*RESTORE, *words, "--over-quota", "--json").stdout)
    assert sorted(each["target"] for each in plan["to_add"]) == [
        "Restored/2026-11-20/Projects",
        "Restored/2026-11-20/Projects/2026",
    ]
    assert (plan["at"], plan["also_moved"], plan["over_quota"]) == (point, True, True)
    (number,) = {each["number"] for each in plan["to_add"] if each["folder"] == "Projects"}
    chosen = json.loads(call(*RESTORE, "--message", str(number), "--json").stdout)
    assert [each["number"] for each in chosen["to_add"]] == [number]


def test_plan_for_another_mailbox_is_refused(call: Call, office: Office) -> None:
    remove_later = office.add_many(1)
    office.back_up()
    remove(remove_later)
    plan = json.loads(call(*RESTORE, "--json").stdout)
    result = call("restore", "mailbox", "office", BOB, "--plan", plan["id"], "--yes")
    assert result.exit_code == 2
    assert f"Plan {plan['id']} is for {ADA} of office." in result.stderr
    wishes = call(*RESTORE, "--plan", plan["id"], "--folder", "INBOX", "--yes")
    assert wishes.exit_code == 2
    assert office.snapshot() == {}


def test_plan_is_shown_again_by_its_id(call: Call, office: Office) -> None:
    remove_later = office.add_many(1)
    office.back_up()
    remove(remove_later)
    plan = json.loads(call(*RESTORE, "--json").stdout)
    assert json.loads(call(*RESTORE, "--plan", plan["id"], "--json").stdout) == plan


def test_unknown_plan_is_an_error_of_the_restore(call: Call) -> None:
    assert call(*RESTORE, "--plan", "00000000", "--yes").exit_code == 40


def test_undo_takes_out_what_the_restore_added_and_only_with_yes(
    call: Call, office: Office
) -> None:
    lost = office.add_many(3)
    office.back_up()
    remove(lost[:2])
    before = office.snapshot()
    report = json.loads(call(*RESTORE, "--yes", "--json").stdout)
    after = office.snapshot()
    planned = call("undo", report["id"])
    assert "at most 2 messages" in planned.stdout
    assert office.snapshot() == after
    undone = call("undo", report["id"], "--yes")
    assert undone.stdout.splitlines()[0] == f"Restore {report['id']} of {ADA} is undone."
    assert office.snapshot() == before
    assert call("undo", report["id"], "--yes").exit_code == 40
    assert "It was undone at " in call("undo", report["id"]).stdout
