"""Messages go back through a real Dovecot."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from mailrewind.errors import (
    DeliveryFailed,
    MailboxNotFound,
    MailServerFailed,
    MailServerUnreachable,
)
from mailrewind.formats.rfc5322 import digest_of
from mailrewind.model.restores import Added
from mailrewind.systems.maildir import Doveadm, MaildirSettings, MaildirSystem, detect_dovecot
from tests.dovecot import running_dovecot
from tests.mailrewind.systems.trees import ADA, THEN, letter, make_maildir

HELLO = b"Subject: hi\r\n\r\nhello\r\n"
MIXED = b"Subject: both\r\nTo: x\n\nbare\nfull\r\nno end"


def doubled(dovecot, tmp_path, script):
    """Return a doveadm that does something else for some commands, else what the real one does."""
    double = tmp_path / "doveadm"
    real = dovecot.doveadm.doveadm
    double.write_text(f'#!/bin/sh\n{script}\nexec {real} -c "{dovecot.config}" "$@"\n')
    double.chmod(0o755)
    return Doveadm(double)


def settings(dovecot, /, **changes):
    given = MaildirSettings("served", dovecot.template, dovecot=dovecot.doveadm)
    return replace(given, **changes)


def staged(dovecot):
    return sorted(path.name for path in (dovecot.root / ".mailrewind-staging").iterdir())


def guids(system, folder):
    return sorted(m.guid for m in system.messages(ADA) if m.folder == folder)


def test_content_with_any_line_ends_is_linked_and_not_written_anew(served, dovecot):
    served.deliver(ADA, [letter("1.a", "New/Folder", MIXED, "\\Flagged")])
    [message] = served.messages(ADA)
    told = dovecot.run("-f", "tab", "fetch", "-u", ADA, "guid", "mailbox", "New/Folder")
    assert told.splitlines()[1:] == ["1.a"]
    assert served.content(message) == MIXED
    assert message.received == THEN
    path = Path("/", message.path)
    assert path.stat().st_mtime_ns % 10**9 == 123456000


def test_everything_in_the_mailbox_has_its_owner_and_modes(served, dovecot):
    for directory in dovecot.maildir(ADA).rglob("*"):
        if directory.is_dir():
            directory.chmod(0o750)
    dovecot.maildir(ADA).chmod(0o750)
    served.deliver(ADA, [letter("1.a"), letter("2.b", "New/v1.2"), letter("3.c", "raw:bad&")])
    for path in dovecot.maildir(ADA).rglob("*"):
        about = path.stat()
        assert (about.st_uid, about.st_gid) == (dovecot.uid, dovecot.uid), path
        if path.is_dir():
            assert stat.S_IMODE(about.st_mode) == 0o750, path
        elif path.parent.name == "cur":
            assert stat.S_IMODE(about.st_mode) == 0o640, path


def test_living_messages_keep_their_uids_flags_and_validity(served, dovecot):
    dovecot.append(ADA, "INBOX", HELLO, flags="\\Seen red")
    dovecot.append(ADA, "Sent", HELLO)
    before = {folder: dovecot.seen(ADA, folder) for folder in ("INBOX", "Sent")}
    served.deliver(ADA, [letter("1.a", "INBOX", HELLO, "green"), letter("2.b", "Sent")])
    for folder, messages in before.items():
        assert dovecot.seen(ADA, folder)[: len(messages)] == messages
        assert len(dovecot.seen(ADA, folder)) == len(messages) + 1


def test_folders_that_were_missing_are_subscribed_and_others_are_left(served, dovecot):
    dovecot.append(ADA, "Quiet", HELLO)
    with dovecot.imap(ADA) as imap:
        imap.unsubscribe("Quiet")
    served.deliver(ADA, [letter("1.a", "Quiet"), letter("2.b", "Back"), letter("3.c", "A/b")])
    subscribed = dovecot.folders(ADA, subscribed=True)
    assert {"Back", "A/b"} <= subscribed
    assert "Quiet" not in subscribed


def test_guid_survives_expunge_restore_and_move(served, dovecot):
    dovecot.append(ADA, "INBOX", HELLO, flags="\\Seen")
    [original] = served.messages(ADA)
    content = served.content(original)
    assert not served.remove(ADA, [Added("INBOX", original.guid, original.flags)])
    assert dovecot.seen(ADA) == []
    served.deliver(ADA, [letter(original.guid, "INBOX", content, "\\Seen")])
    assert guids(served, "INBOX") == [original.guid]
    with dovecot.imap(ADA) as imap:
        imap.create("Later")
        imap.select("INBOX")
        imap.uid("MOVE", "1:*", "Later")
    assert guids(served, "INBOX") == []
    assert guids(served, "Later") == [original.guid]


def test_quota_counts_what_was_delivered_and_taken_out(served, dovecot):
    before = served.quota(ADA)
    content = b"Subject: big\n\n" + b"x" * 99_999 + b"\n"
    served.deliver(ADA, [letter("1.a", "INBOX", content)])
    after = served.quota(ADA)
    assert (before.used_messages, after.used_messages) == (0, 1)
    assert after.used_bytes - before.used_bytes == pytest.approx(len(content), abs=1024)
    assert after.limit_bytes == 1024**3
    served.remove(ADA, [Added("INBOX", "1.a", frozenset())])
    assert served.quota(ADA) == before


def test_over_quota_is_delivered_when_asked_for_and_counted_anew():
    with running_dovecot(quota=True) as dovecot:
        dovecot.configure("count", "maildir")  # keeps a sum, as quota in a database does
        dovecot.add_user(ADA, storage_bytes=5120)
        system = MaildirSystem(settings(dovecot))
        assert system.quota(ADA).used_messages == 0
        big = b"Subject: big\n\n" + b"x" * 3000
        letters = [letter("1.a", "INBOX", big), letter("2.b", "INBOX", big)]
        assert not system.deliver(ADA, letters, over_quota=True)
        quota = system.quota(ADA)
        assert (quota.used_messages, quota.limit_bytes) == (2, 5120)
        assert quota.used_bytes >= 5 * 1024
        assert quota.refuses(added_bytes=1, added_messages=1)


def test_keywords_beyond_26_are_named_and_the_messages_come(served, dovecot):
    letters = [letter(f"{n}.a", "Many", HELLO, f"k{n:02}", "\\Seen") for n in range(30)]
    findings = served.deliver(ADA, letters)
    living = {message.guid: message.flags for message in served.messages(ADA)}
    kept = {guid: flags for guid, flags in living.items() if len(flags) == 2}
    assert len(living) == 30
    assert len(kept) == 26
    assert [finding.subject for finding in findings] == ["Many"]
    by_content = {flag for seen in dovecot.seen(ADA, "Many") for flag in seen.flags}
    assert by_content == {f"k{n:02}" for n in range(30)} | {"\\Seen"}


def test_folders_that_dovecot_cannot_name_are_filled_by_hand_and_told(served, dovecot):
    strange = ["raw:Entw%C3%BCrfe", r"a\2fb", "~home", "raw:bad&/x", "v1.2/new", "A//B"]
    findings = served.deliver(ADA, [letter(f"{n}.a", name) for n, name in enumerate(strange)])
    assert sorted(m.folder for m in served.messages(ADA)) == sorted(strange)
    assert sorted(finding.subject for finding in findings) == sorted(strange)


def test_nothing_is_left_of_the_staging(served, dovecot):
    served.deliver(ADA, [letter("1.a"), letter("2.b", "New")])
    assert staged(dovecot) == []


def test_nothing_is_left_of_a_restore_that_is_cancelled(served, dovecot):
    def cancelled():
        yield letter("1.a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        served.deliver(ADA, cancelled())
    assert staged(dovecot) == []
    assert served.messages(ADA) == []


def test_staging_is_no_mailbox_and_not_in_the_backup(served, dovecot):
    seen = []

    def deliveries():
        yield letter("1.a")
        seen.append((served.mailboxes(), served.survey()))

    served.deliver(ADA, deliveries())
    assert seen == [([ADA], {})]
    with served.capture() as capture:
        assert f"pp:{dovecot.root}/.mailrewind-staging".replace("pp:/", "pp:") in capture.excludes


def test_staging_that_others_may_write_in_is_refused(served, dovecot):
    staging = dovecot.root / ".mailrewind-staging"
    staging.mkdir(exist_ok=True)
    staging.chmod(0o777)
    with pytest.raises(MailServerFailed, match="only we"):
        served.deliver(ADA, [letter("1.a")])


def test_staging_that_is_a_link_is_refused(served, dovecot, tmp_path):
    staging = dovecot.root / ".mailrewind-staging"
    staging.symlink_to(tmp_path)
    with pytest.raises(MailServerFailed, match="only we"):
        served.deliver(ADA, [letter("1.a")])
    assert list(tmp_path.iterdir()) == []


def test_staging_on_another_disk_works_and_is_told(dovecot):
    staging = Path("/dev/shm", f"mailrewind-{os.getpid()}")
    system = MaildirSystem(settings(dovecot, staging=staging))
    try:
        [finding] = system.deliver(ADA, [letter("1.a", "INBOX", MIXED, "\\Seen", "red")])
    finally:
        staging.rmdir()
    [message] = system.messages(ADA)
    assert "another disk" in finding.text
    assert (message.guid, message.flags) == ("1.a", {"\\Seen", "red"})
    assert message.received == THEN.replace(microsecond=0)
    assert digest_of(system.content(message)) == digest_of(MIXED)


def test_an_import_that_did_nothing_and_ended_well_is_a_failure(dovecot, tmp_path):
    lying = doubled(dovecot, tmp_path, 'case "$*" in *import*) exit 0;; esac')
    system = MaildirSystem(settings(dovecot, dovecot=lying))
    with pytest.raises(DeliveryFailed, match=r"1 of 1 messages did not arrive.*1\.a in INBOX"):
        system.deliver(ADA, [letter("1.a")])
    assert staged(dovecot) == []


def test_an_import_that_did_all_and_ended_badly_is_a_finding(dovecot, tmp_path):
    script = (
        f'case "$*" in *import*) {dovecot.doveadm.doveadm} -c {dovecot.config} "$@"; '
        "echo panicked >&2; exit 134;; esac"
    )
    system = MaildirSystem(settings(dovecot, dovecot=doubled(dovecot, tmp_path, script)))
    [finding] = system.deliver(ADA, [letter("1.a")])
    assert "134" in finding.text
    assert "panicked" in finding.text
    assert guids(system, "INBOX") == ["1.a"]


def test_expunge_that_did_nothing_is_a_finding(dovecot, tmp_path):
    lying = doubled(dovecot, tmp_path, 'case "$*" in *expunge*) exit 0;; esac')
    system = MaildirSystem(settings(dovecot, dovecot=lying))
    system.deliver(ADA, [letter("1.a")])
    [finding] = system.remove(ADA, [Added("INBOX", "1.a", frozenset())])
    assert "not expunged" in finding.text


def test_dovecot_that_does_not_run_is_unreachable():
    with running_dovecot(quota=True) as dovecot:
        dovecot.add_user(ADA)
        dovecot.stop()
        system = MaildirSystem(settings(dovecot))
        with pytest.raises(MailServerUnreachable):
            system.deliver(ADA, [letter("1.a")])
        with pytest.raises(MailServerUnreachable):
            system.quota(ADA)
        assert system.messages(ADA) == []


def test_dovecot_without_quota_has_none_and_keeps_names_without_escapes():
    with running_dovecot() as dovecot:
        dovecot.without_escapes()
        dovecot.add_user(ADA)
        system = MaildirSystem(settings(dovecot))
        assert system.quota(ADA) is None
        folders = ["INBOX", "v1.2/x", "~home", r"a\b", "Entwürfe/R&D"]
        letters = [letter(f"{n}.a", name, HELLO, "red") for n, name in enumerate(folders)]
        findings = system.deliver(ADA, letters)
        assert [finding.subject for finding in findings] == ["~home"]
        assert sorted(m.folder for m in system.messages(ADA)) == sorted(folders)
        assert {r"v1\2e2/x", r"a\b", "Entwürfe/R&D"} <= dovecot.folders(ADA)


@pytest.mark.parametrize(
    ("namespace", "by_hand"),
    [
        ("separator = .", ["v1.2"]),
        ("separator = .\n  prefix = INBOX.", ["New/Deep", "Old", "v1.2"]),
        ("separator = /\n  prefix = INBOX/", ["New/Deep", "Old", "v1.2"]),
    ],
)
def test_namespaces_of_all_kinds_get_their_messages_back(namespace, by_hand):
    with running_dovecot(quota=True) as dovecot:
        dovecot.configure("separator = /", namespace)
        dovecot.add_user(ADA)
        system = MaildirSystem(settings(dovecot))
        folders = ["INBOX", "New/Deep", "Old", "v1.2"]
        findings = system.deliver(ADA, [letter(f"{n}.a", f) for n, f in enumerate(folders)])
        assert sorted(message.folder for message in system.messages(ADA)) == folders
        assert [finding.subject for finding in findings] == by_hand


def test_mailbox_that_dovecot_does_not_know_is_not_found(served, dovecot):
    make_maildir(dovecot.maildir("gone@example.org"))
    with pytest.raises(MailboxNotFound, match="gone@"):
        served.deliver("gone@example.org", [letter("1.a")])


def test_mailbox_that_reads_as_a_pattern_is_refused(served, dovecot):
    make_maildir(dovecot.maildir("*@example.org"))
    assert served.mailboxes() == ["*@example.org", ADA]
    for act in (
        lambda: served.deliver("*@example.org", [letter("1.a")]),
        lambda: served.quota("*@example.org"),
    ):
        with pytest.raises(MailboxNotFound):
            act()
    assert served.messages(ADA) == []


def test_dovecot_that_keeps_the_mailbox_elsewhere_is_told(served, dovecot, tmp_path):
    make_maildir(tmp_path / "mail/example.org/ada/Maildir")
    template = f"{tmp_path}/mail/{{domain}}/{{local}}/Maildir"
    system = MaildirSystem(settings(dovecot, template=template))
    with pytest.raises(MailServerFailed, match="not at"):
        system.deliver(ADA, [letter("1.a")])


def test_dovecot_is_found_where_it_serves_the_tree(dovecot, tmp_path, monkeypatch):
    found = doubled(dovecot, tmp_path, "")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    make_maildir(tmp_path / "mail/example.org/ada/Maildir")
    assert detect_dovecot(settings(dovecot)) == found
    elsewhere = f"{tmp_path}/mail/{{domain}}/{{local}}/Maildir"
    assert detect_dovecot(settings(dovecot, template=elsewhere)) is None
    system = MaildirSystem(settings(dovecot, dovecot="auto"))
    assert system.quota(ADA) is not None


def test_no_dovecot_is_found_where_none_runs(dovecot, tmp_path, monkeypatch):
    doubled(dovecot, tmp_path, "exit 75")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert detect_dovecot(settings(dovecot)) is None
