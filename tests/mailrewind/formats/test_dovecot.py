from hypothesis import given
from hypothesis import strategies as st

from mailrewind.formats.dovecot import (
    UidLine,
    UidList,
    read_keywords,
    read_uidlist,
    write_keywords,
    write_uidlist,
)

LIST = b"""3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1
25006 :1276528487.M364837P9451.host,S=1355,W=1394:2,
25017 W2481 :1276533073.M242911P3632.host:2,F
25018 Gabc123,S=9 W5 :1276533074.M1P1.host:2,S
"""


def test_uidlist_gives_uids_and_guids_by_base_name():
    assert read_uidlist(LIST) == UidList(
        1275660208,
        "3085f01b7f11094c501100008c4a11c1",
        {
            "1276528487.M364837P9451.host,S=1355,W=1394": UidLine(25006, ""),
            "1276533073.M242911P3632.host": UidLine(25017, ""),
            "1276533074.M1P1.host": UidLine(25018, "abc123"),
        },
    )


def test_guid_is_the_field_and_else_the_name():
    uids = read_uidlist(LIST)
    assert uids.guid("1276533074.M1P1.host:2,RS") == "abc123"
    assert uids.guid("1276533073.M242911P3632.host:2,") == "1276533073.M242911P3632.host"
    assert uids.guid("unknown,S=1:2,") == "unknown"


def test_last_line_without_its_end_is_not_there_yet():
    torn = LIST + b"25019 G77 :12765"
    assert read_uidlist(torn) == read_uidlist(LIST)


def test_other_versions_and_rubbish_give_an_empty_list():
    for content in (b"", b"1 1275660208 25022\n1 name\n", b"\0\xff\n\n", b"3 no\n"):
        assert read_uidlist(content) == UidList()


def test_lines_that_make_no_sense_are_left_out():
    assert read_uidlist(b"3 V1 N1\nx :y\n12\n\n :\n99999999999 :a\n7 :b\n").lines == {
        "b": UidLine(7, "")
    }


@given(st.binary())
def test_no_content_is_too_strange(content):
    read_uidlist(content)
    read_keywords(content)
    read_uidlist(b"3 V1 N1\n" + content)


def test_written_uidlist_reads_back():
    content = write_uidlist(5, [("1.a,S=1:2,S", "guid-1"), ("2.b", "guid-2")])
    assert content == b"3 V5 N3\n1 Gguid-1 :1.a,S=1:2,S\n2 Gguid-2 :2.b\n"
    assert read_uidlist(content) == UidList(
        5, "", {"1.a,S=1": UidLine(1, "guid-1"), "2.b": UidLine(2, "guid-2")}
    )


def test_keywords_stand_at_the_place_of_their_letter():
    assert read_keywords(b"0 $Junk\n2 important\n30 beyond\n-1 no\n1\n3 torn") == (
        *("$Junk", "", "important"),
        *[""] * 23,
    )


def test_written_keywords_read_back():
    assert write_keywords(("one", "", "three")) == b"0 one\n2 three\n"
    assert read_keywords(write_keywords(("one", "", "three"))) == ("one", "", "three")
