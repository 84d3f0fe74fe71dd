import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.formats import maildir

NAME = "1276528487.M364837P9451.host,S=1355,W=1394:2,FSa"


def test_base_name_is_what_flags_do_not_change():
    assert maildir.base_of(NAME) == "1276528487.M364837P9451.host,S=1355,W=1394"
    assert maildir.base_of("1276528487.M364837P9451.host") == "1276528487.M364837P9451.host"


def test_guid_is_the_base_name_up_to_the_first_comma():
    assert maildir.guid_of(NAME) == "1276528487.M364837P9451.host"


@pytest.mark.parametrize(
    "name", [",S=1", ".hidden", "a b", "a/b", "ü", "\udcff", "x\ny", "x" * 200]
)
def test_guid_that_could_not_be_a_file_name_is_a_digest_that_stays(name):
    guid = maildir.guid_of(name)
    assert len(guid) == 32
    assert maildir.guid_of(f"{guid},S=5:2,S") == guid


@given(st.text())
def test_every_guid_reads_back_from_the_name_made_of_it(text):
    guid = maildir.guid_of(text)
    assert maildir.guid_of(maildir.name_for(guid, copy=3, sizes=",S=1,W=2", letters="S")) == guid


def test_letters_are_flags_and_keywords():
    keywords = ("$Junk", "", "important")
    assert maildir.flags_of("x:2,DFPRSTacz", keywords) == frozenset(
        {
            *("\\Draft", "\\Flagged", "$Forwarded", "\\Answered", "\\Seen", "\\Deleted"),
            *("$Junk", "important"),
        }
    )


def test_a_name_without_letters_has_no_flags():
    assert maildir.flags_of("x", ("a",)) == frozenset()


@given(st.frozensets(st.sampled_from(["\\Seen", "\\Draft", "$Forwarded", "one", "two"])))
def test_flags_come_back_from_their_letters(flags):
    keywords = ("one", "", "two", "$Forwarded")
    letters = maildir.letters_of(flags, keywords)
    assert maildir.flags_of(f"x:2,{letters}", keywords) == flags
    assert list(letters) == sorted(letters)


def test_flag_without_a_letter_is_left_out():
    assert maildir.letters_of(frozenset({"\\Seen", "\\Recent", "unknown"}), ()) == "S"


@pytest.mark.parametrize(
    ("flag", "needs"), [("$Junk", True), ("$Forwarded", False), ("\\Seen", False)]
)
def test_only_keywords_without_a_letter_of_their_own_need_the_folders_list(flag, needs):
    assert maildir.needs_keyword(flag) is needs


@pytest.mark.parametrize(
    ("content", "sizes"),
    [
        (b"a\nb\n", ",S=4,W=6"),
        (b"a\r\nb\n", ",S=5,W=6"),
        (b"", ",S=0,W=0"),
        (b"CRYPTED\x03\x07 and more", ",S=1355,W=1394"),
    ],
)
def test_sizes_are_counted_or_kept_where_the_content_is_packed(content, sizes):
    assert maildir.sizes_of(NAME, content) == sizes


@pytest.mark.parametrize(
    ("name", "size"),
    [
        (NAME, 1355),
        ("1.a,S=12:2,S", 12),
        ("1.a,W=13,S=12", 12),
        ("1.a,W=13:2,S", None),
        ("1.a:2,S=5", None),
        ("1.a,S=:2,", None),
        ("1.a,S=12x:2,", None),
        ("1.a,S=-1:2,", None),
    ],
)
def test_plain_size_is_what_the_name_says(name: str, size: int | None) -> None:
    assert maildir.plain_size_of(name) == size
