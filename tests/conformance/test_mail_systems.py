"""One suite for every mail system: an adapter adds a class with one fixture."""

import os
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mailrewind.errors import MailboxNotFound, MailSystemError
from mailrewind.model.mail import Delivery, Message
from mailrewind.model.restores import Added
from mailrewind.ports import ArchivedFile, MailSystem
from mailrewind.systems.mailcow.installation import Installation
from mailrewind.systems.mailcow.system import MailcowSystem
from mailrewind.systems.maildir import MaildirSettings, MaildirSystem
from tests.doubles_mail import MemorySystem
from tests.dovecot import is_modern, running_dovecot
from tests.stacks.mailcow.stack import MailcowStack

MESSAGES = sorted((Path(__file__).parents[1] / "data" / "messages").rglob("*.eml"))
ADA, BOB = "ada@example.org", "bob@example.org"
THEN = datetime(2020, 9, 13, 12, 26, 40, 123456, tzinfo=UTC)
FOLDERS = [
    "INBOX",
    "Sent",
    "Projects/Entwürfe",
    "日本語/フォルダ",
    "R&D",
    "v1.2/final.draft",
    "a/b/c/d/e/f/g",
    "with space and 'quotes' \"$(touch x)\"; *?%",
    "home~",
    "Restored/2026-11-20/INBOX",
    "😀",
]


def letter(
    number: int, folder: str = "INBOX", content: bytes = b"Subject: hi\n\nhello\n", *flags: str
) -> Delivery:
    message = Message(
        mailbox=ADA,
        folder=folder,
        guid=f"1795184127.M{number}P2149.vm",
        flags=frozenset(flags),
        received=THEN,
        size_bytes=len(content),
        path=f"then/{number}",
    )
    return Delivery(message, content)


def shown(system: MailSystem, mailbox: str = ADA) -> list[tuple[Any, ...]]:
    """Return all of a mailbox but for the places where files lie."""
    return sorted(
        (m.folder, m.guid, sorted(m.flags), m.received, m.size_bytes, system.content(m))
        for m in system.messages(mailbox)
    )


def meant(deliveries: Iterable[Delivery]) -> list[tuple[Any, ...]]:
    return sorted(
        (
            *(d.message.folder, d.message.guid, sorted(d.message.flags)),
            *(d.message.received, len(d.content), d.content),
        )
        for d in deliveries
    )


