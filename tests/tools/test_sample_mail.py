from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from tools import mail_witness, sample_mail

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> sample_mail.Sample:
    return sample_mail.make(tmp_path_factory.mktemp("sample") / "mail", now=NOW)


@pytest.fixture(scope="module")
def seen(sample: sample_mail.Sample) -> Counter[mail_witness.Seen]:
    return mail_witness.look(sample.root)


def _contents(root: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file() and path.parent.name in {"cur", "new"}
    }


def test_the_same_seed_makes_the_same_tree(sample: sample_mail.Sample, tmp_path: Path) -> None:
    again = sample_mail.make(tmp_path / "mail", now=NOW)

    assert _contents(again.root) == _contents(sample.root)


def test_the_sample_has_five_mailboxes_and_some_2000_messages(
    sample: sample_mail.Sample, seen: Counter[mail_witness.Seen]
) -> None:

    assert {message.mailbox for message in seen} == {
        "example.net/linus/Maildir",
        "example.net/o'neil/Maildir",
        "example.org/ada/Maildir",
        "example.org/grace/Maildir",
        "example.org/info+shop/Maildir",
    }
    assert seen.total() == sample.messages
    assert 2_000 <= sample.messages <= 2_200


def test_every_real_message_is_in_one_folder_of_the_sample(
    seen: Counter[mail_witness.Seen],
) -> None:
    real = Counter(
        sha256(path.read_bytes()).hexdigest() for path in sample_mail.REAL_MESSAGES.rglob("*.eml")
    )
    folder = sample_mail.FOLDERS[sample_mail.REAL_FOLDER]

    assert real.total() == 113
    assert real <= Counter(m.digest for m in seen.elements() if m.folder == folder)


def test_every_mailbox_has_messages_in_every_folder(seen: Counter[mail_witness.Seen]) -> None:
    expected = {
        (mailbox, folder)
        for mailbox in {message.mailbox for message in seen}
        for folder in sample_mail.FOLDERS.values()
    }

    assert {(message.mailbox, message.folder) for message in seen} == expected


def test_the_sample_shows_what_maildir_allows(
    sample: sample_mail.Sample, seen: Counter[mail_witness.Seen]
) -> None:
    names = [path.name for path in sample.root.rglob("*/cur/*")]
    uidlists = [path.read_text() for path in sample.root.rglob("dovecot-uidlist")]

    assert list(sample.root.rglob("*/new/*"))
    assert [name for name in names if ",S=" in name and ",W=" in name]
    assert [name for name in names if ",S=" in name and ",W=" not in name]
    assert [name for name in names if ",S=" not in name]
    assert [uidlist for uidlist in uidlists if " G" in uidlist.partition("\n")[2]]
    assert {keyword for message in seen for keyword in message.keywords} == {
        "$MDNSent",
        "$label1",
        "NonJunk",
        "Rechnung",
    }


def test_no_message_is_newer_than_the_moment_given(seen: Counter[mail_witness.Seen]) -> None:
    assert max(message.received for message in seen) < NOW.timestamp()
