"""Looking at a repository, and its rare deeds, from the command line."""

import json
import stat
import subprocess

from tests.command import Call
from tests.office import Office


def test_archives_are_listed_with_their_restore_points(call: Call, office: Office) -> None:
    points = [office.back_up(), office.back_up()]
    assert json.loads(call("repository", "list", "main", "--json").stdout) == [
        {"archive": f"{point}-mail", "point": point, "status": "complete"} for point in points
    ]
    assert f"{points[0]}-mail" in call("repository", "list", "main").stdout


def test_info_says_size_and_encryption(call: Call, office: Office) -> None:
    office.add()
    office.back_up()
    info = json.loads(call("repository", "info", "main", "--json").stdout)
    assert (info["name"], info["encryption"]) == ("main", "repokey-blake2")
    assert info["stored_bytes"] > 0
    assert "repokey-blake2" in call("repository", "info", "main").stdout


def test_sound_repository_is_called_sound(call: Call, office: Office) -> None:
    office.back_up()
    assert call("repository", "check", "main").stdout == "main is sound.\n"


def test_damaged_repository_is_an_error(call: Call, office: Office) -> None:
    office.add_many(20)
    office.back_up()
    segments = (office.root / "repository" / "data").rglob("[0-9]*")
    segment = max(
        (path for path in segments if path.is_file()), key=lambda path: path.stat().st_size
    )
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 0xFF
    segment.write_bytes(content)
    assert call("repository", "check", "main").exit_code == 20


def test_key_is_exported_once_into_a_private_file(call: Call, office: Office) -> None:
    office.back_up()
    file = office.root / "key"
    assert call("repository", "export-key", "main", str(file)).exit_code == 0
    assert file.read_text().startswith("BORG_KEY ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert call("repository", "export-key", "main", str(file)).exit_code == 20


def test_lock_is_broken_only_with_yes_and_never_a_living_ones(call: Call, office: Office) -> None:
    office.back_up()
    repository = office.root / "repository"
    lock = repository / "lock.exclusive"
    lock.mkdir()
    (lock / "elsewhere@1.1-0").touch()
    assert "Nothing has been changed." in call("repository", "break-lock", "main").stdout
    assert lock.exists()
    assert call("repository", "break-lock", "main", "--yes").stdout == "main is unlocked.\n"
    assert not lock.exists()


def test_moved_repository_is_refused_until_it_is_accepted(call: Call, office: Office) -> None:
    office.back_up()
    moved = office.root / "moved"
    subprocess.run(["mv", str(office.root / "repository"), str(moved)], check=True)
    text = office.configuration.read_text()
    office.configuration.write_text(text.replace(str(office.root / "repository"), str(moved)))
    refused = call("repository", "list", "main")
    assert refused.exit_code == 20
    assert "--accept-moved" in refused.stderr
    assert call("repository", "list", "main", "--accept-moved").exit_code == 0
    assert call("repository", "list", "main").exit_code == 0
