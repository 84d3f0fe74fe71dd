from collections.abc import Iterator
from pathlib import Path

import pytest

from mailrewind.systems.maildir import MaildirSettings, MaildirSystem
from tests.dovecot import Dovecot, running_dovecot
from tests.mailrewind.systems.trees import make_maildir

ADA = "ada@example.org"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with the empty Maildir of ada@example.org."""
    make_maildir(tmp_path / "mail/example.org/ada/Maildir")
    return tmp_path / "mail"


@pytest.fixture
def maildir(root: Path) -> Path:
    return root / "example.org/ada/Maildir"


@pytest.fixture
def system(root: Path) -> MaildirSystem:
    """The tree, without a Dovecot."""
    template = f"{root}/{{domain}}/{{local}}/Maildir"
    return MaildirSystem(MaildirSettings("office", template, dovecot=None))


@pytest.fixture(scope="session")
def running() -> Iterator[Dovecot]:
    with running_dovecot(quota=True) as dovecot:
        yield dovecot


@pytest.fixture
def dovecot(running: Dovecot) -> Dovecot:
    """A real Dovecot with the empty mailbox of ada@example.org."""
    running.remove_mail()
    running.add_user(ADA)
    return running


@pytest.fixture
def served(dovecot: Dovecot) -> MaildirSystem:
    """The tree that the Dovecot serves."""
    settings = MaildirSettings("served", dovecot.template, dovecot=dovecot.doveadm)
    return MaildirSystem(settings)
