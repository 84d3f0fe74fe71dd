"""What the tests of restores take for granted of the mailcow that they run on."""

from tests.stacks.mailcow.stack import MailcowStack

pytest_plugins = ["tests.mailcow"]


def test_a_user_logs_in(mailcow: MailcowStack) -> None:
    with mailcow.imap("ada@example.org") as imap:
        assert imap.select("INBOX") == ("OK", [b"0"])
