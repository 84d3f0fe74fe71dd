import json
import os
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailrewind.borg.executable import borg_executable
from mailrewind.borg.repository import BorgRepository, RepositoryInfo
from mailrewind.errors import (
    ArchivePathMissing,
    BorgMissing,
    KeyMissing,
    PassphraseWrong,
    RepositoryDamaged,
    RepositoryMissing,
    RepositoryMoved,
    RepositoryRefused,
    SecretUnavailable,
    SourceMissing,
    SourceUnreadable,
)
from mailrewind.model.reports import Finding
from mailrewind.ports import Capture, Progress
from tests.mailrewind.borg.conftest import PASSPHRASE


def letter_of(mail: Path) -> str:
    return str(mail / "cur" / "letter").lstrip("/")


def test_wrong_passphrase_is_told(repository, settings):
    other = BorgRepository(replace(settings, passphrase=lambda: "Correct horse"))

    with pytest.raises(PassphraseWrong, match="does not open the repository"):
        other.names()


def test_passphrase_that_is_not_configured_is_told(repository, settings):
    other = BorgRepository(replace(settings, passphrase=None))

    with pytest.raises(PassphraseWrong, match="the configuration names none"):
        other.names()


@pytest.mark.parametrize("passphrase", [" ünïcödé \U0001f511 ", "a'b\"$(c)" * 100])
def test_any_passphrase_opens_what_it_closed(settings, passphrase):
    repository = BorgRepository(replace(settings, passphrase=lambda: passphrase))
    repository.prepare()

    assert repository.names() == []


def test_passphrase_that_cannot_be_had_stops_before_borg(settings):
    def unavailable() -> str:
        raise SecretUnavailable("no such file")

    with pytest.raises(SecretUnavailable):
        BorgRepository(replace(settings, passphrase=unavailable)).prepare()

    assert not Path(settings.location).exists()


def test_unencrypted_repository_works_without_passphrase(settings, mail):
    repository = BorgRepository(replace(settings, encryption="none", passphrase=None))
    repository.prepare()
    repository.create("first", Capture((mail,), ()))

    assert dict(repository.read("first", [letter_of(mail)])) == {
        letter_of(mail): b"Subject: hi\n\nhello\n"
    }


def test_repository_is_created_with_the_directories_above_it(settings):
    deep = replace(settings, location=f"{settings.location}/a/b/c")
    BorgRepository(deep).prepare()

    assert BorgRepository(deep).names() == []


def test_empty_directory_becomes_a_repository(settings):
    Path(settings.location).mkdir()
    BorgRepository(settings).prepare()

    assert BorgRepository(settings).names() == []


def test_directory_with_something_else_in_it_is_refused_and_left_alone(settings):
    Path(settings.location).mkdir()
    (Path(settings.location) / "photo.jpg").write_bytes(b"x")

    with pytest.raises(RepositoryRefused):
        BorgRepository(settings).prepare()

    assert [path.name for path in Path(settings.location).iterdir()] == ["photo.jpg"]


def test_missing_repository_is_told(settings):
    with pytest.raises(RepositoryMissing, match="does not exist"):
        BorgRepository(settings).names()


def test_repository_that_is_gone_is_not_created_anew(repository, settings):
    shutil.rmtree(settings.location)

    with pytest.raises(RepositoryMissing, match="is gone; it was there before") as raised:
        repository.prepare()

    assert raised.value.advice.startswith("Mount its disk")
    assert not Path(settings.location).exists()


def test_repository_that_was_removed_on_purpose_is_created_after_accepting(repository, settings):
    shutil.rmtree(settings.location)
    repository.accept_moved()
    repository.prepare()

    assert repository.names() == []


def test_moved_repository_is_refused_until_accepted(repository, settings, tmp_path):
    moved = replace(settings, location=str(tmp_path / "moved"))
    Path(settings.location).rename(moved.location)

    with pytest.raises(RepositoryMoved, match="not the one that was known here"):
        BorgRepository(moved).names()
    BorgRepository(moved).accept_moved()

    assert BorgRepository(moved).names() == []


