"""Who is told of a restore, by a real SMTP server."""

import json
from collections.abc import Iterator

import pytest
from aiosmtpd.controller import Controller

from tests.command import Call
from tests.mailrewind.notify.test_mail import Postbox, free_port
from tests.office import ADA, Office, remove


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture
def port(postbox: Postbox) -> Iterator[int]:
    controller = Controller(postbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller.port
    controller.stop()


def test_operators_and_who_asked_are_told_of_begin_and_end(
    call: Call, office: Office, port: int, postbox: Postbox
) -> None:
    with office.configuration.open("a") as file:
        file.write(
            "notify: {mail: {to: [ops@example.org], sender: mailrewind@example.org, "
            f"host: 127.0.0.1, port: {port}}}}}\n"
        )
    lost = office.add_many(2)
    point = office.back_up()
    remove(lost)
    words = ("restore", "mailbox", "office", ADA, "--yes", "--json")
    done = json.loads(call(*words, "--tell", "ada@example.org", "--reason", "ticket 17").stdout)
    assert done["findings"] == []
    assert [envelope.rcpt_tos for envelope in postbox.envelopes] == [
        ["ops@example.org", "ada@example.org"]
    ] * 2
    assert [message["Subject"] for message in postbox.messages] == [
        f"mailrewind: restore {done['id']} begins",
        f"mailrewind: restore {done['id']} from {point}: 2 added, 0 failed, 0 present",
    ]
    assert "Reason: ticket 17" in postbox.messages[0].get_content()


def test_mail_server_that_is_away_is_a_finding_and_the_messages_are_back(
    call: Call, office: Office
) -> None:
    with office.configuration.open("a") as file:
        file.write(
            "notify: {mail: {to: [ops@example.org], sender: mailrewind@example.org, "
            "host: 127.0.0.1, port: 1}}\n"
        )
    lost = office.add_many(2)
    before = office.snapshot()
    office.back_up()
    remove(lost)
    done = json.loads(call("restore", "mailbox", "office", ADA, "--yes", "--json").stdout)
    assert [finding["subject"] for finding in done["findings"]] == ["notification"] * 2
    assert office.snapshot() == before
