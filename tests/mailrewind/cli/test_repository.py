"""Looking at a repository, and its rare deeds, from the command line."""

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from mailrewind.borg.settings import host_id
from tests.command import Call
from tests.office import ADA, Office


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Office, str]:
    """An office with one restore point."""
    office = Office(tmp_path_factory.mktemp("standing") / "office")
    office.add_many(20)
    return office, office.back_up()


@pytest.fixture
def repository(standing: tuple[Office, str]) -> Path:
    return standing[0].root / "repository"


@pytest.fixture
def call(standing: tuple[Office, str]) -> Call:
    return Call(standing[0].configuration)


def test_archives_are_listed_with_their_restore_points(
    call: Call, standing: tuple[Office, str]
) -> None:
    point = standing[1]
    assert json.loads(call("repository", "list", "main", "--json").stdout) == [
        {"archive": f"{point}-mail", "point": point, "status": "complete"}
    ]


def test_exports_of_calendars_are_told_from_what_is_none_of_ours(tmp_path: Path) -> None:
    office = Office(tmp_path / "office")
    office.add_many(1)
    archives = office.services.archives("main")
    office.services.back_up.run("office", initiator="test")
    for name in ("office-sogo-2026-11-20T02:50:00Z", "stranger"):
        archives.create_from_command(name, ["echo"], path="export")
    listed = Call(office.configuration)("repository", "list", "main").stdout.splitlines()
    assert [line.split(maxsplit=1)[1].strip() for line in listed[2:]] == [
        "kept export",
        "none of ours",
    ]


def test_info_says_size_and_encryption(call: Call) -> None:
    info = json.loads(call("repository", "info", "main", "--json").stdout)
    assert (info["name"], info["encryption"]) == ("main", "repokey-blake2")
    assert info["stored_bytes"] > 0


def test_damage_is_found(call: Call, repository: Path) -> None:
    assert call("repository", "check", "main").stdout == "main is sound.\n"
    segment = max((repository / "data" / "0").iterdir(), key=lambda path: path.stat().st_size)
    sound = segment.read_bytes()
    middle = len(sound) // 2
    segment.write_bytes(sound[:middle] + bytes([sound[middle] ^ 0xFF]) + sound[middle + 1 :])
    assert call("repository", "check", "main").exit_code == 20
    segment.write_bytes(sound)