def listing(system: MailSystem, root: Path) -> tuple[list[ArchivedFile], Any]:
    """Return what borg would list below a directory, and what gives contents."""
    files = []
    for directory, names, leaves in os.walk(root):
        for name in names + leaves:
            path = Path(directory, name)
            about = path.lstat()
            kind = "d" if path.is_dir() else "-"
            modified = datetime.fromtimestamp(about.st_mtime_ns // 1000 / 1e6, UTC)
            files.append(ArchivedFile(str(path).lstrip("/"), kind, about.st_size, modified))

    def fetch(paths):
        return ((path, Path("/", path).read_bytes()) for path in paths)

    return files, fetch


class MailSystemContract:
    filled_by_hand: frozenset[str] = frozenset()
    """Folders that the mail system's own tools cannot fill; findings name them."""

    @pytest.fixture
    def system(self) -> Iterator[MailSystem]:
        """A system with two empty mailboxes."""
        raise NotImplementedError

    def archive(self, system):
        """Return an archive's listing of the system as it is, and what gives contents."""
        raise NotImplementedError

    def test_mailboxes_are_listed_in_order(self, system):
        assert system.mailboxes() == [ADA, BOB]

    def test_every_real_message_comes_back_byte_for_byte(self, system):
        deliveries = [letter(n, "INBOX", p.read_bytes()) for n, p in enumerate(MESSAGES)]
        assert len(deliveries) == 113
        assert not system.deliver(ADA, deliveries)
        assert shown(system) == meant(deliveries)

    @pytest.mark.parametrize("folder", FOLDERS)
    def test_folders_are_made_and_read_under_their_names(self, system, folder):
        deliveries = [letter(1, folder), letter(2, folder)]
        findings = system.deliver(ADA, deliveries)
        assert {finding.subject for finding in findings} == {folder} & self.filled_by_hand
        assert shown(system) == meant(deliveries)

    def test_all_folders_at_once(self, system):
        deliveries = [letter(n, folder) for n, folder in enumerate(FOLDERS)]
        findings = system.deliver(ADA, deliveries)
        assert {finding.subject for finding in findings} == self.filled_by_hand
        assert shown(system) == meant(deliveries)

    def test_flags_and_keywords_come_back(self, system):
        deliveries = [
            letter(1, "INBOX", b"x\n", "\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"),
            letter(2, "INBOX", b"x\n", "$Forwarded", "$Junk", "important"),
            letter(3, "Sent", b"x\n", "\\Seen", "later", "$Junk"),
            letter(4, "Sent", b"x\n"),
        ]
        assert not system.deliver(ADA, deliveries)
        assert shown(system) == meant(deliveries)

    def test_second_delivery_leaves_the_first_alone(self, system):
        first = [letter(1, "INBOX", b"one\n", "\\Seen", "red"), letter(2, "Sent", b"two\n")]
        second = [letter(3, "INBOX", b"three\n", "green"), letter(4, "Sent", b"four\n", "red")]
        system.deliver(ADA, first)
        before = {message: system.content(message) for message in system.messages(ADA)}
        system.deliver(ADA, second)
        after = {message: system.content(message) for message in system.messages(ADA)}
        assert before.items() <= after.items()
        assert shown(system) == meant(first + second)

    def test_copies_of_one_message_are_two_messages(self, system):
        copies = [letter(1, "INBOX"), letter(1, "INBOX"), letter(1, "Sent")]
        system.deliver(ADA, copies)
        assert shown(system) == meant(copies)

    def test_mailboxes_do_not_mix(self, system):
        system.deliver(ADA, [letter(1)])
        assert shown(system, BOB) == []

    def test_an_archive_tells_what_the_living_mailbox_tells(self, system):
        deliveries = [letter(n, f, b"x\n", "\\Seen", "$Junk") for n, f in enumerate(FOLDERS)]
        system.deliver(ADA, deliveries)
        files, fetch = self.archive(system)
        archived = list(system.interpret(files, fetch))
        assert sorted(archived, key=str) == sorted(system.messages(ADA), key=str)
        assert {(ADA, folder) for folder in FOLDERS} <= set(system.folders_in(files))

    def test_survey_and_archive_agree_on_keys(self, system):
        system.deliver(ADA, [letter(1), letter(2, "R&D", b"x\n", "\\Seen")])
        survey = system.survey()
        paths = {message.path for message in system.messages(ADA)}
        assert set(survey.values()) == paths
        assert {system.key_of(path): path for path in paths} == survey

    def test_what_is_no_message_has_no_key(self, system):
        assert system.key_of("etc/passwd") is None

    def test_what_was_added_is_taken_out_again(self, system):
        kept, gone = [letter(1), letter(2, "Sent")], [letter(3), letter(4, "Sent", b"x\n", "red")]
        system.deliver(ADA, kept)
        system.deliver(ADA, gone)
        added = [Added(d.message.folder, d.message.guid, d.message.flags) for d in gone]
        assert not system.remove(ADA, added)
        assert shown(system) == meant(kept)

    def test_what_was_changed_since_is_left_alone(self, system):
        system.deliver(ADA, [letter(1, "INBOX", b"x\n", "\\Flagged")])
        [finding] = system.remove(ADA, [Added("INBOX", letter(1).message.guid, frozenset())])
        assert "INBOX" in finding.subject
        assert len(shown(system)) == 1

    def test_seen_may_differ_when_taken_out(self, system):
        system.deliver(ADA, [letter(1, "INBOX", b"x\n", "\\Seen")])
        assert not system.remove(ADA, [Added("INBOX", letter(1).message.guid, frozenset())])
        assert shown(system) == []

    def test_taking_out_what_is_gone_is_a_finding(self, system):
        [finding] = system.remove(ADA, [Added("INBOX", "never-there", frozenset())])
        assert "never-there" in finding.subject

    def test_content_of_a_message_that_is_gone_is_an_error(self, system):
        system.deliver(ADA, [letter(1)])
        [message] = system.messages(ADA)
        system.remove(ADA, [Added("INBOX", message.guid, message.flags)])
        with pytest.raises(MailSystemError):
            system.content(message)

    def test_free_space_is_told(self, system):
        assert system.free_bytes(ADA) > 1_000_000

    @pytest.mark.parametrize(
        "mailbox",
        [
            *("eve@example.org", "", "@", "ada", "../ada@example.org", "ada@..", "..@example.org"),
            *("ada@example.org/Maildir", "a\nb@example.org", "*@example.org", "a;rm -rf /@x", "\0"),
            *("x" * 300 + "@example.org", "~", "$(id)@example.org", "ada@example.org ", "."),
        ],
    )
    def test_mailbox_that_is_not_there_is_refused(self, system, mailbox):
        with pytest.raises(MailboxNotFound):
            system.messages(mailbox)
        with pytest.raises(MailboxNotFound):
            system.deliver(mailbox, [letter(1)])
        with pytest.raises(MailboxNotFound):
            system.quota(mailbox)


class TestMemorySystem(MailSystemContract):
    @pytest.fixture
    def system(self):
        return MemorySystem([ADA, BOB])

    def archive(self, system):
        files = system.files()
        return [file for file, _ in files.values()], lambda paths: iter(())


class TestMaildirSystem(MailSystemContract):
    @pytest.fixture
    def system(self, tmp_path):
        for local in ("ada", "bob"):
            for part in ("cur", "new", "tmp"):
                (tmp_path / "mail/example.org" / local / "Maildir" / part).mkdir(parents=True)
        template = f"{tmp_path}/mail/{{domain}}/{{local}}/Maildir"
        return MaildirSystem(MaildirSettings("plain", template, dovecot=None))

    def archive(self, system):
        with system.capture() as capture:
            return listing(system, capture.roots[0])


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot(quota=True) as dovecot:
        yield dovecot


class TestMaildirSystemBehindDovecot(MailSystemContract):
    @property
    def filled_by_hand(self):
        # From 2.4 on, the source of an import cannot be laid out so that names may hold dots.
        return frozenset({"v1.2/final.draft"} if is_modern() else ())

    @pytest.fixture
    def system(self, dovecot):
        dovecot.remove_mail()
        for address in (ADA, BOB):
            dovecot.add_user(address)
        settings = MaildirSettings("served", dovecot.template, dovecot=dovecot.doveadm)
        return MaildirSystem(settings)

    def archive(self, system):
        with system.capture() as capture:
            return listing(system, capture.roots[0])

    def test_an_imap_client_sees_what_was_delivered(self, system, dovecot):
        deliveries = [
            letter(1, "INBOX", b"Subject: 1\n\none\n", "\\Seen", "\\Flagged", "$Junk"),
            letter(2, "v1.2/Entwürfe", b"Subject: 2\r\n\r\ntwo\r\n", "red"),
        ]
        system.deliver(ADA, deliveries)
        for delivery in deliveries:
            [seen] = dovecot.seen(ADA, delivery.message.folder)
            assert seen.flags == delivery.message.flags
            assert seen.received == THEN.replace(microsecond=0)
            assert seen.content == delivery.content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@pytest.fixture(scope="module")
def mailcow():
    with MailcowStack(watchdog=False) as stack:
        for address in (ADA, BOB):
            stack.add_mailbox(address)
        yield stack


class TestMailcowSystem(MailSystemContract):
    @pytest.fixture
    def system(self, mailcow):
        for address in (ADA, BOB):
            shutil.rmtree(mailcow.maildir(address), ignore_errors=True)
            shutil.rmtree(mailcow.volume("vmail-index-vol-1") / address, ignore_errors=True)
            # Dovecot lays it out anew, and counts.
            assert mailcow.doveadm("mailbox", "status", "-u", address, "all", "INBOX")[0] == 0
            assert mailcow.doveadm("quota", "recalc", "-u", address)[0] == 0
        installation = Installation(mailcow.directory)
        yield MailcowSystem("cow", installation)
        installation.close()

    def archive(self, system):
        with system.capture() as capture:
            return listing(system, capture.roots[0])

    def test_quota_is_exact_after_delivery_and_after_taking_out(self, system, mailcow):
        deliveries = [letter(n, "INBOX", b"x" * n + b"\n") for n in range(1, 30)]
        system.deliver(ADA, deliveries)
        stored = sum(len(delivery.content) for delivery in deliveries)
        assert mailcow.quota(ADA) == (stored, 29)
        system.remove(ADA, [Added("INBOX", d.message.guid, frozenset()) for d in deliveries[:9]])
        assert mailcow.quota(ADA) == (stored - sum(len(d.content) for d in deliveries[:9]), 20)
