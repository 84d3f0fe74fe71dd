"""Looking at mailboxes as they were."""

import json
from typing import Any

from tests.command import Call
from tests.office import ADA, BOB, Office, remove


def listed(call: Call, *words: str) -> Any:
    return json.loads(call(*words, "--json").stdout)


def test_systems_are_listed_without_any_state(call: Call, office: Office) -> None:
    assert listed(call, "systems") == [
        {
            "name": "office",
            "kind": "maildir",
            "mailboxes": f"{office.root}/mail/{{domain}}/{{local}}/Maildir",
            "schedule": "14 * * * *",
            "repository": "main",
            "location": f"{office.root}/repository",
        }
    ]


def test_points_say_until_when_they_are_kept_and_why(call: Call, office: Office) -> None:
    office.add()
    older, newer = office.back_up(), office.back_up()
    decisions = listed(call, "points", "office")
    assert [(row["name"], row["status"], row["keep"]) for row in decisions] == [
        (newer, "complete", True),
        (older, "complete", True),
    ]
    assert decisions[0]["reasons"] == ["hourly #1"]
    assert decisions[0]["archives"] == [f"{newer}-mail"]
    shown = call("points", "office").stdout
    assert f"{newer}  2026-11-20 15:00 EET" in shown
    assert "hourly #1" in shown


def test_system_without_points_says_how_to_make_one(call: Call, office: Office) -> None:
    assert call("points", "office").stdout == (
        "office has no restore point yet.\nMake one with: "
        f"mailrewind --config {office.configuration} backup office --yes\n"
    )


def test_mailboxes_and_folders_are_those_of_the_moment(call: Call, office: Office) -> None:
    office.add_many(2)
    office.add(ADA, ".Projects", flags="")
    point = office.back_up()
    gone = office.add(BOB)
    office.back_up()
    remove([gone])
    size = sum(path.stat().st_size for path in office.maildir(ADA).rglob("cur/*"))
    then = ["--at", point]
    assert listed(call, "mailboxes", "office", *then) == [
        {"address": ADA, "messages": 3, "size_bytes": size},
        {"address": BOB, "messages": 0, "size_bytes": 0},
    ]
    assert [row["messages"] for row in listed(call, "mailboxes", "office")] == [3, 1]
    folders = listed(call, "folders", "office", ADA, *then)
    assert [(row["path"], row["messages"], row["unseen"]) for row in folders] == [
        ("INBOX", 2, 0),
        ("Projects", 1, 1),
    ]
    assert f"({point})" in call("folders", "office", ADA, *then).stdout


def test_messages_are_paged_newest_first_by_the_command_that_is_shown(
    call: Call, office: Office
) -> None:
    office.add_many(5)
    point = office.back_up()
    page = call("messages", "office", ADA, "INBOX", "--limit", "2").stdout
    more = page.splitlines()[-1].removeprefix("More: mailrewind ").split()
    assert f"--at {point}" in page
    numbers = [row["number"] for row in listed(call, "messages", "office", ADA, "INBOX")]
    seen = [row["number"] for row in listed(call, *more[2:])]
    assert (len(numbers), seen) == (5, numbers[2:4])


def test_message_is_listed_with_its_headers(call: Call, office: Office) -> None:
    path = office.add(text="hello", flags="FS")
    point = office.back_up()
    (row,) = listed(call, "messages", "office", ADA, "INBOX")
    cursor = row.pop("cursor")
    assert cursor.count(":") == 1
    assert row == {
        "number": row["number"],
        "folder": "INBOX",
        "subject": "hello 1",
        "sender": "",
        "recipients": "",
        "message_id": "<1@x>",
        "sent": None,
        "received": "2026-11-17T12:00:00Z",
        "size_bytes": path.stat().st_size,
        "flags": ["\\Flagged", "\\Seen"],
        "attachments": [],
        "vanished_at": None,
    }
    assert point in call("messages", "office", ADA, "INBOX").stdout


def test_unknown_things_have_the_exit_code_of_their_family(call: Call, office: Office) -> None:
    office.back_up()
    assert call("folders", "office", "eve@example.org").exit_code == 10
    assert call("messages", "office", ADA, "Nowhere").exit_code == 10
    assert call("mailboxes", "office", "--at", "2020-01-01").exit_code == 40
    assert call("mailboxes", "office", "--at", "2099-01-01").exit_code == 40
    assert call("mailboxes", "office", "--at", "some day").exit_code == 40
    assert call("messages", "office", ADA, "INBOX", "--after", "x").exit_code == 2
