"""The first five minutes: configuration, passphrase, repository, key."""

import stat
from pathlib import Path

import pytest

from mailrewind import config
from tests.command import Call
from tests.office import ADA, Office


@pytest.fixture(autouse=True)
def _no_mailcow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the mailcows of other tests on this machine from being found."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


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
    answers = "\n".join(["hall", "", str(office.root / "repo"), "", "", "", "", "n", ""])
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
    copy = "the safe, drawer 2"
    asked = ["hall", template, repository, str(passphrase), copy, "Europe/Berlin", "", "y", ""]
    words = ("init", "--data-dir", str(office.root / "hall" / "data"))
    assert call(*words, config=place, answers="\n".join(asked)).exit_code == 0
    loaded = config.load(place)
    assert loaded.repository("hall").location == repository
    assert (loaded.time_zone, loaded.notify.mail) == ("Europe/Berlin", None)
    assert passphrase.read_text() == "correct horse\n"
    assert f"    # A copy away from this machine: {copy}\n" in place.read_text()


def mailcow_of(office: Office) -> Path:
    directory = office.root / "mailcow-dockerized"
    directory.mkdir()
    (directory / "mailcow.conf").write_text("COMPOSE_PROJECT_NAME=no-such-project\n")
    return directory


def test_mailcow_is_asked_what_only_a_person_can_decide(
    call: Call, office: Office, place: Path
) -> None:
    directory, repository = mailcow_of(office), str(office.root / "repo")
    words = ("init", "--mailcow", str(directory), "--data-dir", str(office.root / "hall/data"))
    asked = ["", "n", repository, "", "paper in the safe", "", "ops@example.org", "y", ""]
    result = call(*words, config=place, answers="\n".join(asked))
    assert result.exit_code == 0, result.stderr
    loaded = config.load(place)
    assert loaded.system("mailcow") == config.MailcowKeys(
        kind="mailcow", directory=directory, repository="mailcow", headers=False
    )
    assert loaded.repository("mailcow").location == repository
    assert loaded.notify.mail is not None
    assert "no subjects and senders in the catalogue" in result.stdout
    assert "the passphrase's copy will be here: paper in the safe" in result.stdout
    assert "the Docker engine does not answer" in " ".join(result.stdout.split())


def test_three_lines_are_written_for_a_mailcow_that_takes_the_defaults(
    call: Call, office: Office, place: Path
) -> None:
    directory = mailcow_of(office)
    words = ("init", "--mailcow", str(directory), "--repository", str(office.root / "repo"))
    more = ("--data-dir", str(office.root / "hall/data"), "--yes")
    assert call(*words, *more, config=place).exit_code == 0
    system = place.read_text().partition("systems:\n")[2]
    assert system.splitlines() == [
        '  "mailcow":',
        "    kind: mailcow",
        f'    directory: "{directory}"',
        '    repository: "mailcow"',
    ]
    assert "NOWHERE YET" in place.read_text()


def test_directory_that_holds_no_mailcow_is_refused(
    call: Call, office: Office, place: Path
) -> None:
    result = call("init", "--mailcow", str(office.root), "--yes", config=place)
    assert result.exit_code == 10
    assert result.stderr.startswith(f"Error: {office.root} holds no mailcow.conf.")
    assert not place.exists()


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
