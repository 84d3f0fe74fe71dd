from dataclasses import replace

import pytest

from mailrewind.formats.rfc5322 import digest_of
from mailrewind.model.restores import Addition
from mailrewind.services.verify import Delivered, read_back
from tests.office import ADA, Office


def read_back_with_flags(office: Office, wanted: frozenset[str], found: str) -> list[str]:
    """Return what is said of a message that was to have flags and has others now."""
    path = office.add(flags=found)
    mail = office.services.connect("office").mail
    (there,) = mail.messages(ADA)
    addition = Addition(1, replace(there, flags=wanted), "INBOX", None)
    delivered = [Delivered(addition, digest_of(path.read_bytes()))]
    _, failed = read_back(
        mail, ADA, (), [addition], delivered, unread="", refused={}, again=lambda paths: ()
    )
    return [finding.text for finding in failed]


@pytest.mark.parametrize("found", ["F", "FS"])
def test_message_that_its_owner_has_opened_already_is_as_it_was(office, found):
    assert read_back_with_flags(office, frozenset({"\\Flagged"}), found) == []


@pytest.mark.parametrize("found", ["", "S", "FT"])
def test_any_other_difference_of_flags_is_told(office, found):
    (text,) = read_back_with_flags(office, frozenset({"\\Flagged"}), found)
    assert text.endswith("they were ['\\\\Flagged']")


def test_lost_seen_is_told(office):
    assert read_back_with_flags(office, frozenset({"\\Flagged", "\\Seen"}), "F") != []
