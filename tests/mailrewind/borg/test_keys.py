import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from mailrewind.borg.repository import BorgRepository, RepositorySettings
from mailrewind.errors import KeyMissing, PassphraseWrong, RepositoryRefused
from mailrewind.ports import Capture

ENCRYPTIONS = ["repokey-blake2", "keyfile-blake2", "keyfile", "authenticated-blake2"]


@pytest.fixture
def keyfile(settings: RepositorySettings, mail: Path) -> BorgRepository:
    """A repository with one archive, whose key lies on this machine only."""
    repository = BorgRepository(replace(settings, encryption="keyfile-blake2"))
    repository.prepare()
    repository.create("first", Capture((mail,), ()))
    return repository


def lose_the_machine(repository: BorgRepository) -> None:
    shutil.rmtree(repository.settings.base_dir)


@pytest.mark.parametrize("form", ["file", "paper"])
def test_exported_key_opens_the_repository_on_a_bare_machine(keyfile, mail, tmp_path, form):
    keyfile.export_key(tmp_path / "copy", form=form)
    lose_the_machine(keyfile)
    with pytest.raises(KeyMissing):
        keyfile.names()

    keyfile.import_key(tmp_path / "copy")

    letter = str(mail / "cur" / "letter").lstrip("/")
    assert keyfile.names() == ["first"]
    assert dict(keyfile.read("first", [letter])) == {letter: b"Subject: hi\n\nhello\n"}


def test_paper_may_be_typed_in_capitals_and_without_its_heading(keyfile, tmp_path):
    lines = keyfile.key_on_paper().splitlines()
    typed = [f"  {line.upper()}  " for line in lines if " - " in line]
    (tmp_path / "typed").write_text("\n\n".join(typed).replace("ID:", "id:"))
    lose_the_machine(keyfile)

    keyfile.import_key(tmp_path / "typed")

    assert keyfile.names() == ["first"]


def test_mistyped_line_of_a_paper_is_named_and_nothing_is_imported(keyfile, tmp_path):
    lines = keyfile.key_on_paper().splitlines()
    third = next(number for number, line in enumerate(lines) if line.startswith(" 3:"))
    lines[third] = lines[third].translate(str.maketrans("0123456789", "1234567890"))
    (tmp_path / "typed").write_text("\n".join(lines))
    lose_the_machine(keyfile)

    with pytest.raises(KeyMissing, match="line 3 is not right"):
        keyfile.import_key(tmp_path / "typed")

    with pytest.raises(KeyMissing):
        keyfile.names()


def test_paper_that_lacks_its_end_is_no_key(keyfile, tmp_path):
    lines = keyfile.key_on_paper().strip().splitlines()
    (tmp_path / "typed").write_text("\n".join(lines[:-1]))
    lose_the_machine(keyfile)

    with pytest.raises(KeyMissing, match="some lines are missing"):
        keyfile.import_key(tmp_path / "typed")


def test_key_of_another_repository_is_refused(keyfile, settings, tmp_path):
    other = BorgRepository(
        replace(settings, location=f"{settings.location} 2", encryption="keyfile-blake2")
    )
    other.prepare()
    other.export_key(tmp_path / "other")
    lose_the_machine(keyfile)

    with pytest.raises(KeyMissing, match="different backup repository"):
        keyfile.import_key(tmp_path / "other")


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"\xff\xfe", None])
def test_file_that_is_no_key_is_refused(keyfile, tmp_path, content):
    if content is not None:
        (tmp_path / "copy").write_bytes(content)
    lose_the_machine(keyfile)

    with pytest.raises(KeyMissing):
        keyfile.import_key(tmp_path / "copy")


def test_key_that_is_there_is_not_replaced(repository, tmp_path):
    repository.export_key(tmp_path / "copy")

    with pytest.raises(RepositoryRefused, match="has its key"):
        repository.import_key(tmp_path / "copy")


def test_key_is_of_no_use_without_its_passphrase(keyfile, tmp_path):
    keyfile.export_key(tmp_path / "copy")
    lose_the_machine(keyfile)
    other = BorgRepository(replace(keyfile.settings, passphrase=lambda: "another"))

    with pytest.raises(PassphraseWrong):
        other.import_key(tmp_path / "copy")


@pytest.mark.parametrize("encryption", ENCRYPTIONS)
def test_key_of_every_mode_can_be_put_on_paper(settings, encryption):
    repository = BorgRepository(replace(settings, encryption=encryption))
    repository.prepare()

    assert "BORG PAPER KEY v1\nid: " in repository.key_on_paper()


@pytest.mark.parametrize("form", ["file", "paper", "qr-html"])
def test_copy_of_the_key_is_for_our_eyes_only(repository, tmp_path, form):
    repository.export_key(tmp_path / "copy", form=form)

    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    start = {"file": "BORG_KEY ", "paper": "To restore key", "qr-html": "<!doctype html>"}[form]
    assert (tmp_path / "copy").read_text().lstrip().startswith(start)


def test_unencrypted_repository_has_no_key(settings, tmp_path):
    repository = BorgRepository(replace(settings, encryption="none", passphrase=None))
    repository.prepare()

    with pytest.raises(KeyMissing):
        repository.key_on_paper()
    with pytest.raises(KeyMissing):
        repository.export_key(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
