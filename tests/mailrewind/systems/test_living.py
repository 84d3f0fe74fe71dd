import os
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from mailrewind.errors import MailboxNotFound, MailSystemError, SourceMissing, SourceUnreadable
from mailrewind.model.mail import Message, Quota
from mailrewind.systems.maildir import MaildirSettings, MaildirSystem
from tests.mailrewind.systems.flipping import flags_flipping
from tests.mailrewind.systems.trees import ADA, THEN, letter, make_maildir, put_file


@contextmanager
def without_privileges():
    """Be nobody for a while, for root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_messages_are_read_with_all_that_dovecot_wrote(system, maildir):
    folder = make_maildir(maildir / ".Entw&APw-rfe")
    put_file(folder / "cur" / "1.a,S=18,W=21:2,FSab", b"Subject: one\n")
    put_file(folder / "new" / "2.b", b"two")
    (folder / "dovecot-uidlist").write_text("3 V1 N3\n1 Gguid-1,S=1 :1.a,S=18,W=21\n2 :2.b\n")
    (folder / "dovecot-keywords").write_text("0 $Junk\n1 red\n")
    path = f"{maildir}/.Entw&APw-rfe".lstrip("/")
    assert sorted(system.messages(ADA), key=str) == sorted(
        [
            Message(
                *(ADA, "Entwürfe", "guid-1"),
                frozenset({"\\Flagged", "\\Seen", "$Junk", "red"}),
                *(THEN, 18, f"{path}/cur/1.a,S=18,W=21:2,FSab"),
            ),
            Message(ADA, "Entwürfe", "2.b", frozenset(), THEN, 3, f"{path}/new/2.b"),
        ],
        key=str,
    )


def test_no_message_is_missed_while_flags_change_all_the_time(system, maildir):
    bases = [f"{1700000000 + number}.M{number}P1.host,S=1,W=1" for number in range(2500)]
    for base in bases:
        (maildir / "cur" / f"{base}:2,").touch()
    keys = {f"{str(maildir).lstrip('/')}/{base}" for base in bases}
    with flags_flipping(maildir / "cur"):
        for _ in range(4):
            assert system.survey().keys() == keys
        living = [message.guid for message in system.messages(ADA)]
    assert sorted(living) == sorted(base.partition(",")[0] for base in bases)


def test_content_is_found_under_its_new_name(system, maildir):
    for number in range(50):
        put_file(maildir / "cur" / f"{number}.a:2,", f"{number}".encode())
    messages = system.messages(ADA)
    with flags_flipping(maildir / "cur"):
        contents = {message.guid: system.content(message) for message in messages}
    assert contents == {f"{number}.a": f"{number}".encode() for number in range(50)}


def test_message_seen_in_new_and_cur_is_one(system, maildir):
    put_file(maildir / "new" / "1.a")
    put_file(maildir / "cur" / "1.a:2,S")
    [message] = system.messages(ADA)
    assert message.flags == {"\\Seen"}
    assert list(system.survey().values()) == [f"{maildir}/cur/1.a:2,S".lstrip("/")]


def test_hidden_files_directories_and_links_are_no_messages(system, maildir, tmp_path):
    secret = put_file(tmp_path / "secret", b"Subject: secret\n")
    (maildir / "cur" / "1.link:2,").symlink_to(secret)
    (maildir / "cur" / "2.directory:2,").mkdir()
    put_file(maildir / "cur" / ".hidden")
    assert system.messages(ADA) == []


def test_links_are_not_followed_out_of_the_tree(system, maildir, root, tmp_path):
    other = make_maildir(tmp_path / "other")
    put_file(other / "cur" / "1.secret:2,")
    (maildir / ".Linked").symlink_to(other)
    (make_maildir(maildir / ".Half") / "new").rmdir()
    (maildir / ".Half" / "new").symlink_to(other / "cur")
    (root / "example.org" / "eve").mkdir()
    (root / "example.org" / "eve" / "Maildir").symlink_to(other)
    (root / "linked.org").symlink_to(root / "example.org")
    assert system.mailboxes() == [ADA]
    assert system.survey() == {}
    assert system.messages(ADA) == []
    with pytest.raises(MailboxNotFound):
        system.messages("eve@example.org")
    with pytest.raises(MailboxNotFound):
        system.messages("ada@linked.org")


@pytest.mark.parametrize("folder", ["Linked", "Linked/below", "Half"])
def test_nothing_is_delivered_through_a_link(system, maildir, tmp_path, folder):
    other = make_maildir(tmp_path / "other")
    (maildir / ".Linked").symlink_to(other)
    (maildir / ".Linked.below").symlink_to(other / "cur")
    (make_maildir(maildir / ".Half") / "cur").rmdir()
    (maildir / ".Half" / "cur").symlink_to(other / "cur")
    with pytest.raises(MailSystemError):
        system.deliver(ADA, [letter("1.a", folder)])
    assert [path for path in other.rglob("*") if path.is_file()] == []


def test_folder_deleted_during_a_listing_hides_no_other(system, maildir):
    for name in (".A", ".B", ".C"):
        make_maildir(maildir / name)
    folders = system._tree.folders(ADA, str(maildir).lstrip("/"))
    first = next(folders)
    shutil.rmtree(maildir / ".B")
    assert [folder.directory for folder in (first, *folders)] == ["", ".A", ".C"]


def test_mailbox_deleted_during_a_listing_hides_no_other(system, maildir, root):
    for name in ("bob", "eve"):
        make_maildir(root / "example.org" / name / "Maildir")
    found = system._tree.mailboxes()
    first, _ = next(found)
    shutil.rmtree(root / "example.org" / "bob")
    assert [first, *(mailbox for mailbox, _ in found)] == [ADA, "eve@example.org"]


def test_missing_root_is_named_when_mailboxes_are_listed(system, root):
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(SourceMissing, match=str(root)):
        system.mailboxes()


def test_content_outside_of_the_tree_is_not_given(system, maildir, tmp_path):
    put_file(tmp_path / "secret")
    (maildir / "cur" / "1.a:2,").symlink_to(tmp_path / "secret")
    for path in (f"{maildir}/cur/1.a:2,", f"{maildir}/cur/../../../../../secret", "/etc/passwd"):
        stray = Message(ADA, "INBOX", "1.a", frozenset(), THEN, 1, path.lstrip("/"))
        with pytest.raises(MailSystemError):
            system.content(stray)


def test_companions_are_what_changed_since(system, maildir):
    sent = make_maildir(maildir / ".Sent")
    now = datetime.now(UTC)
    old = (now - timedelta(hours=1)).timestamp()
    for path in (sent / "dovecot-uidlist", maildir / "dovecot-keywords", maildir / "subscriptions"):
        path.touch()
    (sent / "dovecot-keywords").touch()
    os.utime(sent / "dovecot-keywords", (old, old))
    assert sorted(system.companions(now)) == sorted(
        str(path).lstrip("/")
        for path in (
            sent / "dovecot-uidlist",
            *(maildir / "dovecot-keywords", maildir / "subscriptions"),
        )
    )


def test_root_that_is_missing_is_told(tmp_path):
    system = MaildirSystem(MaildirSettings("x", f"{tmp_path}/gone/{{address}}", dovecot=None))
    with pytest.raises(SourceMissing, match="gone"), system.capture():
        pass


def test_root_without_any_mailbox_is_taken_for_an_unmounted_disk(tmp_path):
    (tmp_path / "mail").mkdir()
    system = MaildirSystem(MaildirSettings("x", f"{tmp_path}/mail/{{address}}", dovecot=None))
    with pytest.raises(SourceMissing, match="No mailbox"), system.capture():
        pass


def test_root_that_is_a_link_is_refused_for_an_archive_would_hold_the_link(system, root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    settings = MaildirSettings("x", f"{tmp_path}/link/{{domain}}/{{local}}/Maildir", dovecot=None)
    with pytest.raises(SourceMissing, match="symbolic link"), MaildirSystem(settings).capture():
        pass


@pytest.mark.parametrize("path", ["", "example.org/ada", "example.org/ada/Maildir/.Sent/cur"])
def test_mail_that_may_not_be_read_is_told(system, root, maildir, tmp_path, path):
    make_maildir(maildir / ".Sent")
    for directory in (*tmp_path.parents, tmp_path):
        if directory.stat().st_uid == os.geteuid() and directory != directory.parent:
            directory.chmod(directory.stat().st_mode | 0o011)
    (root / path).chmod(0o000)
    try:
        with without_privileges(), pytest.raises(SourceUnreadable), system.capture():
            pass
    finally:
        (root / path).chmod(0o755)


def test_quota_without_dovecot_is_what_maildirsize_says(system, maildir):
    assert system.quota(ADA) is None
    (maildir / "maildirsize").write_text("1000000S,500C\n1000 3\n-200 -1\n")
    assert system.quota(ADA) == Quota(800, 1_000_000, 2, 500)
    system.deliver(ADA, [letter("1.a"), letter("2.b", "Sent")])
    assert system.quota(ADA) == Quota(838, 1_000_000, 4, 500)
