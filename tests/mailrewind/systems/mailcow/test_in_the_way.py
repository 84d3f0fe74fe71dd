"""A mailcow that is not as it should be: foreign keys, missing containers, other projects."""

import base64
import json
import os
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mailrewind.errors import (
    ConfigurationInvalid,
    ContainerMissing,
    DeliveryFailed,
    KeyDoesNotFit,
    MailSystemError,
)
from mailrewind.model.restores import RestoreRequest
from mailrewind.systems.mailcow.installation import Installation
from tests.command import Call
from tests.mailcow_office import SYSTEM, MailcowOffice
from tests.stacks.mailcow.samples import message
from tests.stacks.mailcow.stack import MailcowStack

pytest_plugins = ["tests.mailcow"]

ADA = "ada@example.org"


@pytest.fixture(scope="module")
def office(mailcow: MailcowStack, tmp_path_factory: pytest.TempPathFactory) -> MailcowOffice:
    """An office of which three messages were archived and lost; one more is alive."""
    office = MailcowOffice(mailcow, tmp_path_factory.mktemp("office"))
    mailcow.deliver(ADA, "Lost", [large(f"lost {n}") for n in range(3)])
    office.back_up()
    assert mailcow.doveadm("mailbox", "delete", "-u", ADA, "Lost")[0] == 0
    return office


def large(subject: str) -> bytes:
    """Return a message that cannot be compressed."""
    return message(subject) + base64.encodebytes(os.urandom(150_000))


def request() -> RestoreRequest:
    return RestoreRequest(SYSTEM, ADA, initiator="test")


def staged(stack: MailcowStack) -> list[Path]:
    return [*(stack.volume("vmail-vol-1") / "_garbage/mailrewind-staging").glob("*")]


def test_two_projects_of_one_directory_are_both_named(mailcow):
    image = mailcow.service("redis").image.id
    labels = {
        "com.docker.compose.project": "another-cow",
        "com.docker.compose.service": "redis-mailcow",
        "com.docker.compose.project.working_dir": str(mailcow.directory),
    }
    other = mailcow.client.containers.create(image, ["sleep", "60"], labels=labels)
    try:
        with pytest.raises(ConfigurationInvalid) as caught:
            _ = Installation(mailcow.directory).project
        assert str(caught.value) == (
            f"Several compose projects were started in {mailcow.directory}: "
            f"another-cow, {mailcow.project}."
        )
        named = Installation(mailcow.directory, project=mailcow.project)
        assert named.vmail == mailcow.volume("vmail-vol-1")
        named.close()
    finally:
        other.remove(force=True)


def test_a_project_of_another_directory_is_not_taken(mailcow, tmp_path):
    copy = tmp_path / "mailcow-copy"
    copy.mkdir()
    shutil.copy(mailcow.directory / "mailcow.conf", copy)
    with pytest.raises(ConfigurationInvalid) as caught:
        _ = Installation(copy).project
    assert str(mailcow.directory) in str(caught.value)


def test_a_project_that_was_never_started_is_missing(tmp_path):
    (tmp_path / "mailcow.conf").write_text("COMPOSE_PROJECT_NAME=nowhere-to-be-seen\n")
    with pytest.raises(ContainerMissing) as caught:
        _ = Installation(tmp_path).project
    assert str(caught.value) == "The Docker engine knows no compose project nowhere-to-be-seen."


def test_without_space_for_staging_nothing_is_delivered_and_nothing_left(office, mailcow):
    staging = mailcow.volume("vmail-vol-1") / "_garbage/mailrewind-staging"
    staging.mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", "size=300k,mode=0711", "tmpfs", str(staging)]
    subprocess.run(["mount", *options], check=True)
    try:
        quota = mailcow.quota(ADA)
        with pytest.raises(DeliveryFailed) as caught:
            office.services.restore.run(request())
        assert "No space left on device" in str(caught.value)
        assert mailcow.quota(ADA) == quota
        assert staged(mailcow) == []
    finally:
        subprocess.run(["umount", str(staging)], check=True)


def test_what_dovecot_encrypts_anew_is_compared_as_it_reads(office, mailcow):
    staging = mailcow.volume("vmail-vol-1") / "_garbage/mailrewind-staging"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0711", "tmpfs", str(staging)], check=True)
    try:
        report = office.services.restore.run(request())
        assert (len(report.added), report.failed) == (3, ())
        (finding,) = report.findings
        assert "lies on another disk than the mailbox" in finding.text
        assert mailcow.quota(ADA) == office.true_quota(ADA)
    finally:
        subprocess.run(["umount", str(staging)], check=True)
    assert mailcow.doveadm("mailbox", "delete", "-u", ADA, "Lost")[0] == 0


