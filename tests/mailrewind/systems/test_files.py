"""Messages go back as files, where no Dovecot does it."""

import os
import stat
import threading
import time

import pytest

from mailrewind.errors import DeliveryFailed
from mailrewind.model.restores import Added
from tests.mailrewind.systems.trees import ADA, THEN, letter, make_maildir, put_file


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_name_keeps_guid_sizes_and_letters(system, maildir):
    system.deliver(ADA, [letter("1.a", "INBOX", b"a\r\nb\n", "\\Seen", "\\Flagged", "$Forwarded")])
    assert names(maildir / "cur") == ["1.a,S=5,W=6:2,FPS"]
    assert names(maildir / "tmp") == []


def test_keywords_get_the_next_free_letters(system, maildir):
    (maildir / "dovecot-keywords").write_text("0 old\n2 other\n")
    system.deliver(ADA, [letter("1.a", "INBOX", b"x\n", "other", "new", "newer", "\\Seen")])
    assert (maildir / "dovecot-keywords").read_text() == "0 old\n1 new\n2 other\n3 newer\n"
    assert names(maildir / "cur") == ["1.a,S=2,W=3:2,Sbcd"]
    assert names(maildir) == ["cur", "dovecot-keywords", "new", "tmp"]


def test_keywords_beyond_26_are_left_off_and_told(system, maildir):
    (maildir / "dovecot-keywords").write_text("".join(f"{n} k{n}\n" for n in range(25)))
    [finding] = system.deliver(ADA, [letter("1.a", "INBOX", b"x\n", "last", "too-many")])
    assert (finding.subject, finding.text.split(": ")[1]) == ("INBOX", "too-many")
    [message] = system.messages(ADA)
    assert message.flags == {"last"}


def test_keywords_wait_for_a_lock(system, maildir):
    lock = maildir / "dovecot-keywords.lock"
    lock.touch()
    release = threading.Timer(0.3, lock.unlink)
    release.start()
    began = time.monotonic()
    system.deliver(ADA, [letter("1.a", "INBOX", b"x\n", "red")])
    release.join()
    assert time.monotonic() - began >= 0.25
    [message] = system.messages(ADA)
    assert message.flags == {"red"}


def test_keywords_that_stay_locked_are_an_error(system, maildir, monkeypatch):
    monkeypatch.setattr("mailrewind.systems.delivery._LOCK_SECONDS", 0.1)
    (maildir / "dovecot-keywords.lock").touch()
    with pytest.raises(DeliveryFailed, match="locked"):
        system.deliver(ADA, [letter("1.a", "INBOX", b"x\n", "red")])
    assert names(maildir) == ["cur", "dovecot-keywords.lock", "new", "tmp"]


def test_new_folders_have_the_mailboxs_owner_and_mode(system, maildir):
    maildir.chmod(0o2750)
    if os.geteuid() == 0:
        os.chown(maildir, 5000, 5001)
    system.deliver(ADA, [letter("1.a", "New")])
    folder = maildir / ".New"
    about = maildir.stat()
    for path in (folder, *folder.rglob("*")):
        mode = 0o2750 if path.is_dir() else 0o640
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
        assert (path.stat().st_uid, path.stat().st_gid) == (about.st_uid, about.st_gid), path
    assert names(folder) == ["cur", "maildirfolder", "new", "tmp"]


def test_received_is_kept_to_the_microsecond(system, maildir):
    system.deliver(ADA, [letter("1.a")])
    [path] = (maildir / "cur").iterdir()
    assert path.stat().st_mtime_ns == int(THEN.timestamp()) * 10**9 + 123456000


def test_a_file_that_is_there_is_never_replaced(system, maildir):
    put_file(maildir / "new" / "1.a,S=5,W=6", b"other")
    system.deliver(ADA, [letter("1.a", "INBOX", b"mine\n")])
    assert (maildir / "new" / "1.a,S=5,W=6").read_bytes() == b"other"
    assert names(maildir / "cur") == ["1.a,N=1,S=5,W=6:2,"]


def test_folder_name_that_is_too_long_is_an_error(system, maildir):
    with pytest.raises(DeliveryFailed, match="too long"):
        system.deliver(ADA, [letter("1.a", "x" * 300)])


def test_folder_path_that_leads_out_stays_inside(system, maildir, root):
    system.deliver(ADA, [letter("1.a", "../../eve"), letter("2.b", "/etc/x")])
    assert {message.folder for message in system.messages(ADA)} == {"../../eve", "/etc/x"}
    assert names(root) == ["example.org"]
    with pytest.raises(DeliveryFailed):
        system.deliver(ADA, [letter("3.c", "raw:..%2F..%2Feve")])


def test_full_disk_is_an_error_and_leaves_no_draft(system, maildir, monkeypatch):
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(DeliveryFailed, match="too large"):
            system.deliver(ADA, [letter("1.a", "INBOX", b"x" * 5000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, previous)
    assert (names(maildir / "tmp"), names(maildir / "cur")) == ([], [])


def test_only_the_files_that_were_added_are_taken_out(system, maildir):
    put_file(maildir / "cur" / "1.a,S=5,W=6:2,F")
    system.deliver(ADA, [letter("1.a"), letter("2.b", "Sent", b"x\n", "\\Flagged")])
    make_maildir(maildir / ".Empty")
    added = [Added("INBOX", "1.a", frozenset()), Added("Sent", "2.b", frozenset({"\\Flagged"}))]
    assert not system.remove(ADA, added)
    assert names(maildir / "cur") == ["1.a,S=5,W=6:2,F"]
    assert names(maildir / ".Sent" / "cur") == []
