"""The first five minutes: configuration, passphrase, repository, key."""

import stat
from pathlib import Path

import pytest

from mailrewind import config
from tests.command import Call
from tests.office import ADA, Office


@pytest.fixture
def words(office: Office) -> list[str]:
    return [
        *("init", "--system", "hall"),
        *("--mailboxes", f"{office.root}/mail/{{domain}}/{{local}}/Maildir"),
        *("--repository", str(office.root / "hall" / "repository")),
        *("--time-zone", "Europe/Athens", "--alarms-to", "ops@example.org"),
        *("--data-dir", str(office.root / "hall" / "data")),
    ]


@pytest.fixture
def place(office: Office) -> Path:
    return office.root / "hall" / "mailrewind.yaml"


def test_everything_that_a_first_backup_needs_is_made(
    call: Call, office: Office, words: list[str], place: Path
) -> None:
    result = call(*words, "--yes", config=place)
    assert result.exit_code == 0
    passphrase, key = place.with_name("hall.passphrase"), place.with_name("hall.borgkey")
    assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
    assert len(passphrase.read_text().strip()) >= 40
    assert key.read_text().startswith("BORG_KEY ")
    assert "KEEP COPIES OF THESE TWO FILES" in result.stdout
    assert passphrase.read_text().strip() not in result.stdout
    loaded = config.load(place)
    assert loaded.time_zone == "Europe/Athens"
    assert loaded.notify.mail is not None
    assert loaded.notify.mail.to == ["ops@example.org"]
    office.add()
    assert call("backup", "hall", "--yes", config=place).exit_code == 0
    assert "1  " in call("folders", "hall", ADA, config=place).stdout


def test_existing_configuration_is_never_overwritten(
    call: Call, office: Office, words: list[str]
) -> None:
    before = office.configuration.read_text()
    result = call(*words, "--yes")
    assert result.exit_code == 2
    assert f"{office.configuration} exists, and is never overwritten." in result.stderr
    assert office.configuration.read_text() == before


def test_answers_are_asked_for_and_no_means_nothing(
    call: Call, office: Office, place: Path
) -> None:
    answers = "\n".join(["hall", "", str(office.root / "repo"), "", "", "", "n", ""])
    result = call("init", config=place, answers=answers)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (130, "Stopped.")
    assert f"{place} is written" in result.stdout
    assert not place.parent.exists()


def test_answers_are_used_and_an_existing_passphrase_is_kept(
    call: Call, office: Office, place: Path
) -> None:
    passphrase = office.root / "kept"
    passphrase.write_text("correct horse\n")
    passphrase.chmod(0o600)
    template = f"{office.root}/mail/{{domain}}/{{local}}/Maildir"
    repository = str(office.root / "repo: #x")
    asked = ["hall", template, repository, str(passphrase), "Europe/Berlin", "", "y", ""]
    words = ("init", "--data-dir", str(office.root / "hall" / "data"))
    assert call(*words, config=place, answers="\n".join(asked)).exit_code == 0
    loaded = config.load(place)
    assert loaded.repository("hall").location == repository
    assert (loaded.time_zone, loaded.notify.mail) == ("Europe/Berlin", None)
    assert passphrase.read_text() == "correct horse\n"


def test_wrong_answer_leaves_no_configuration(call: Call, words: list[str], place: Path) -> None:
    result = call(*words, "--mailboxes", "/var/vmail/{nobody}", "--yes", config=place)
    assert result.exit_code == 2
    assert "systems.hall.mailboxes: expected an absolute path" in result.stderr
    assert not place.exists()


@pytest.mark.parametrize("name", ["", "../hall", "a/b", "Main Hall", "x" * 42, "hall\n"])
def test_name_that_cannot_be_used_is_refused_before_anything_is_written(
    call: Call, words: list[str], place: Path, name: str
) -> None:
    result = call(*words, "--system", name, "--yes", config=place)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {name!r} cannot be the name of a mail system.")
    assert not place.parent.exists()
