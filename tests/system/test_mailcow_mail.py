"""Messages lost from a mailcow at full size, and brought back."""

import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

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


def lose(stack) -> None:
    """Delete a folder, and messages of another; leave, change and add some."""
    with stack.imap(ADA) as imap:
        imap.select("INBOX")
        uids = imap.uid("SEARCH", "ALL")[1][0].split()
        imap.uid("STORE", b",".join(uids[-400:]).decode(), "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.uid("STORE", b",".join(uids[:10]).decode(), "+FLAGS", "(green)")
        imap.append("INBOX", "()", None, message("new since").replace(b"\n", b"\r\n"))
        imap.delete('"Kunden/M&APw-ller"')


def test_1150_lost_messages_of_two_folders_are_back_in_five_seconds(office, mailcow):
    fill(mailcow, "Kunden/Müller", 750)
    fill(mailcow, "INBOX", 500)
    office.back_up()
    before = living(office)
    lose(mailcow)
    kept, uids = living(office), office.seen(ADA)["INBOX"]
    lost = {row for row in before if row[:2] not in {known[:2] for known in kept}}
    assert len(lost) == 1150

    effort = measured_restore(office)

    assert living(office) == kept | lost
    assert uids.items() <= office.seen(ADA)["INBOX"].items()
    assert mailcow.quota(ADA) == office.true_quota(ADA)
    again = office.services.restore.run(RestoreRequest(SYSTEM, ADA, initiator="test"))
    assert (again.added, again.plan.selection.present) == ((), 1250)
    assert effort.seconds <= 5


@dataclass(frozen=True)
class Effort:
    """What a restore took, from plan to verified.

    Attributes:
        wall: Seconds by the clock.
        processor: Seconds of a processor: ours, our children's, and Dovecot's.
        waited: Seconds in which something on this machine waited for a processor.
    """

    wall: float
    processor: float
    waited: float

    @property
    def seconds(self) -> float:
        """By the clock; where others had the processors, what it would need at the least."""
        return self.processor if self.waited > self.wall / 2 else self.wall


def measured_restore(office) -> Effort:
    before = marks(office.stack)
    report = office.services.restore.run(RestoreRequest(SYSTEM, ADA, initiator="test"))
    effort = Effort(*(now - then for now, then in zip(marks(office.stack), before, strict=True)))
    assert (len(report.added), report.failed) == (1150, ())
    return effort


def marks(stack) -> tuple[float, float, float]:
    """Return the readings that ``Effort`` is the difference of."""
    dovecot = stack.client.api.stats(stack.service("dovecot").id, stream=False, one_shot=True)
    used = dovecot["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        used += usage.ru_utime + usage.ru_stime
    some = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    return time.monotonic(), used, int(some.rpartition("total=")[2]) / 1e6
