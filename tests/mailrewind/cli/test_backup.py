"""Making a restore point from the command line."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mailrewind.cli import backup
from mailrewind.model.reports import ArchiveStatistics, BackupReport, Finding, IndexChanges
from tests.command import Call
from tests.office import ADA, Office


def test_report_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    archive = ArchiveStatistics("office-x-mail", 3, 9_000, 2_048, timedelta(seconds=4))
    changes = IndexChanges(3, 2, appeared=3, vanished=1, moved=0, flagged=1_200)
    finding = Finding("home/ada", "changed while borg read it")
    report = BackupReport(
        "office-x", "office", noon, noon + timedelta(minutes=2), (archive,), changes, 1, (finding,)
    )
    backup.say(report, ZoneInfo("Europe/Athens"))
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "Restore point              office-x",
        "Taken                      2026-11-20 14:00 EET",
        "Took                       2 minutes",
        "Archives                   mail",
        "New in the repository      2.0 KiB",
        "Holds                      3 messages in 2 mailboxes",
        "Since the point before     3 appeared, 1 vanished, 0 moved, 1,200 changed flags",
        "Caught by the second pass  1 message",
        "Finding: home/ada: changed while borg read it",
    ]


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


def test_missing_mail_is_an_error_of_the_mail_system(call: Call, office: Office) -> None:
    (office.root / "mail").rename(office.root / "elsewhere")
    result = call("backup", "office", "--yes")
    assert result.exit_code == 10
    assert str(office.root / "mail") in result.stderr


def test_verbose_backup_shows_what_borg_does(office: Office) -> None:
    command = [sys.executable, "-m", "mailrewind.cli", "--config", str(office.configuration)]

    run = subprocess.run(
        [*command, "backup", "office", "--yes", "--verbose", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "DEBUG mailrewind.borg.messages: borg: Creating archive at " in run.stderr
    assert json.loads(run.stdout)["findings"] == []
