import pytest

from mailrewind.model.words import count, size


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (1_500_000, "1.4 MiB"),
        (2**61, "2,048.0 PiB"),
    ],
)
def test_size_is_said_in_its_unit(size_bytes, said):
    assert size(size_bytes) == said


def test_numbers_come_with_their_noun():
    said = [count(1, "message"), count(1204, "message"), count(2, "copy", "copies")]
    assert said == ["1 message", "1,204 messages", "2 copies"]
