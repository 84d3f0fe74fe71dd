import time

import pytest

from mailrewind.errors import ChoiceNeeded, ConfirmationMissing, MailboxNotFound, MailServerFailed
from mailrewind.model.operations import Draft
from tests.mailcow_office import SYSTEM, MailcowOffice, counted
from tests.stacks.mailcow.samples import message
from tests.stacks.mailcow.stack import MailcowStack

pytest_plugins = ["tests.mailcow"]

JOHN_DOE = "john.doe@example.org"
JOHNDOE = "johndoe@example.org"


@pytest.fixture(scope="module")
def office(mailcow: MailcowStack, tmp_path_factory: pytest.TempPathFactory) -> MailcowOffice:
    root = tmp_path_factory.mktemp("office")
    (root / "key").write_text(mailcow.configuration["API_KEY"])
    (root / "key").chmod(0o600)
    return MailcowOffice(mailcow, root, more=f"    api_key: {{file: {root}/key}}\n")


def filled(office: MailcowOffice, mailbox: str, *, names_owner: bool = False) -> object:
    """Fill a mailbox; return what Dovecot says of it, for a comparison."""
    owner = f"Delivered-To: {mailbox}\n".encode() if names_owner else b""
    contents = [owner + message(f"for {mailbox}, {n}") for n in range(6)]
    office.stack.deliver(mailbox, "INBOX", contents[:4], flags=["\\Seen", "work"])
    office.stack.deliver(mailbox, "Projects/Straße", contents[4:])
    return office.seen(mailbox)


def delete(office: MailcowOffice, mailbox: str) -> None:
    office.stack.delete_mailbox(mailbox)
    time.sleep(1.1)  # the names in the garbage differ by their second


def candidates(draft: Draft) -> list[str]:
    return [change.subject for change in draft.changes if change.effect.name == "KEEP"]


def test_of_two_with_the_same_name_the_operator_chooses_and_never_gets_the_wrong_one(
    office: MailcowOffice,
) -> None:
    before = filled(office, JOHN_DOE), filled(office, JOHNDOE)
    delete(office, JOHN_DOE)
    delete(office, JOHNDOE)
    for mailbox in (JOHN_DOE, JOHNDOE):
        office.stack.add_mailbox(mailbox)
    plan = office.plan("deleted", JOHN_DOE)
    later, earlier = candidates(plan.draft)
    assert "6 messages with " in plan.draft.changes[0].text
    assert [finding.subject for finding in plan.draft.findings] == [JOHN_DOE, JOHNDOE]
    with pytest.raises(ChoiceNeeded, match=earlier):
        office.carry_out(plan)
    assert office.seen(JOHN_DOE) == {}
    office.carry_out(office.plan("deleted", JOHN_DOE, candidate=earlier))
    office.carry_out(office.plan("deleted", JOHNDOE, candidate=later))
    assert (office.seen(JOHN_DOE), office.seen(JOHNDOE)) == before
    for mailbox in (JOHN_DOE, JOHNDOE):
        assert office.stack.quota(mailbox) == office.true_quota(mailbox)


def test_what_the_headers_or_the_catalogue_tell_of_the_owner_is_believed(
    office: MailcowOffice,
) -> None:
    dotted, plain = "a.b@example.org", "ab@example.org"
    for mailbox in (dotted, plain):
        office.stack.add_mailbox(mailbox)
    filled(office, dotted, names_owner=True)
    before = filled(office, plain)
    office.back_up()
    delete(office, dotted)
    delete(office, plain)
    for mailbox in (dotted, plain):
        office.stack.add_mailbox(mailbox)
    plan = office.plan("deleted", plain)
    assert counted(plan.draft.changes) == {"ADD": 6}
    listed = office.services.connect(SYSTEM).operations["deleted"]._garbage.candidates(plain)
    assert [one.addressed for one in listed] == [(), ((dotted, 6),)]
    with pytest.raises(ChoiceNeeded, match=f"is the mailbox of {dotted}"):
        office.plan("deleted", plain, candidate=listed[1].name)
    meant = office.plan("deleted", plain, candidate=listed[1].name, whatever_it_holds="yes")
    assert meant.draft.is_destructive
    assert meant.draft.findings[0].text == f"is the mail of {dotted}"
    office.carry_out(plan)
    assert office.seen(plain) == before
    assert office.seen(dotted) == {}


