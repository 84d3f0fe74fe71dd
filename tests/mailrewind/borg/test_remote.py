"""borg's other side, reached through a command that stands in for ssh and runs it here."""

from dataclasses import replace
from pathlib import Path

import pytest

from mailrewind.borg.executable import borg_executable
from mailrewind.borg.repository import BorgRepository, RepositorySettings
from mailrewind.errors import ConnectionLost, PassphraseWrong, RepositoryMissing, RepositoryRefused
from mailrewind.ports import Capture


def rsh(directory: Path, last_line: str) -> tuple[str, ...]:
    script = directory / "reach"
    script.write_text(f"#!/bin/sh\nshift\n{last_line}\n")
    script.chmod(0o755)
    return (str(script),)


@pytest.fixture
def remote(settings: RepositorySettings, tmp_path: Path) -> RepositorySettings:
    borg = tmp_path / "borg"  # the path of a checkout may hold spaces, which a remote shell splits
    borg.symlink_to(borg_executable())
    return replace(
        settings,
        location=f"ssh://backup@vault{tmp_path}/there",
        ssh_command=rsh(tmp_path, 'exec sh -c "$*"'),
        remote_path=str(borg),
    )


def test_remote_repository_does_the_whole_trip(remote, mail):
    repository = BorgRepository(remote)
    with pytest.raises(RepositoryMissing):
        repository.names()
    repository.prepare()
    repository.prepare()
    repository.create("one", Capture((mail,), ()))
    repository.create("two", Capture((mail,), ()))
    repository.delete(["one"])
    repository.compact()

    letter = str(mail / "cur" / "letter").lstrip("/")
    assert repository.names() == ["two"]
    assert dict(repository.read("two", [letter])) == {letter: b"Subject: hi\n\nhello\n"}
    with pytest.raises(PassphraseWrong):
        BorgRepository(replace(remote, passphrase=lambda: "wrong")).names()


def test_broken_connection_is_worth_another_try(remote, tmp_path):
    broken = replace(remote, ssh_command=rsh(tmp_path, "echo 'Connection reset' >&2; exit 255"))

    with pytest.raises(ConnectionLost) as raised:
        BorgRepository(broken).names()

    assert raised.value.retryable


def test_restricted_key_is_told(remote, tmp_path):
    BorgRepository(remote).prepare()
    only_elsewhere = f'exec "{borg_executable()}" serve --restrict-to-path /nowhere'
    restricted = replace(remote, ssh_command=rsh(tmp_path, only_elsewhere))

    with pytest.raises(RepositoryRefused):
        BorgRepository(restricted).names()
