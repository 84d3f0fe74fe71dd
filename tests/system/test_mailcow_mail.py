"""Messages lost from a mailcow at full size, and brought back."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from mailrewind.model.restores import RestoreRequest
from tests.mailcow_office import SYSTEM, MailcowOffice
from tests.stacks.mailcow.samples import message

pytest_plugins = ["tests.mailcow"]

ADA = "ada@example.org"
FLAGS = [(), ("\\Seen",), ("\\Seen", "\\Answered", "red"), ("\\Flagged", "$Forwarded", "later")]
THEN = datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC)


@pytest.fixture(scope="module")
def office(mailcow, tmp_path_factory):
    return MailcowOffice(mailcow, tmp_path_factory.mktemp("office"))


def fill(stack, folder: str, number: int) -> None:
    for kind, flags in enumerate(FLAGS):
        letters = [
            message(f"{folder} {n}", size=400 + 97 * (n % 60))
            for n in range(kind, number, len(FLAGS))
        ]
        stack.deliver(ADA, folder, letters, flags=flags, received=THEN + timedelta(hours=kind))


def living(office) -> set[tuple[str, ...]]:
    """Return folder, GUID, size, flags and date of each message, as Dovecot says."""
    return {(folder, *row) for folder, rows in office.seen(ADA).items() for row in rows.values()}


def test_1150_lost_messages_of_two_folders_are_back_in_five_seconds(office, mailcow):
    fill(mailcow, "Kunden/Müller", 750)
    fill(mailcow, "INBOX", 500)
    office.back_up()
    before = living(office)
    with mailcow.imap(ADA) as imap:
        imap.select("INBOX")
        imap.uid("STORE", "1:400", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.uid("STORE", "401:410", "+FLAGS", "(green)")
        imap.append("INBOX", "()", None, message("new since").replace(b"\n", b"\r\n"))
        imap.delete('"Kunden/M&APw-ller"')
    kept = living(office)
    uids = office.seen(ADA)["INBOX"]

    began = time.monotonic()
    report = office.services.restore.run(RestoreRequest(SYSTEM, ADA, initiator="test"))
    seconds = time.monotonic() - began

    assert (len(report.added), report.failed) == (1150, ())
    print("SECONDS", seconds)
    lost = {row for row in before if row[:2] not in {known[:2] for known in kept}}
    assert len(lost) == 1150
    assert living(office) == kept | lost
    assert uids.items() <= office.seen(ADA)["INBOX"].items()
    assert mailcow.quota(ADA) == office.true_quota(ADA)
    again = office.services.restore.run(RestoreRequest(SYSTEM, ADA, initiator="test"))
    assert (again.added, again.plan.selection.present) == ((), 1250)
    assert seconds <= 5
