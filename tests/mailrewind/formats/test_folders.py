import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailrewind.formats.folders import directory_of, folder_of

DIRECTORIES = st.one_of(
    st.binary(max_size=60),
    st.text(alphabet="ab.&-,+/\\2e5cfAPwraw:% \n~", max_size=40).map(str.encode),
).map(lambda name: "." + os.fsdecode(name.replace(b"/", b"").replace(b"\0", b"")))


@pytest.mark.parametrize(
    ("directory", "folder"),
    [
        ("", "INBOX"),
        (".Sent", "Sent"),
        (".Projects.Entw&APw-rfe", "Projects/Entwürfe"),
        (".R&-D", "R&D"),
        (".&ZeVnLIqe-", "日本語"),
        (r".Restored.v1\2e2", "Restored/v1.2"),
        (r".a\2fb", r"a\2fb"),
        (".A..B", "A//B"),
        (".INBOX", "raw:INBOX"),
        (".inbox", "raw:inbox"),
        (".INBOX.Old", "INBOX/Old"),
        (".Entwürfe", "raw:Entw%C3%BCrfe"),
        (".bad&.ok", "raw:bad&/ok"),
        (".line&AAo-end", "raw:line&AAo-end"),
        (".\udcff", "raw:%FF"),
        (".raw:x", "raw:raw:x"),
        (".&AC8-", "raw:&AC8-"),
    ],
)
def test_directories_and_paths_lead_to_each_other(directory, folder):
    assert (folder_of(directory), directory_of(folder)) == (folder, directory)


@given(DIRECTORIES)
@example(".&-.")
@example(r".\2e&-\2E")
def test_every_directory_comes_back_from_its_path(directory):
    if directory in (".", ".."):
        return
    assert directory_of(folder_of(directory)) == directory


@given(DIRECTORIES, DIRECTORIES)
def test_two_directories_never_share_a_path(one, other):
    assert (folder_of(one) == folder_of(other)) == (one == other)


@given(DIRECTORIES)
def test_a_path_shows_no_control_characters_and_can_be_stored(directory):
    folder = folder_of(directory)
    assert not [c for c in folder if c < " " or "\x7f" <= c < "\xa0"]
    assert folder.encode() is not None


@pytest.mark.parametrize("folder", ["", "raw:.", "raw:%2Fetc", "raw:..%2F..%2Fx", "raw:%00"])
def test_a_path_that_would_leave_the_maildir_is_refused(folder):
    with pytest.raises(ValueError, match="no directory"):
        directory_of(folder)


def test_a_folder_named_like_the_parent_directory_stays_inside():
    assert directory_of("../../etc") == r".\2e\2e.\2e\2e.etc"