def test_another_repository_in_the_place_of_ours_is_refused(repository, settings, tmp_path):
    Path(settings.location).rename(tmp_path / "away")
    elsewhere = replace(settings, base_dir=tmp_path / "other base")
    BorgRepository(elsewhere).prepare()

    with pytest.raises(RepositoryMoved, match="another one than before"):
        repository.prepare()


def test_unencrypted_repository_in_the_place_of_ours_gets_no_mail(settings, tmp_path, mail):
    elsewhere = replace(
        settings, encryption="none", passphrase=None, base_dir=tmp_path / "other base"
    )
    BorgRepository(elsewhere).prepare()

    with pytest.raises(RepositoryMoved):
        BorgRepository(settings).create("first", Capture((mail,), ()))


def test_older_copy_of_the_repository_is_refused(repository, settings, mail, tmp_path):
    shutil.copytree(settings.location, tmp_path / "copy")
    repository.create("first", Capture((mail,), ()))
    shutil.rmtree(settings.location)
    (tmp_path / "copy").rename(settings.location)

    with pytest.raises(RepositoryMoved, match="older state"):
        repository.create("second", Capture((mail,), ()))


def test_location_with_braces_is_refused(settings):
    with pytest.raises(RepositoryRefused, match="braces"):
        BorgRepository(replace(settings, location="/srv/{hostname}"))


def test_info_tells_sizes(repository, settings, mail):
    (mail / "large").write_bytes(b"\0" * 1_000_000)
    repository.create("first", Capture((mail,), ()))
    info = repository.info()

    assert info == RepositoryInfo(
        id=info.id,
        location=settings.location,
        encryption="repokey-blake2",
        modified=info.modified,
        original_bytes=info.original_bytes,
        stored_bytes=info.stored_bytes,
    )
    assert len(bytes.fromhex(info.id)) == 32
    assert datetime.now(UTC) - info.modified < timedelta(minutes=2)
    assert info.original_bytes > 1_000_000 > info.stored_bytes > 0


def test_exported_key_is_ours_alone_and_replaces_no_file(repository, tmp_path):
    repository.export_key(tmp_path / "key")

    assert (tmp_path / "key").read_text().startswith("BORG_KEY ")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    with pytest.raises(RepositoryRefused, match="File exists"):
        repository.export_key(tmp_path / "key")


def test_key_that_does_not_exist_leaves_no_file(settings, tmp_path):
    repository = BorgRepository(replace(settings, encryption="none", passphrase=None))
    repository.prepare()

    with pytest.raises(KeyMissing):
        repository.export_key(tmp_path / "key")

    assert not (tmp_path / "key").exists()


def test_extracted_archive_is_as_it_was(repository, mail, tmp_path):
    repository.create("first", Capture((mail,), ()))
    (tmp_path / "target").mkdir()
    repository.extract("first", tmp_path / "target")

    copy = tmp_path / "target" / letter_of(mail)
    assert copy.read_bytes() == b"Subject: hi\n\nhello\n"
    assert copy.stat().st_mtime_ns == (mail / "cur" / "letter").stat().st_mtime_ns


def test_extracting_a_path_that_is_not_there_is_told(repository, mail, tmp_path):
    repository.create("first", Capture((mail,), ()))

    with pytest.raises(ArchivePathMissing):
        repository.extract("first", tmp_path, paths=["no/such/path"])


def test_archive_path_never_leaves_the_target_of_an_extraction(repository, mail, tmp_path):
    (tmp_path / "outside").mkdir()
    (mail / "trap").mkdir()
    (mail / "trap" / "letter").write_bytes(b"x")
    repository.create("first", Capture((mail,), ()))
    target = tmp_path / "target"
    place = target / str(mail / "trap").lstrip("/")
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "outside")

    try:
        repository.extract("first", target)
    finally:
        assert list((tmp_path / "outside").iterdir()) == []


def test_good_repository_passes_its_check(repository, mail):
    repository.create("first", Capture((mail,), ()))
    heard: list[Progress] = []
    repository.check(verify_data=True, report=heard.append)

    assert heard


