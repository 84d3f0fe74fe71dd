import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.formats import mutf7

TEXT = st.text(st.characters(exclude_categories=("Cs",)))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("INBOX", "INBOX"),
        ("Entwürfe", "Entw&APw-rfe"),
        ("台北/日本語", "&U,BTFw-/&ZeVnLIqe-"),  # the example of RFC 3501
        ("R&D", "R&-D"),
        ("&ü&", "&-&APw-&-"),
        ("😀", "&2D3eAA-"),
        ("", ""),
    ],
)
def test_known_names_are_written_and_read(text, name):
    assert (mutf7.encode(text), mutf7.decode(name)) == (name, text)


@given(TEXT)
def test_every_text_comes_back(text):
    assert mutf7.decode(mutf7.encode(text)) == text


@pytest.mark.parametrize("name", ["Entwürfe", "&", "&AP", "a&", "&AGE-", "&2D0-", "&A-", "&####-"])
def test_what_no_text_is_written_as_is_refused(name):
    with pytest.raises(ValueError, match=r"UTF-7|codec|padd|base64"):
        mutf7.decode(name)
