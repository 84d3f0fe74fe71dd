"""Messages that the living mail system could not read."""

from dataclasses import replace

import pytest

from mailrewind.errors import KeyDoesNotFit, MailSystemError, VerificationFailed
from mailrewind.systems.maildir import MaildirSettings, MaildirSystem
from tests.office import ADA, Office, remove


class Choosy(MaildirSystem):
    """A mail system that has no key for secrets."""

    def objection(self, content: bytes) -> str:
        return "Dovecot has no key for it" if b"secret" in content else ""

    def plain(self, content: bytes) -> bytes:
        if b"secret" in content:
            raise KeyDoesNotFit("a message needs another key")
        return content


@pytest.fixture
def choosy(office: Office) -> Office:
    quick = office.keep_archives_in_memory()
    template = f"{office.root}/mail/{{domain}}/{{local}}/Maildir"
    mail = Choosy(MaildirSettings("office", template, dovecot=None))
    quick.serve(quick.wire(), replace(quick.services.connect("office"), mail=mail))
    return quick


def test_plan_names_what_could_not_be_read_and_the_rest_comes_back(choosy: Office) -> None:
    paths = [choosy.add(text="secret"), choosy.add(text="open"), choosy.add(text="open")]
    choosy.back_up()
    remove(paths)

    plan = choosy.services.restore.plan(choosy.ask())
    assert [finding.text for finding in plan.unreadable] == ["Dovecot has no key for it"]
    with pytest.raises(VerificationFailed):
        choosy.services.restore.execute(plan.id, initiator="test")

    (report,) = choosy.services.state.restore_reports()
    assert [finding.text for finding in report.failed] == ["Dovecot has no key for it"]
    assert [b"open" in path.read_bytes() for path in choosy.maildir(ADA).glob("cur/*")] == [
        True
    ] * 2


def test_restore_of_which_nothing_could_be_read_ends_before_it_begins(choosy: Office) -> None:
    paths = [choosy.add(text="secret") for _ in range(3)]
    choosy.back_up()
    remove(paths)
    with pytest.raises(KeyDoesNotFit):
        choosy.services.restore.plan(choosy.ask())
    assert choosy.services.state.restore_reports() == []
    assert list(choosy.maildir(ADA).glob("cur/*")) == []


def test_of_very_many_messages_each_is_looked_at_before_the_first_is_delivered(
    choosy: Office,
) -> None:
    paths = [choosy.add(text="secret") for _ in range(501)]
    choosy.back_up()
    remove(paths)
    with pytest.raises(KeyDoesNotFit):
        choosy.services.restore.run(choosy.ask())
    (report,) = choosy.services.state.restore_reports()
    assert (len(report.failed), report.added) == (501, ())
    assert list(choosy.maildir(ADA).glob("cur/*")) == []


def test_backup_goes_on_past_messages_that_cannot_be_read(choosy: Office) -> None:
    paths = [choosy.add(text="secret"), choosy.add(text="secret"), choosy.add(text="open")]
    report = choosy.services.back_up.run("office", initiator="test")
    (finding,) = report.findings
    assert finding.subject == ADA
    assert finding.text == (
        f"2 messages without subject and sender, such as {str(paths[0]).lstrip('/')}: "
        "A message needs another key."
    )
    page = choosy.services.browse.messages("office", ADA, "INBOX")
    assert sorted(headers.subject for _, headers, _ in page) == ["", "", "open 3"]


def test_message_without_its_key_cannot_be_shown(choosy: Office) -> None:
    choosy.add(text="secret")
    choosy.back_up()
    ((then, _, _),) = choosy.services.browse.messages("office", ADA, "INBOX")
    with pytest.raises(MailSystemError, match="needs another key"):
        choosy.services.browse.message("office", ADA, then.number)