def test_dovecot_may_be_restarted_while_messages_come_back(office, mailcow):
    mailcow.service("watchdog").stop(timeout=1)
    again = threading.Event()

    def restart_at_the_first_staged_message() -> None:
        while not again.is_set():
            if any(path.is_dir() for path in staged(mailcow)):
                mailcow.restart("dovecot")
                return
            time.sleep(0.005)

    restarter = threading.Thread(target=restart_at_the_first_staged_message)
    restarter.start()
    try:
        with suppress(MailSystemError):
            office.services.restore.run(request())
    finally:
        again.set()
        restarter.join()
    office.services.restore.run(request())
    assert len(office.seen(ADA)["Lost"]) == 3
    assert mailcow.quota(ADA) == office.true_quota(ADA)
    assert staged(mailcow) == []
    assert mailcow.doveadm("mailbox", "delete", "-u", ADA, "Lost")[0] == 0


def test_a_key_that_does_not_fit_stops_before_anything_is_delivered(office, mailcow):
    crypt = mailcow.volume("crypt-vol-1")
    extra = mailcow.directory / "data/conf/dovecot/extra.conf"
    settings = extra.read_text()
    former = {path: path.read_bytes() for path in crypt.glob("*.pem")}
    for path in former:
        path.unlink()
    mailcow.restart("dovecot")  # it makes a new pair of keys, as a new installation does
    try:
        fresh = MailcowOffice(mailcow, office.root)
        quota = mailcow.quota(ADA)
        with pytest.raises(KeyDoesNotFit) as caught:
            fresh.services.restore.plan(request())
        assert "it is encrypted for the key" in str(caught.value)
        with pytest.raises(KeyDoesNotFit):
            fresh.services.restore.run(request())
        assert mailcow.quota(ADA) == quota
        assert staged(mailcow) == []

        # Beside the new key, the former one opens what it has encrypted.
        (crypt / "former.pem").write_bytes(former[crypt / "ecprivkey.pem"])
        second = "mail_crypt_global_private_key2 = </mail_crypt/former.pem"
        extra.write_text(f"{settings}plugin {{\n  {second}\n}}\n")
        mailcow.restart("dovecot")
        both = MailcowOffice(mailcow, office.root)
        assert len(both.services.connect(SYSTEM).mail.key_ids) == 2
        report = both.services.restore.run(request())
        assert (len(report.added), report.failed) == (3, ())
        assert mailcow.doveadm("fetch", "-u", ADA, "text", "mailbox", "Lost")[0] == 0
        assert mailcow.doveadm("mailbox", "delete", "-u", ADA, "Lost")[0] == 0
    finally:
        extra.write_text(settings)
        (crypt / "former.pem").unlink(missing_ok=True)
        for path, content in former.items():
            path.write_bytes(content)
        mailcow.restart("dovecot")


def test_messages_of_another_key_are_findings_of_the_backup(office, mailcow):
    crypt = mailcow.volume("crypt-vol-1")
    former = {path: path.read_bytes() for path in crypt.glob("*.pem")}
    for path in former:
        path.unlink()
    mailcow.restart("dovecot")
    mailcow.deliver(ADA, "Foreign", [message("not ours"), message("nor this")])
    for path, content in former.items():
        path.write_bytes(content)
    mailcow.restart("dovecot")
    report = MailcowOffice(mailcow, office.root).services.back_up.run(SYSTEM, initiator="test")
    (finding,) = [each for each in report.findings if each.subject == ADA]
    assert finding.text.startswith("2 messages without subject and sender, such as ")
    assert report.index is not None
    assert mailcow.doveadm("mailbox", "delete", "-u", ADA, "Foreign")[0] == 0


def test_a_missing_container_is_named(office, mailcow):
    """The last two tests take the stack apart."""
    mailcow.service("dovecot").remove(force=True)
    fresh = MailcowOffice(mailcow, office.root)
    with pytest.raises(ContainerMissing) as caught:
        fresh.services.restore.run(request())
    assert "no container of dovecot-mailcow" in str(caught.value)
    assert caught.value.advice.startswith("Check `docker compose ps`")
    result = Call(office.configuration)("doctor", "--json")
    found = {each["name"]: each["text"] for each in json.loads(result.stdout)}
    assert result.exit_code == 10
    assert "Not running: dovecot-mailcow" in found["project of office"]


def test_of_a_stack_that_is_down_the_volumes_are_found_and_no_point_is_made(office, mailcow):
    for container in mailcow.client.containers.list(
        all=True, filters={"label": f"com.docker.compose.project={mailcow.project}"}
    ):
        container.remove(force=True)
    fresh = MailcowOffice(mailcow, office.root)
    system = fresh.services.connect(SYSTEM).mail
    assert system.installation.project.name == mailcow.project
    assert ADA in system.mailboxes()
    points = [point.name for point in fresh.services.state.points(SYSTEM)]
    with pytest.raises(ContainerMissing) as caught:
        fresh.services.back_up.run(SYSTEM, initiator="test")
    assert f"The project {mailcow.project} has no container of " in str(caught.value)
    assert [point.name for point in fresh.services.state.points(SYSTEM)] == points
