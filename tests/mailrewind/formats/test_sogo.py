from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.errors import ExportDamaged
from mailrewind.formats.property_lists import Opaque
from mailrewind.formats.sogo import (
    FolderDifference,
    SogoExport,
    SogoFolder,
    SogoRecord,
    difference,
    only,
    read_export,
    with_living_shares,
    with_user,
    without_preferences,
    write_export,
)

# As GNUstep writes it, shortened; the line ends inside of the records are those of iCalendar.
SAMPLE = rb"""{
    "ldif_record" = "dn: alice\nuserPassword: {PLAIN}pw\n";
    preferences = (
        {
            SOGoTimeZone = "Europe/Athens";
        },
        {
            Calendar = {
                FolderColors = {
                    "alice@example.org:Calendar/personal" = "#AAAAAA";
                };
            };
        }
    );
    tables = {
        "/Users/alice@example.org/Calendar/personal" = {
            acl = {
                "bob@example.org" = (
                    PublicViewer,
                    ObjectCreator
                );
            };
            displayname = "Pers\U00F6nlich \"1\"";
            records = (
                {
                    "c_content" = "BEGIN:VCALENDAR
SUMMARY:Gr\U00FC\U00DFe \UD83C\UDF89\\, C:\\\\x
END:VCALENDAR";
                    "c_name" = "1.ics";
                },
                {
                    "c_content" = second;
                    "c_name" = 2.ics;
                    "c_version" = 3;
                }
            );
        };
        "/Users/alice@example.org/Contacts/personal" = {
            acl = {
            };
            displayname = "Personal Address Book";
            later = <00ff>;
            records = (
            );
        };
    };
    zone = ( a, b );
}"""
UNICODE = st.text(st.characters(exclude_categories=["Cs"]))
PATHS = st.builds(
    "/".join,
    st.tuples(
        st.sampled_from(["Calendar", "Contacts"]),
        st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1),
    ),
)
OPAQUE = st.sampled_from(['""', "{a = (b, c); }", "( )", "<00ff>", "word"]).map(Opaque)
OTHERS = st.just(()) | st.just((("later", Opaque("{x = y; }")),))
RECORDS = st.builds(SogoRecord, UNICODE, UNICODE, OTHERS)
FOLDERS = st.builds(
    SogoFolder, PATHS, UNICODE, OPAQUE, st.lists(RECORDS, max_size=4).map(tuple), OTHERS
)
EXPORTS = st.builds(
    SogoExport,
    st.emails(domains=st.just("example.org")).filter(lambda address: "/" not in address),
    st.none() | OPAQUE,
    st.none() | OPAQUE,
    st.lists(FOLDERS, min_size=1, max_size=4, unique_by=lambda folder: folder.path).map(tuple),
    OTHERS,
)


def records(**contents: str) -> tuple[SogoRecord, ...]:
    return tuple(SogoRecord(name, content) for name, content in contents.items())


def export(*folders: SogoFolder) -> SogoExport:
    return SogoExport("alice@example.org", Opaque("secret"), Opaque("(a, b)"), folders)


def folder(path: str = "Calendar/personal", acl: str = "{ }", **contents: str) -> SogoFolder:
    return SogoFolder(path, "Personal", Opaque(acl), records(**contents))


def test_export_reads_as_sogo_means_it():
    read = read_export(SAMPLE)
    assert read.uid == "alice@example.org"
    assert read.preferences is not None
    assert "FolderColors" in read.preferences
    assert read.others == (("zone", "( a, b )"),)
    personal, contacts = read.folders
    assert personal.path == "Calendar/personal"
    assert personal.display_name == 'Persönlich "1"'
    assert personal.records == (
        SogoRecord("1.ics", "BEGIN:VCALENDAR\nSUMMARY:Grüße 🎉\\, C:\\\\x\nEND:VCALENDAR"),
        SogoRecord("2.ics", "second", (("c_version", Opaque("3")),)),
    )
    assert contacts == SogoFolder(
        "Contacts/personal",
        "Personal Address Book",
        Opaque("{\n            }"),
        (),
        (("later", Opaque("<00ff>")),),
    )


def test_what_is_not_known_comes_back_untouched():
    read = read_export(SAMPLE)
    assert read_export(write_export(read)) == read


@given(EXPORTS)
def test_every_export_comes_back(written):
    assert write_export(written).isascii()
    assert read_export(write_export(written)) == written


def test_export_without_folders_tells_no_user():
    assert read_export(b"{ tables = { }; }") == SogoExport("", None, None, ())


def test_export_cut_anywhere_is_damaged():
    for length in range(len(SAMPLE)):
        with pytest.raises(ExportDamaged):
            read_export(SAMPLE[:length])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        SAMPLE + b"}",
        SAMPLE + SAMPLE,
        b"\0" * 100,
        b"\xff\xfe{ tables = { }; }",
        b'<?xml version="1.0"?><plist/>',
        b"{ tables = (a); }",
        b"{ tables = { }; tables = { }; }",
        SAMPLE.replace(b"/Users/alice@example.org/Contacts", b"/Users/bob@example.org/Contacts"),
        SAMPLE.replace(b"/Users/alice@example.org/Contacts", b"/Groups/alice@example.org/x"),
        SAMPLE.replace(b"Contacts/personal", b"Calendar/personal"),
        SAMPLE.replace(b"displayname", b"name"),
        SAMPLE.replace(b"acl =", b"rights ="),
        SAMPLE.replace(b"c_content", b"content"),
        SAMPLE.replace(b"records = (\n            )", b"x = y"),
        b"{ tables = { x = " + b"(" * 100_000,
    ],
)
def test_what_is_no_export_of_one_user_is_damaged(text):
    with pytest.raises(ExportDamaged):
        read_export(text)


def test_export_for_another_user_names_only_that_one():
    theirs = with_user(read_export(SAMPLE), "bob@example.org")
    written = write_export(without_preferences(theirs))
    assert b'"/Users/bob@example.org/Calendar/personal"' in written
    assert b"alice" not in written
    assert b"{PLAIN}" not in written


def test_living_shares_and_names_replace_the_old_ones():
    then = export(folder(a="1"), folder("Calendar/gone", acl="{ old = (x); }", b="2"))
    now = export(replace(folder(), display_name="Mine", acl=Opaque("{ bob = (y); }")))
    assert with_living_shares(then, now) == export(
        SogoFolder("Calendar/personal", "Mine", Opaque("{ bob = (y); }"), records(a="1")),
        folder("Calendar/gone", acl="{ old = (x); }", b="2"),
    )


def test_only_some_folders_or_records_stay():
    both = export(folder(a="1", b="2"), folder("Contacts/work", a="3"))
    assert only(both, folders=["Contacts/work"]) == export(folder("Contacts/work", a="3"))
    assert only(both, records=[("Calendar/personal", "b")]) == export(folder(b="2"))
    assert only(both, folders=["Contacts/work"], records=[("Calendar/personal", "a")]) == export()
    assert only(both) == both


def test_difference_tells_what_a_merge_adds_and_what_a_reset_loses():
    then = export(folder(gone="1", edited="2", same="3"), folder("Contacts/old", x="4"))
    now = export(folder(same="3", edited="2b", later="5"), folder("Calendar/new", y="6"))
    assert difference(then, now) == (
        FolderDifference(
            path="Calendar/personal",
            is_gone=False,
            missing=records(gone="1"),
            changed=((SogoRecord("edited", "2"), SogoRecord("edited", "2b")),),
            newer=records(later="5"),
        ),
        FolderDifference("Contacts/old", True, records(x="4"), (), ()),
    )
