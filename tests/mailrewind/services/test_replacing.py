from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailrewind.borg.repository import BorgRepository, RepositorySettings
from mailrewind.errors import (
    ConfirmationMissing,
    HalfDone,
    KeyDoesNotFit,
    MailServerUnreachable,
    NothingToUndo,
    PlanOutdated,
)
from mailrewind.model.mail import Delivery
from mailrewind.model.operations import OperationReport
from mailrewind.model.reports import ArchiveStatistics, Finding
from mailrewind.ports import Capture, Report
from mailrewind.services.back_up import BackUp
from mailrewind.services.replacing import ReplaceMailbox
from mailrewind.systems.mailcow.swapping import MailcowSwapping
from mailrewind.systems.mailcow.system import MailcowSystem
from mailrewind.transports.processes import this_process
from mailrewind.wiring import now_utc
from tests.mailcow_office import SYSTEM, MailcowOffice, counted
from tests.stacks.mailcow.samples import message
from tests.stacks.mailcow.stack import MailcowStack

pytest_plugins = ["tests.mailcow"]


def changed_mailbox(
    office: MailcowOffice, name: str, *, seen: dict[str, object] | None = None
) -> str:
    """Make a mailbox with a restore point, and change it in every way since."""
    stack, mailbox = office.stack, f"{name}@example.org"
    stack.add_mailbox(mailbox)
    stack.deliver(mailbox, "INBOX", [message(f"inbox {n}") for n in range(20)])
    stack.deliver(mailbox, "Projects/ACME", [message(f"a {n}") for n in range(10)], flags=["work"])
    stack.deliver(mailbox, "Entwürfe", [message("Umlaut")], flags=["\\Seen", "\\Flagged"])
    point = office.back_up()
    if seen is not None:
        seen |= {"messages": office.seen(mailbox), "validities": office.uid_validities(mailbox)}
    with stack.imap(mailbox) as imap:
        imap.select("INBOX")
        imap.store("1:5", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.store("1:3", "+FLAGS", "(\\Seen later)")
        imap.copy("4:6", "Archive")
        imap.store("4:6", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.unsubscribe("Projects/ACME")
        imap.delete("Projects/ACME")
    stack.deliver(mailbox, "INBOX", [message(f"later {n}") for n in range(4)])
    return point


@pytest.fixture(scope="module")
def office(mailcow: MailcowStack, tmp_path_factory: pytest.TempPathFactory) -> MailcowOffice:
    return MailcowOffice(mailcow, tmp_path_factory.mktemp("office"))


def test_the_mailbox_is_exactly_what_it_was_down_to_uids_flags_and_quota(
    office: MailcowOffice,
) -> None:
    mailbox, before = "whole@example.org", {}
    point = changed_mailbox(office, "whole", seen=before)
    plan = office.plan("replace", mailbox, at=point)
    assert counted(plan.draft.changes) == {"ADD": 15, "LOSE": 4, "REVERT": 6}
    done = office.carry_out(plan)
    assert done.outcome is not None
    assert done.outcome.counts == (
        ("messages as they were", 31),
        ("messages lost", 4),
        ("messages kept that came since", 0),
    )
    assert (done.outcome.failed, done.outcome.findings) == ((), ())
    assert office.seen(mailbox) == before["messages"]
    assert office.uid_validities(mailbox) == before["validities"]
    assert office.stack.quota(mailbox) == office.true_quota(mailbox)
    with office.stack.imap(mailbox) as imap:
        assert imap.lsub('""', "Projects/ACME")[1] != [None]
    assert office.plan("replace", mailbox, at=point).draft.changes == ()


def test_undo_puts_back_what_was_there_with_what_came_after_the_replacement(
    office: MailcowOffice,
) -> None:
    mailbox = "undone@example.org"
    point = changed_mailbox(office, "undone")
    changed = office.seen(mailbox)
    done = office.carry_out(office.plan("replace", mailbox, at=point))
    office.stack.deliver(mailbox, "INBOX", [message("after the replacement")])
    undone = office.undo(done)
    assert undone.taken_back is not None
    assert undone.taken_back.counts == (
        ("messages as before", 31 - 15 + 4),
        ("messages kept that came since", 1),
    )
    now = office.seen(mailbox)
    assert {**now, "INBOX": dict(list(now["INBOX"].items())[:-1])} == changed
    assert office.stack.quota(mailbox) == office.true_quota(mailbox)


def test_an_undo_that_died_after_its_exchange_is_finished_by_the_next(
    office: MailcowOffice,
) -> None:
    mailbox = "halfway@example.org"
    point = changed_mailbox(office, "halfway")
    changed = office.seen(mailbox)
    done = office.carry_out(office.plan("replace", mailbox, at=point))
    office.stack.deliver(mailbox, "INBOX", [message("after the replacement")])
    mail = office.services.connect(SYSTEM).mail
    assert isinstance(mail, MailcowSystem)
    MailcowSwapping(mail).put_back(mailbox, done.id)
    assert office.seen(mailbox) == changed
    undone = office.undo(done)
    assert undone.taken_back is not None
    assert undone.taken_back.failed == ()
    assert undone.taken_back.counts == (
        ("messages as before", 31 - 15 + 4),
        ("messages kept that came since", 1),
    )
    now = office.seen(mailbox)
    assert len(now["INBOX"]) == len(changed["INBOX"]) + 1
    assert {**now, "INBOX": dict(list(now["INBOX"].items())[:-1])} == changed
    assert office.stack.quota(mailbox) == office.true_quota(mailbox)
    with pytest.raises(NothingToUndo):
        office.undo(done)


def test_an_index_whose_removal_was_broken_off_is_in_no_undos_way(office: MailcowOffice) -> None:
    mailbox = "indexed@example.org"
    point = changed_mailbox(office, "indexed")
    changed = office.seen(mailbox)
    done = office.carry_out(office.plan("replace", mailbox, at=point))
    indexes = office.stack.volume("vmail-index-vol-1")
    (indexes / f".{mailbox}.{done.id}" / ".INBOX").mkdir(parents=True)
    assert (indexes / mailbox).is_dir()
    office.undo(done)
    assert office.seen(mailbox) == changed
    assert [place.name for place in indexes.glob(f".{mailbox}*")] == []


def test_it_is_done_only_by_its_plan_and_with_the_name_of_the_system(
    office: MailcowOffice,
) -> None:
    point = changed_mailbox(office, "careful")
    plan = office.plan("replace", "careful@example.org", at=point)
    with pytest.raises(ConfirmationMissing):
        office.services.operations.execute(plan.id, initiator="test")
    office.stack.deliver("careful@example.org", "INBOX", [message("one more to lose")])
    with pytest.raises(PlanOutdated):
        office.carry_out(plan)


def test_what_no_archive_holds_yet_can_be_kept(office: MailcowOffice) -> None:
    mailbox = "kept@example.org"
    point = changed_mailbox(office, "kept")
    plan = office.plan("replace", mailbox, at=point, newer="keep")
    assert counted(plan.draft.changes) == {"ADD": 15, "KEEP": 4, "REVERT": 6}
    office.stack.deliver(mailbox, "INBOX", [message("came after the plan")])
    done = office.carry_out(plan)
    assert done.outcome is not None
    assert done.outcome.counts[1:] == (
        ("messages lost", 0),
        ("messages kept that came since", 5),
    )
    assert len(office.seen(mailbox)["INBOX"]) == 25
    assert office.stack.quota(mailbox) == office.true_quota(mailbox)


def test_a_user_who_is_logged_in_has_to_log_in_again_and_finds_the_old_state(
    office: MailcowOffice,
) -> None:
    mailbox = "busy@example.org"
    point = changed_mailbox(office, "busy")
    imap = office.stack.imap(mailbox)
    imap.select("INBOX")
    office.carry_out(office.plan("replace", mailbox, at=point))
    with pytest.raises((OSError, imap.abort)):
        imap.noop()
    imap.shutdown()
    assert len(office.seen(mailbox)["INBOX"]) == 20


def test_messages_for_another_key_are_refused_before_anything_changes(
    office: MailcowOffice,
) -> None:
    mailbox = "foreign@example.org"
    point = changed_mailbox(office, "foreign")
    before = office.seen(mailbox)
    crypt = office.stack.volume("crypt-vol-1")
    own = (crypt / "ecprivkey.pem").read_bytes()
    key = ec.generate_private_key(ec.SECP256R1())
    (crypt / "ecprivkey.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    try:
        again = MailcowOffice(office.stack, office.root)
        with pytest.raises(KeyDoesNotFit):
            again.carry_out(again.plan("replace", mailbox, at=point))
    finally:
        (crypt / "ecprivkey.pem").write_bytes(own)
    assert office.seen(mailbox) == before


def test_copies_of_what_was_are_no_mailboxes_and_in_no_archive(office: MailcowOffice) -> None:
    point = changed_mailbox(office, "hidden")
    office.carry_out(office.plan("replace", "hidden@example.org", at=point))
    connected = office.services.connect(SYSTEM)
    assert not [name for name in connected.mail.mailboxes() if "_mailrewind" in name]
    [files] = [
        [*connected.archives.files(f"{office.back_up()}-mail")],
    ]
    assert not [file.path for file in files if "/_mailrewind/" in file.path]


def test_where_the_home_is_the_maildir_the_users_filters_stay(tmp_path: Path) -> None:
    with MailcowStack(maildir_sub="", watchdog=False) as stack:
        office = MailcowOffice(stack, tmp_path)
        before: dict[str, object] = {}
        point = changed_mailbox(office, "old", seen=before)
        home = stack.maildir("old@example.org")
        (home / "sieve").mkdir(exist_ok=True)
        (home / "sieve" / "later.sieve").write_text("keep;\n")
        office.carry_out(office.plan("replace", "old@example.org", at=point))
        assert office.seen("old@example.org") == before["messages"]
        assert (home / "sieve" / "later.sieve").read_text() == "keep;\n"


def test_only_a_copy_that_was_exchanged_is_put_back_and_twice_is_once(
    office: MailcowOffice,
) -> None:
    mailbox = "died@example.org"
    office.stack.add_mailbox(mailbox)
    office.stack.deliver(mailbox, "INBOX", [message("one"), message("two")])
    before = office.seen(mailbox)
    mail = office.services.connect(SYSTEM).mail
    assert isinstance(mail, MailcowSystem)
    MailcowSwapping(mail).make_copy(mailbox, "0a1b2c3d")
    MailcowSwapping(mail).complete(mailbox, "0a1b2c3d", [])
    with pytest.raises(NothingToUndo):  # its process died before the exchange
        MailcowSwapping(mail).put_back(mailbox, "0a1b2c3d")
    assert MailcowSwapping(mail).exchange(mailbox, "0a1b2c3d") == []
    assert office.seen(mailbox) == {}
    assert not MailcowSwapping(mail).is_back(mailbox, "0a1b2c3d")
    assert MailcowSwapping(mail).put_back(mailbox, "0a1b2c3d") == []
    assert office.seen(mailbox) == before
    assert MailcowSwapping(mail).is_back(mailbox, "0a1b2c3d")
    assert MailcowSwapping(mail).put_back(mailbox, "0a1b2c3d") == []
    assert office.seen(mailbox) == before


def test_while_dovecot_is_down_nothing_is_changed_and_waiting_helps(
    office: MailcowOffice,
) -> None:
    mailbox = "down@example.org"
    point = changed_mailbox(office, "down")
    before = office.seen(mailbox)
    plan = office.plan("replace", mailbox, at=point)
    office.stack.stop("watchdog", "dovecot")
    try:
        with pytest.raises(MailServerUnreachable):
            office.carry_out(plan)
    finally:
        office.stack.service("dovecot").start()
        office.stack.wait("dovecot")
        office.stack.service("watchdog").start()
    assert office.seen(mailbox) == before
    done = office.carry_out(office.plan("replace", mailbox, at=point))
    assert done.outcome is not None
    assert done.outcome.failed == ()


class ArchivesOfABusyOffice(BorgRepository):
    """Archives whose users act as soon as borg has read the mail, or written it."""

    def __init__(self, settings: RepositorySettings, act: Callable[[], None]) -> None:
        super().__init__(settings)
        self._act = act

    def create(
        self, archive: str, capture: Capture, *, report: Report | None = None
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        made = super().create(archive, capture, report=report)
        if archive.endswith("-mail"):
            self._act()
        return made

    def extract(
        self,
        archive: str,
        target: Path,
        *,
        paths: Sequence[str] = (),
        strip: int = 0,
        report: Report | None = None,
    ) -> Sequence[Finding]:
        done = super().extract(archive, target, paths=paths, strip=strip, report=report)
        if archive.endswith("-mail"):
            self._act()
        return done


def test_a_message_that_arrives_meanwhile_is_brought_along(office: MailcowOffice) -> None:
    mailbox = "meanwhile@example.org"
    point = changed_mailbox(office, "meanwhile")
    connected = office.services.connect(SYSTEM)
    assert isinstance(connected.archives, BorgRepository)
    assert isinstance(connected.mail, MailcowSystem)

    def arrive() -> None:
        office.stack.deliver(mailbox, "INBOX", [message("just now")], flags=["\\Flagged"])

    busy = ArchivesOfABusyOffice(connected.archives.settings, arrive)
    operation = ReplaceMailbox(
        lambda _: replace(connected, archives=busy),
        office.services.state,
        MailcowSwapping(connected.mail),
        zone=UTC,
        clock=now_utc,
    )
    plan = office.plan("replace", mailbox, at=point)
    outcome = operation.carry_out(plan)
    assert outcome.failed == ()
    assert outcome.counts[-1] == ("messages kept that came since", 1)
    rows = office.seen(mailbox)["INBOX"]
    assert len(rows) == 21
    assert [*rows.values()][-1][2] == "\\Flagged"
    assert office.stack.quota(mailbox) == office.true_quota(mailbox)


def test_what_a_second_pass_has_caught_is_right_and_nothing_is_there_twice(
    office: MailcowOffice,
) -> None:
    mailbox = "renamed@example.org"
    stack = office.stack
    stack.add_mailbox(mailbox)
    stack.deliver(mailbox, "INBOX", [message(f"inbox {n}") for n in range(10)])

    def work() -> None:
        with stack.imap(mailbox) as imap:
            imap.create("Archive")
            imap.select("INBOX")
            imap.store("1:4", "+FLAGS", "(\\Flagged later)")
            imap._simple_command("MOVE", "9:10", "Archive")

    connected = office.services.connect(SYSTEM)
    assert isinstance(connected.archives, BorgRepository)
    busy = ArchivesOfABusyOffice(connected.archives.settings, work)
    back_up = BackUp(
        lambda _: replace(connected, archives=busy),
        office.services.state,
        process=this_process(),
        clock=now_utc,
    )
    point = back_up.run(SYSTEM, initiator="test").point
    seen = office.seen(mailbox)
    # The flags of what was archived already are those of then: a message's content never changes.
    then = {
        folder: {uid: (*row[:2], "", row[3]) for uid, row in rows.items()}
        for folder, rows in seen.items()
    }
    assert {folder: len(rows) for folder, rows in then.items()} == {"INBOX": 8, "Archive": 2}
    with stack.imap(mailbox) as imap:
        imap.select("INBOX")
        imap.store("1:8", "+FLAGS", "(\\Deleted)")
        imap.expunge()
    office.carry_out(office.plan("replace", mailbox, at=point))
    assert office.seen(mailbox) == then
    assert stack.quota(mailbox) == office.true_quota(mailbox)


class ArchivesInTheWay(BorgRepository):
    """Archives of which one file cannot be written, as on a failing disk."""

    def extract(
        self,
        archive: str,
        target: Path,
        *,
        paths: Sequence[str] = (),
        strip: int = 0,
        report: Report | None = None,
    ) -> Sequence[Finding]:
        place = target / ".Projects.ACME" / "maildirfolder" / "in the way"
        place.mkdir(parents=True, exist_ok=True)
        return super().extract(archive, target, paths=paths, strip=strip, report=report)


def test_what_could_not_be_written_is_told(office: MailcowOffice) -> None:
    mailbox = "unwritten@example.org"
    point = changed_mailbox(office, "unwritten")
    connected = office.services.connect(SYSTEM)
    assert isinstance(connected.archives, BorgRepository)
    assert isinstance(connected.mail, MailcowSystem)
    archives = ArchivesInTheWay(connected.archives.settings)
    operation = ReplaceMailbox(
        lambda _: replace(connected, archives=archives),
        office.services.state,
        MailcowSwapping(connected.mail),
        zone=UTC,
        clock=now_utc,
    )
    outcome = operation.carry_out(office.plan("replace", mailbox, at=point))
    [told] = outcome.findings
    assert "maildirfolder" in f"{told.subject} {told.text}"


def test_a_mailbox_that_held_no_message_gets_its_folders_and_subscriptions_back(
    office: MailcowOffice,
) -> None:
    mailbox = "empty@example.org"
    office.stack.add_mailbox(mailbox)
    with office.stack.imap(mailbox) as imap:
        imap.create("Projects")
        imap.subscribe("Projects")
    validities = office.uid_validities(mailbox)
    point = office.back_up()
    with office.stack.imap(mailbox) as imap:
        imap.unsubscribe("Projects")
        imap.delete("Projects")
    office.stack.deliver(mailbox, "INBOX", [message("later")])
    office.carry_out(office.plan("replace", mailbox, at=point))
    assert office.seen(mailbox) == {}
    assert office.uid_validities(mailbox)["Projects"] == validities["Projects"]
    with office.stack.imap(mailbox) as imap:
        assert imap.lsub('""', "Projects")[1] != [None]


class MailThatCannotBeDelivered(MailcowSystem):
    """Mail of a mailcow that dies as what came meanwhile is to be brought along."""

    def deliver(
        self, mailbox: str, deliveries: Iterable[Delivery], *, over_quota: bool = False
    ) -> Sequence[Finding]:
        raise MailServerUnreachable("dovecot-mailcow does not run")


def test_what_was_to_be_kept_is_not_forgotten_when_it_is_run_again_after_half_of_it(
    office: MailcowOffice,
) -> None:
    mailbox = "half@example.org"
    point = changed_mailbox(office, "half")
    plan = office.plan("replace", mailbox, at=point, newer="keep")
    connected = office.services.connect(SYSTEM)
    assert isinstance(connected.mail, MailcowSystem)
    broken = MailThatCannotBeDelivered(SYSTEM, connected.mail.installation, parts=())
    operation = ReplaceMailbox(
        lambda _: replace(connected, mail=broken),
        office.services.state,
        MailcowSwapping(connected.mail),
        zone=UTC,
        clock=now_utc,
    )
    half = OperationReport(plan.id, plan, now_utc(), None, None)
    office.services.state.save_operation_report(half)
    with pytest.raises(MailServerUnreachable):
        operation.carry_out(plan)
    assert len(office.seen(mailbox)["INBOX"]) == 20
    with pytest.raises(HalfDone, match=f"Restore {half.id}") as refused:
        office.plan("replace", mailbox, at=point, newer="keep")
    assert f"mailrewind undo {half.id}" in refused.value.advice
    office.undo(half)
    office.carry_out(office.plan("replace", mailbox, at=point, newer="keep"))
    assert len(office.seen(mailbox)["INBOX"]) == 24


def test_what_lies_among_the_messages_and_is_none_is_left_out(office: MailcowOffice) -> None:
    mailbox = "stray@example.org"
    office.stack.add_mailbox(mailbox)
    office.stack.deliver(mailbox, "INBOX", [message("one"), message("two")])
    before = office.seen(mailbox)
    among = office.stack.maildir(mailbox) / "cur"
    (among / "1700000000.stray" / "inner").mkdir(parents=True)
    (among / "1700000001.link:2,S").symlink_to("/etc/hostname")
    point = office.back_up()
    office.stack.deliver(mailbox, "INBOX", [message("later")])
    office.carry_out(office.plan("replace", mailbox, at=point))
    assert office.seen(mailbox) == before
    assert {place.is_file() and not place.is_symlink() for place in among.iterdir()} <= {True}
