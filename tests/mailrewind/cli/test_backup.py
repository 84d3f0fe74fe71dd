"""Making a restore point from the command line."""

import json

from tests.command import Call
from tests.office import ADA, Office


def test_without_yes_nothing_is_made(call: Call, office: Office) -> None:
    result = call("backup", "office")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "Nothing has been changed. Do it with: "
        f"mailrewind --config {office.configuration} backup office --yes"
    )
    assert office.services.state.points("office") == []
    assert not (office.root / "repository").exists()


def test_with_yes_a_restore_point_stands(call: Call, office: Office) -> None:
    office.add_many(3)
    done = json.loads(call("backup", "office", "--yes", "--json").stdout)
    (point,) = office.services.state.points("office")
    assert (done["point"], done["system"], done["late"]) == (point.name, "office", 0)
    assert done["index"] == {
        "messages": 3,
        "mailboxes": 2,
        "appeared": 3,
        "vanished": 0,
        "moved": 0,
        "flagged": 0,
    }
    assert [archive["archive"] for archive in done["archives"]] == [f"{point.name}-mail"]
    assert office.services.browse.folders("office", ADA)[0][:2] == ("INBOX", 3)


def test_report_is_said_in_words(call: Call, office: Office) -> None:
    office.add_many(3)
    shown = call("backup", "office", "--yes").stdout
    assert "3 messages in 2 mailboxes" in shown
    assert "3 appeared, 0 vanished, 0 moved, 0 changed flags" in shown


def test_missing_mail_is_an_error_of_the_mail_system(call: Call, office: Office) -> None:
    (office.root / "mail").rename(office.root / "elsewhere")
    result = call("backup", "office", "--yes")
    assert result.exit_code == 10
    assert str(office.root / "mail") in result.stderr
