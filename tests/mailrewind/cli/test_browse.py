"""Looking at mailboxes as they were."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import Call
from tests.office import ADA, BOB, Office, remove


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Office, str, str]:
    """An office with two restore points: Ada's mail lies in both, Bob's in the newer alone."""
    office = Office(tmp_path_factory.mktemp("history") / "office")
    office.add_many(5)
    office.add(ADA, ".Projects", text="plans", flags="")
    office.add(ADA, ".Sent", text="hello", flags="FS")
    older = office.back_up()
    gone = office.add(BOB)
    newer = office.back_up()
    remove([gone])
    return office, older, newer


@pytest.fixture
def call(history: tuple[Office, str, str]) -> Call:
    return Call(history[0].configuration)


def listed(call: Call, *words: str) -> Any:
    return json.loads(call(*words, "--json").stdout)


def test_systems_are_listed_without_any_state(office: Office) -> None:
    assert listed(Call(office.configuration), "systems") == [
        {
            "name": "office",
            "kind": "maildir",
            "mailboxes": f"{office.root}/mail/{{domain}}/{{local}}/Maildir",
            "schedule": "14 * * * *",
            "repository": "main",
            "location": f"{office.root}/repository",
        }
    ]


def test_points_say_until_when_they_are_kept_and_why(
    call: Call, history: tuple[Office, str, str]
) -> None:
    _, older, newer = history
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


def test_system_without_points_says_how_to_make_one(office: Office) -> None:
    assert Call(office.configuration)("points", "office").stdout == (
        "office has no restore point yet.\nMake one with: "
        f"mailrewind --config {office.configuration} backup office --yes\n"
    )


def test_mailboxes_and_folders_are_those_of_the_moment(
    call: Call, history: tuple[Office, str, str]
) -> None:
    office, older, _ = history
    size = sum(path.stat().st_size for path in office.maildir(ADA).rglob("cur/*"))
    assert listed(call, "mailboxes", "office", "--at", older) == [
        {"address": ADA, "messages": 7, "size_bytes": size},
        {"address": BOB, "messages": 0, "size_bytes": 0},
    ]
    assert [row["messages"] for row in listed(call, "mailboxes", "office")] == [7, 1]
    folders = listed(call, "folders", "office", ADA, "--at", older)
    assert [(row["path"], row["messages"], row["unseen"]) for row in folders] == [
        ("INBOX", 5, 0),
        ("Projects", 1, 1),
        ("Sent", 1, 0),
    ]
    assert f"({older})" in call("folders", "office", ADA, "--at", older).stdout


def test_messages_are_paged_newest_first_by_the_command_that_is_shown(
    call: Call, history: tuple[Office, str, str]
) -> None:
    page = call("messages", "office", ADA, "INBOX", "--limit", "2").stdout
    more = page.splitlines()[-1].removeprefix("More: mailrewind ").split()
    assert f"--at {history[2]}" in page
    numbers = [row["number"] for row in listed(call, "messages", "office", ADA, "INBOX")]
    seen = [row["number"] for row in listed(call, *more[2:])]
    assert (len(numbers), seen) == (5, numbers[2:4])


def test_message_is_listed_with_its_headers(call: Call, history: tuple[Office, str, str]) -> None:
    (path,) = (history[0].maildir(ADA, ".Sent") / "cur").iterdir()
    (row,) = listed(call, "messages", "office", ADA, "Sent")
    cursor = row.pop("cursor")
    assert cursor.count(":") == 1
    assert row == {
        "number": row["number"],
        "folder": "Sent",
        "subject": "hello 7",
        "sender": "",
        "recipients": "",
        "message_id": "<7@x>",
        "sent": None,
        "received": "2026-11-17T12:00:00Z",
        "size_bytes": path.stat().st_size,
        "flags": ["\\Flagged", "\\Seen"],
        "attachments": [],
        "vanished_at": None,
    }
    assert "hello 7" in call("messages", "office", ADA, "Sent").stdout


def test_message_is_written_as_it_was_delivered(
    call: Call, history: tuple[Office, str, str], tmp_path: Path
) -> None:
    (path,) = (history[0].maildir(ADA, ".Sent") / "cur").iterdir()
    (row,) = listed(call, "messages", "office", ADA, "Sent")
    words = ("message", "office", ADA, str(row["number"]))

    assert call(*words).stdout_bytes == path.read_bytes()

    file = tmp_path / "hello.eml"
    call(*words, "--output", str(file))
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (path.read_bytes(), 0o600)
    again = call(*words, "--output", str(file))
    assert (again.exit_code, file.read_bytes()) == (2, path.read_bytes())


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("folders", "office", "eve@example.org"), 10),
        (("messages", "office", ADA, "Nowhere"), 10),
        (("message", "office", ADA, "4711"), 10),
        (("mailboxes", "office", "--at", "2020-01-01"), 40),
        (("mailboxes", "office", "--at", "2099-01-01"), 40),
        (("mailboxes", "office", "--at", "some day"), 40),
        (("messages", "office", ADA, "INBOX", "--after", "x"), 2),
    ],
)
def test_unknown_things_have_the_exit_code_of_their_family(
    call: Call, words: tuple[str, ...], exit_code: int
) -> None:
    assert call(*words).exit_code == exit_code


@pytest.mark.parametrize(
    "name",
    [
        "a'b\"@x",
        "a b@x",
        "../../etc@x",
        "a\nb@x",
        "$(touch x)@x",
        "`x`;|&@x",
        "\x1b[2J@x",
        "-x",
        "",
    ],
)
def test_nasty_mailbox_names_are_refused_and_printed_harmlessly(call: Call, name: str) -> None:
    result = call("folders", "office", "--", name)
    assert result.exit_code == 10
    message, advice = result.stderr.splitlines()
    assert message.isprintable()
    assert message.startswith("Error: ")
    assert advice == "See `mailrewind mailboxes SYSTEM` for the addresses."
    assert call("restore", "mailbox", "office", "--yes", "--", name).exit_code == 10