def test_damage_is_found_by_check_and_by_reading(repository, settings, mail):
    content = os.urandom(500_000)
    (mail / "cur" / "large").write_bytes(content)
    repository.create("first", Capture((mail,), ()))
    segment = max(Path(settings.location, "data").rglob("[0-9]*"), key=_size)
    damaged = bytearray(segment.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    segment.write_bytes(damaged)

    with pytest.raises(RepositoryDamaged):
        repository.check()
    with pytest.raises(RepositoryDamaged):
        list(repository.read("first", [str(mail / "cur" / "large").lstrip("/")]))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def test_checkpoints_are_no_archives_and_go_when_they_have_served(repository, settings, mail):
    repository.create("first.checkpoint", Capture((mail,), ()))
    assert repository.names() == []
    repository.compact()
    assert _all_names(settings) == ["first.checkpoint"]

    time.sleep(1.1)
    repository.create("second", Capture((mail,), ()))
    repository.compact()
    assert _all_names(settings) == ["second"]


def _all_names(settings) -> list[str]:
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode())
    os.close(writing)
    told = subprocess.run(
        [borg_executable(), "list", "--json", "--consider-checkpoints", settings.location],
        env={"BORG_BASE_DIR": str(settings.base_dir), "BORG_PASSPHRASE_FD": str(reading)},
        pass_fds=(reading,),
        capture_output=True,
        check=True,
    )
    os.close(reading)
    return [archive["name"] for archive in json.loads(told.stdout)["archives"]]


def test_unchanged_files_add_almost_nothing(repository, mail):
    (mail / "cur" / "large").write_bytes(os.urandom(500_000))
    first, _ = repository.create("first", Capture((mail,), ()))
    second, _ = repository.create("second", Capture((mail,), ()))

    assert first.added_bytes > 500_000
    assert second.added_bytes < 2_000
    assert (first.files, second.files) == (2, 2)


def test_no_roots_at_all_is_an_error(repository):
    with pytest.raises(SourceMissing):
        repository.create("first", Capture((), ()))


def test_root_whose_name_is_no_text_is_told(repository, tmp_path):
    root = tmp_path / "\udcff"
    root.mkdir()

    with pytest.raises(SourceUnreadable, match="not UTF-8"):
        repository.create("first", Capture((root,), ()))


def test_name_that_borg_cannot_be_told_is_a_finding(repository, mail):
    (mail / "a\rb").write_bytes(b"x")
    paths = [str(mail / "a\rb").lstrip("/"), letter_of(mail)]

    _, findings = repository.create_from_paths("late", paths)

    assert findings == [Finding(str(mail / "a\rb"), "cannot be archived: its name has a CR")]
    assert [file.path for file in repository.files("late")] == [letter_of(mail)]


# Root without these two capabilities meets permissions like everybody else.
_AS_EVERYBODY = (
    "setpriv",
    "--inh-caps=-dac_override,-dac_read_search",
    "--bounding-set=-dac_override,-dac_read_search",
)
_BACK_UP = """\
import sys
from pathlib import Path
from mailrewind.borg.repository import BorgRepository, RepositorySettings
from mailrewind.errors import MailrewindError
from mailrewind.ports import Capture
location, base, root = sys.argv[1:]
repository = BorgRepository(RepositorySettings(
    location, "none", "lz4", None, 1, None, None, Path(base)))
repository.prepare()
try:
    repository.create("first", Capture((Path(root),), ()))
except MailrewindError as error:
    print(type(error).__name__, error)
print(repository.names())
"""


@pytest.mark.parametrize("what", ["cur/letter", "cur"])
def test_unreadable_mail_fails_the_backup_and_leaves_no_archive(what, settings, mail):
    (mail / what).chmod(0)
    prefix = _AS_EVERYBODY if os.geteuid() == 0 else ()

    told = subprocess.run(
        [*prefix, sys.executable, "-c", _BACK_UP, settings.location, settings.base_dir, mail],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    (mail / what).chmod(0o700)
    assert told[0].startswith(f"SourceUnreadable {mail / what}: ")
    assert told[1] == "[]"


def test_old_or_missing_borg_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(BorgMissing, match="There is no borg"):
        borg_executable()

    (tmp_path / "borg").write_text("#!/bin/sh\necho borg 1.2.4\n")
    (tmp_path / "borg").chmod(0o755)
    with pytest.raises(BorgMissing, match=r"has version 1\.2\.4, and 1\.4 is needed"):
        borg_executable()