def test_two_deleted_in_one_second_lie_within_each_other_and_are_told_apart(
    office: MailcowOffice,
) -> None:
    dotted, plain = "x.y@example.org", "xy@example.org"
    for mailbox in (dotted, plain):
        office.stack.add_mailbox(mailbox)
    filled(office, dotted)
    before = filled(office, plain)
    time.sleep(1 - time.time() % 1)
    office.stack.api("POST", "delete/mailbox", [dotted, plain])
    office.stack.add_mailbox(plain)
    plan = office.plan("deleted", plain)
    names = candidates(plan.draft) or [plan.draft.facts]
    nested = [name for name in names if "/xy" in name]
    assert nested, names
    office.carry_out(office.plan("deleted", plain, candidate=nested[0].strip('"')))
    assert office.seen(plain) == before


def test_a_mailbox_that_has_new_mail_keeps_it_untouched(office: MailcowOffice) -> None:
    mailbox = "again@example.org"
    office.stack.add_mailbox(mailbox)
    before = filled(office, mailbox, names_owner=True)
    delete(office, mailbox)
    office.stack.add_mailbox(mailbox)
    office.stack.deliver(mailbox, "INBOX", [message("new")], flags=["\\Answered"])
    new = office.seen(mailbox)["INBOX"]
    plan = office.plan("deleted", mailbox)
    with pytest.raises(ConfirmationMissing):
        office.services.operations.execute(plan.id, initiator="test")
    done = office.carry_out(plan)
    now = office.seen(mailbox)
    assert dict(list(now["INBOX"].items())[:1]) == new
    assert sorted(now["INBOX"].values()) == sorted([*before["INBOX"].values(), *new.values()])
    assert office.stack.quota(mailbox) == office.true_quota(mailbox)
    assert office.plan("deleted", mailbox).draft.changes[0].effect.name == "KEEP"
    office.undo(done)
    assert {folder: rows for folder, rows in office.seen(mailbox).items() if rows} == {"INBOX": new}


def test_the_copy_in_the_garbage_stays_for_another_try(office: MailcowOffice) -> None:
    mailbox = "twice@example.org"
    office.stack.add_mailbox(mailbox)
    before = filled(office, mailbox, names_owner=True)
    delete(office, mailbox)
    for _ in range(2):
        office.stack.add_mailbox(mailbox)
        garbage = office.services.connect(SYSTEM).operations["deleted"]._garbage
        name = garbage.candidates(mailbox)[-1].name
        done = office.carry_out(office.plan("deleted", mailbox, candidate=name))
        assert office.seen(mailbox) == before
        office.undo(done)
        assert office.seen(mailbox) == {}
        delete(office, mailbox)


def test_without_a_mailbox_it_is_said_what_to_do_or_one_is_created(office: MailcowOffice) -> None:
    mailbox = "created@example.org"
    office.stack.add_mailbox(mailbox)
    before = filled(office, mailbox, names_owner=True)
    delete(office, mailbox)
    with pytest.raises(MailboxNotFound, match=r"no mailbox created@example\.org") as refused:
        office.plan("deleted", mailbox)
    assert refused.value.advice.startswith("Create it in mailcow")
    plan = office.plan("deleted", mailbox, create="yes")
    assert counted(plan.draft.changes) == {"ADD": 7}
    office.carry_out(plan)
    assert office.seen(mailbox) == before
    attributes = office.stack.api("GET", f"get/mailbox/{mailbox}")[0]["attributes"]
    assert attributes["force_pw_update"] == "1"


def test_what_mailcow_refuses_is_told_in_its_words(office: MailcowOffice) -> None:
    garbage = office.services.connect(SYSTEM).operations["deleted"]._garbage
    with pytest.raises(MailServerFailed, match=r"it said: domain_not_found no\.example"):
        garbage.create("ada@no.example", size_bytes=0)


def test_after_the_garbage_was_cleared_it_comes_from_a_restore_point(
    office: MailcowOffice,
) -> None:
    mailbox = "archived@example.org"
    office.stack.add_mailbox(mailbox)
    before = filled(office, mailbox)
    office.back_up()
    delete(office, mailbox)
    office.back_up()
    office.stack.run("dovecot", "find", "/var/vmail/_garbage", "-mindepth", "1", "-delete")
    office.stack.add_mailbox(mailbox)
    with pytest.raises(MailboxNotFound, match="garbage holds nothing"):
        office.plan("deleted", mailbox)
    done = office.carry_out(office.plan("deleted", mailbox, source="restore point"))
    assert office.seen(mailbox) == before
    assert office.stack.quota(mailbox) == office.true_quota(mailbox)
    assert done.outcome is not None
    assert done.outcome.findings == ()
