import pickle

import pytest

from mailrewind.errors import ConfigurationInvalid, DeliveryFailed, RecordsFull


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("no space is left for the state", "No space is left for the state."),
        ("office-2 is no mailbox", "office-2 is no mailbox."),
        ("ada@example.org is held", "ada@example.org is held."),
        ("/var/vmail: Permission denied.", "/var/vmail: Permission denied."),
    ],
)
def test_error_is_a_sentence_and_names_stay_as_they_are(message, said):
    assert str(DeliveryFailed(message)) == said


def test_places_in_a_configuration_stay_as_they_are():
    assert str(ConfigurationInvalid("path: unknown key")) == "path: unknown key"


def test_error_crosses_a_process_border_with_its_advice():
    error = pickle.loads(pickle.dumps(RecordsFull("no space is left", advice="Free some.")))
    assert (type(error), str(error), error.advice) == (
        RecordsFull,
        "No space is left.",
        "Free some.",
    )