def test_key_is_exported_once_into_a_private_file(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "key"
    assert call("repository", "export-key", "main", str(file)).exit_code == 0
    assert file.read_text().startswith("BORG_KEY ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert call("repository", "export-key", "main", str(file)).exit_code == 20


def test_key_is_printed_for_the_paper_and_the_reminder_is_not(call: Call) -> None:
    printed = call("repository", "export-key", "main", "--paper")
    assert printed.stdout.splitlines()[2] == "BORG PAPER KEY v1"
    assert "passphrase" not in printed.stdout
    assert "neither opens the repository without the other" in printed.stderr


def test_key_is_exported_as_a_page_with_qr_codes(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "key.html"
    assert call("repository", "export-key", "main", str(file), "--qr-html").exit_code == 0
    assert "BORG_KEY " in file.read_text()


@pytest.mark.parametrize("words", [(), ("--qr-html",), ("--paper", "--qr-html", "file")])
def test_export_of_a_key_says_what_is_missing(call: Call, words: tuple[str, ...]) -> None:
    assert call("repository", "export-key", "main", *words).exit_code == 2


def test_repository_is_created_by_one_command_and_its_key_comes_back(tmp_path: Path) -> None:
    office = Office(tmp_path / "office")
    text = office.configuration.read_text()
    text = text.replace("lock_wait", "encryption: keyfile-blake2\n    lock_wait")
    office.configuration.write_text(text)
    call = Call(office.configuration)
    assert call("repository", "list", "main").exit_code == 20

    created = call("repository", "init", "main")
    assert created.stdout.startswith(f"main is created: {office.root / 'repository'}\n")
    assert "Its key lies on this machine only." in created.stdout
    assert json.loads(call("repository", "init", "main", "--json").stdout) == {
        "name": "main",
        "location": str(office.root / "repository"),
        "created": False,
    }

    copy = str(tmp_path / "copy")
    assert call("repository", "export-key", "main", copy).exit_code == 0
    shutil.rmtree(office.root / "data" / "borg")
    lost = call("repository", "list", "main")
    assert (lost.exit_code, "import-key" in lost.stderr) == (20, True)
    assert call("repository", "import-key", "main", copy).stdout == (
        "The key of main is back, and the passphrase opens it.\n"
    )
    assert call("repository", "list", "main").exit_code == 0


def test_lock_of_another_host_is_broken_only_with_yes(call: Call, repository: Path) -> None:
    lock = repository / "lock.exclusive"
    lock.mkdir()
    (lock / "elsewhere@1.1-0").touch()
    told = call("repository", "break-lock", "main").stdout
    assert "It is held by process 1 on elsewhere@1." in told
    assert "Nothing has been changed." in told
    assert lock.exists()
    assert call("repository", "break-lock", "main", "--yes").stdout == "main is unlocked.\n"
    assert not lock.exists()


def test_lock_of_a_process_that_is_known_to_be_dead_needs_no_yes(
    call: Call, repository: Path, standing: tuple[Office, str]
) -> None:
    lock = repository / "lock.exclusive"
    lock.mkdir()
    dead = subprocess.Popen(["true"])
    dead.wait()
    (lock / f"{host_id(standing[0].root / 'data' / 'borg')}.{dead.pid}-0").touch()
    assert call("repository", "break-lock", "main").stdout == "main is unlocked.\n"
    assert not lock.exists()


def test_lock_of_a_living_process_is_not_even_broken_with_yes(
    call: Call, repository: Path, standing: tuple[Office, str]
) -> None:
    lock = repository / "lock.exclusive"
    lock.mkdir()
    (lock / f"{host_id(standing[0].root / 'data' / 'borg')}.{os.getpid()}-0").touch()
    refused = call("repository", "break-lock", "main", "--yes")
    assert (refused.exit_code, "which is running" in refused.stderr) == (20, True)
    shutil.rmtree(lock)


def test_moved_repository_is_refused_until_it_is_accepted(
    call: Call, standing: tuple[Office, str], tmp_path: Path
) -> None:
    office = standing[0]
    for name in ("repository", "data"):
        shutil.copytree(office.root / name, tmp_path / name)
    moved = tmp_path / "mailrewind.yaml"
    text = office.configuration.read_text()
    for name in ("repository", "data"):
        text = text.replace(str(office.root / name), str(tmp_path / name))
    moved.write_text(text)
    refused = call("repository", "list", "main", config=moved)
    assert refused.exit_code == 20
    assert "--accept-moved" in refused.stderr
    assert call("repository", "list", "main", "--accept-moved", config=moved).exit_code == 0
    assert call("repository", "list", "main", config=moved).exit_code == 0


def test_removed_repository_is_accepted_as_gone(
    call: Call, standing: tuple[Office, str], tmp_path: Path
) -> None:
    shutil.copytree(standing[0].root / "data", tmp_path / "data")
    moved = tmp_path / "mailrewind.yaml"
    text = standing[0].configuration.read_text()
    text = text.replace(str(standing[0].root / "data"), str(tmp_path / "data"))
    moved.write_text(text.replace(str(standing[0].root / "repository"), str(tmp_path / "none")))
    assert call("repository", "list", "main", config=moved).exit_code == 20
    accepted = call("repository", "list", "main", "--accept-moved", "--json", config=moved)
    assert (accepted.exit_code, json.loads(accepted.stdout)) == (0, [])
    assert "The next backup makes a new one." in accepted.stderr


def test_points_of_a_repository_are_adopted_and_can_be_looked_into(tmp_path: Path) -> None:
    office = Office(tmp_path / "office")
    office.add_many(2)
    first = office.back_up()
    office.add()
    second = office.back_up()
    call = Call(office.configuration)
    shutil.rmtree(office.root / "data")
    assert json.loads(call("points", "office", "--json").stdout) == []

    adopted = call("repository", "adopt", "office")

    assert adopted.stdout == "2 restore points adopted, 0 known before.\n"
    counts = {
        point: json.loads(call("folders", "office", ADA, "--at", point, "--json").stdout)[0]
        for point in (first, second)
    }
    assert {point: folder["messages"] for point, folder in counts.items()} == {first: 2, second: 3}
    assert json.loads(call("repository", "adopt", "office", "--json").stdout) == {
        "system": "office",
        "adopted": [],
        "known": 2,
        "findings": [],
    }
