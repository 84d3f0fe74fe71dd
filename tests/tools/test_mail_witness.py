import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools import mail_witness, sample_mail

Change = Callable[[Path], object]


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    folder = tmp_path / "example.org" / "ada" / "Maildir" / ".Archive"
    for part in ("cur", "new", "tmp"):
        (folder / part).mkdir(parents=True)
        (folder.parent / part).mkdir()
    (folder / "cur" / "1.a,S=7:2,RSa").write_bytes(b"From: a")
    os.utime(folder / "cur" / "1.a,S=7:2,RSa", (1_700_000_000, 1_700_000_000))
    (folder / "dovecot-keywords").write_text("0 Rechnung\n1 $label1\n")
    return tmp_path


def _message(mail: Path) -> Path:
    return next(mail.rglob("1.a*"))


def _renamed(letters: str) -> Change:
    return lambda mail: _message(mail).rename(_message(mail).with_name(f"1.a,S=7:2,{letters}"))


def test_the_witness_sees_a_message_as_it_is(mail: Path) -> None:
    assert list(mail_witness.look(mail).elements()) == [
        mail_witness.Seen(
            mailbox="example.org/ada/Maildir",
            folder=".Archive",
            digest="4dbc12e74b0b73e2d0236a69a6a059a877c275c06e1c0334c2581047bc1f1300",
            flags="RS",
            keywords=("Rechnung",),
            received=1_700_000_000,
        )
    ]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda mail: _message(mail).unlink(), id="gone"),
        pytest.param(lambda mail: _message(mail).write_bytes(b"From: b"), id="content"),
        pytest.param(_renamed("Sa"), id="flag"),
        pytest.param(_renamed("RSb"), id="keyword"),
        pytest.param(lambda mail: os.utime(_message(mail), (1, 1)), id="date"),
        pytest.param(
            lambda mail: _message(mail).rename(mail / "example.org/ada/Maildir/cur/1.a:2,RS"),
            id="folder",
        ),
        pytest.param(
            lambda mail: _message(mail).with_name("2.b:2,RSa").write_bytes(b"From: a"), id="twice"
        ),
    ],
)
def test_the_witness_notices_a_change(mail: Path, change: Change) -> None:
    before = mail_witness.look(mail)

    change(mail)

    assert mail_witness.look(mail) != before


def test_the_witness_accepts_a_restored_message_under_another_name(mail: Path) -> None:
    before = mail_witness.look(mail)
    moved = _message(mail).rename(_message(mail).with_name("99.z:2,RSa"))
    os.utime(moved, (1_700_000_000.4, 1_700_000_000.4))

    assert mail_witness.look(mail) == before


def test_the_witness_finds_every_message_of_the_sample(tmp_path: Path) -> None:
    sample = sample_mail.make(tmp_path / "mail", now=datetime(2026, 11, 20, tzinfo=UTC))

    assert mail_witness.look(sample.root).total() == sample.messages
