"""Repositories behind a real sshd and a real `borg serve`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailrewind.borg.repository import BorgRepository, RepositorySettings
from mailrewind.errors import (
    ConnectionLost,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    RepositoryLocked,
    RepositoryRefused,
)
from mailrewind.ports import Capture, Progress
from tests.mailrewind.borg.sshd import Sshd, running_sshd
from tests.mailrewind.borg.test_locks import wait_for


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path / "host") as server:
        server.make_known()
        yield server


@pytest.fixture
def remote(settings: RepositorySettings, sshd: Sshd) -> RepositorySettings:
    return replace(
        settings, location=sshd.location, ssh_command=sshd.ssh_command, lock_wait_seconds=10
    )


def letter_of(mail: Path) -> str:
    return str(mail / "cur" / "letter").lstrip("/")


def test_repository_behind_ssh_does_the_whole_trip(remote, mail, tmp_path):
    repository = BorgRepository(remote)
    repository.prepare()
    repository.create("one", Capture((mail,), ()))
    repository.create("two", Capture((mail,), ()))
    repository.create_from_command("dump", ["echo", "rows"], path="mail.sql")
    repository.delete(["one"])
    repository.compact()
    repository.check()

    assert repository.names() == ["two", "dump"]
    assert letter_of(mail) in {file.path for file in repository.files("two")}
    assert dict(repository.read("two", [letter_of(mail)])) == {
        letter_of(mail): b"Subject: hi\n\nhello\n"
    }
    with repository.read_stream("dump", "mail.sql") as content:
        assert content.read() == b"rows\n"
    repository.extract("two", tmp_path, paths=[letter_of(mail)], strip=letter_of(mail).count("/"))
    assert (tmp_path / "letter").read_bytes() == b"Subject: hi\n\nhello\n"


def test_unknown_host_is_sent_nothing_and_the_way_to_know_it_is_told(remote, sshd):
    sshd.known_hosts.unlink()

    with pytest.raises(HostKeyUnknown, match=r"is not known \(No ED25519 host key") as raised:
        BorgRepository(remote).prepare()

    assert not raised.value.retryable
    assert "fingerprint" in raised.value.advice
    assert not sshd.known_hosts.exists()
    assert not sshd.repository.exists()


def test_host_with_another_key_than_before_is_refused(remote, sshd):
    sshd.make_known("other_key")

    with pytest.raises(HostKeyChanged) as raised:
        BorgRepository(remote).prepare()

    assert not raised.value.retryable
    assert not sshd.repository.exists()


def test_configuration_of_ssh_that_believes_any_host_is_overruled(remote, sshd, tmp_path):
    sshd.known_hosts.unlink()
    careless = tmp_path / "ssh_config"
    careless.write_text("StrictHostKeyChecking no\n")
    command = list(sshd.ssh_command)
    command[command.index("none")] = str(careless)

    with pytest.raises(HostKeyUnknown):
        BorgRepository(replace(remote, ssh_command=tuple(command))).prepare()


@pytest.mark.parametrize(
    "arguments",
    [
        ("-oStrictHostKeyChecking=no",),
        ("-o", "stricthostkeychecking off"),
        ("-o", "StrictHostKeyChecking=no"),
    ],
)
def test_command_that_checks_no_host_key_is_refused(remote, arguments):
    with pytest.raises(RepositoryRefused, match="does not check the key of its host"):
        BorgRepository(replace(remote, ssh_command=("ssh", *arguments)))


def test_host_that_does_not_know_our_key_is_told(remote, sshd):
    stranger = tuple(part.replace("/client", "/stranger") for part in sshd.ssh_command)

    with pytest.raises(LoginRefused, match="Permission denied"):
        BorgRepository(replace(remote, ssh_command=stranger)).names()


def test_host_that_does_not_answer_is_worth_another_try(remote, sshd):
    sshd.process.terminate()
    sshd.process.wait()

    with pytest.raises(ConnectionLost, match="Connection refused") as raised:
        BorgRepository(remote).names()

    assert raised.value.retryable


@pytest.mark.parametrize("fate", [Sshd.break_connections, Sshd.kill_borg])
def test_backup_works_after_one_whose_connection_broke(remote, sshd, mail, large, fate):
    slow = BorgRepository(replace(remote, compression="lzma,9"))
    slow.prepare()
    broken = []

    def break_off(_: Progress) -> None:
        if not broken:
            assert (sshd.repository / "lock.exclusive").exists()
            broken.extend(sshd.sessions())
            fate(sshd)

    with pytest.raises(ConnectionLost):
        slow.create("first", Capture((large,), ()), report=break_off)

    assert broken
    if fate is Sshd.break_connections:
        wait_for(lambda: not (sshd.repository / "lock.exclusive").exists(), seconds=15)
    BorgRepository(remote).create("second", Capture((mail,), ()))
    assert BorgRepository(remote).names() == ["second"]
    assert not (sshd.repository / "lock.exclusive").exists()


def test_lock_of_our_own_living_backup_over_ssh_is_not_broken(remote, sshd, large):
    slow = BorgRepository(replace(remote, compression="lzma,9"))
    slow.prepare()
    refused = []

    class Enough(Exception):
        pass

    def try_to_break(_: Progress) -> None:
        try:
            BorgRepository(remote).break_lock()
        except RepositoryLocked as error:
            refused.append(str(error))
        raise Enough

    with pytest.raises(Enough):
        slow.create("first", Capture((large,), ()), report=try_to_break)

    assert len(refused) == 1
    assert "which is running" in refused[0]


def test_lock_over_ssh_is_broken_by_hand(remote, sshd, mail):
    repository = BorgRepository(replace(remote, lock_wait_seconds=1))
    repository.prepare()
    (sshd.repository / "lock.exclusive").mkdir()
    (sshd.repository / "lock.exclusive" / "elsewhere@1.4711-0").touch()
    with pytest.raises(RepositoryLocked):
        repository.create("first", Capture((mail,), ()))

    repository.break_lock()
    repository.create("first", Capture((mail,), ()))

    assert repository.names() == ["first"]
