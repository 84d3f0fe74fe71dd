"""A mailcow of before 2019: MAILDIR_SUB is empty, so each home is a Maildir itself."""

import pytest

from mailrewind.model.restores import RestoreRequest
from tests.mailcow_office import SYSTEM, MailcowOffice
from tests.stacks.mailcow.samples import message
from tests.stacks.mailcow.stack import MailcowStack

ADA, BOB = "ada@example.org", "bob@example.org"


@pytest.fixture(scope="module")
def stack():
    with MailcowStack(maildir_sub="", watchdog=False) as stack:
        for address in (ADA, BOB):
            stack.add_mailbox(address)
        yield stack


def test_homes_are_maildirs_and_neither_garbage_nor_scripts_are_domains(stack, tmp_path):
    office = MailcowOffice(stack, tmp_path / "office")
    stack.deliver(ADA, "INBOX", [message("in")])
    stack.deliver(ADA, "Projects/2026", [message("below")], flags=["\\Seen", "red"])
    stack.deliver(BOB, "INBOX", [message("bob's")])
    vmail = stack.volume("vmail-vol-1")
    (vmail / "sieve/global/cur").mkdir(parents=True)
    stack.delete_mailbox(BOB)
    assert [path.is_dir() for path in vmail.glob("_garbage/*_exampleorgbob/cur")] == [True]
    office.back_up()
    mail = office.services.connect(SYSTEM).mail
    assert (mail.layout.subdirectory, mail.layout.told_by) == ("", "Dovecot")
    assert list(mail.mailboxes()) == [ADA]
    assert [row[0] for row in office.services.browse.mailboxes(SYSTEM)] == [ADA]
    garbage = f"{str(vmail).lstrip('/')}/_garbage/"
    point = office.services.state.points(SYSTEM)[-1]
    archives = office.services.connect(SYSTEM).archives
    paths = [file.path for file in archives.files(f"{point.name}-mail")]
    assert any(path.startswith(garbage) and "exampleorgbob/" in path for path in paths)

    before, quota = office.seen(ADA), stack.quota(ADA)
    assert stack.doveadm("mailbox", "delete", "-u", ADA, "Projects/2026")[0] == 0
    report = office.services.restore.run(RestoreRequest(SYSTEM, ADA, initiator="test"))
    assert (len(report.added), report.failed) == (1, ())
    assert {*office.seen(ADA)["Projects/2026"].values()} == {*before["Projects/2026"].values()}
    assert stack.quota(ADA) == quota == office.true_quota(ADA)


def test_while_dovecot_is_down_mailcow_conf_tells_the_layout(stack, tmp_path):
    stack.service("dovecot").stop(timeout=5)
    try:
        mail = MailcowOffice(stack, tmp_path / "office").services.connect(SYSTEM).mail
        assert (mail.layout.subdirectory, mail.layout.told_by) == ("", "mailcow.conf")
        assert list(mail.mailboxes()) == [ADA]
    finally:
        stack.service("dovecot").start()
        stack.wait("dovecot")
