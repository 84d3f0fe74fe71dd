"""The last resort of docs/restoring.md: nothing is left but borg, the passphrase and Dovecot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dovecot import Dovecot, running_dovecot

ADA = "ada@example.org"
BORG = Path(sys.executable).with_name("borg")


@pytest.fixture
def dovecot():
    with running_dovecot() as dovecot:
        dovecot.add_user(ADA)
        yield dovecot


def test_borg_and_doveadm_alone_bring_a_folder_back(dovecot: Dovecot, tmp_path):
    for number in range(3):
        content = f"Message-ID: <{number}@example.org>\nSubject: plan {number}\n\nhello\n"
        dovecot.append(ADA, "Projects/Écu", content.encode(), flags=r"\Seen \Flagged todo")
    before = [
        (seen.flags, seen.received, seen.content) for seen in dovecot.seen(ADA, "Projects/Écu")
    ]
    passphrase, repository = back_up(dovecot, tmp_path)
    with dovecot.imap(ADA) as imap:
        imap.delete('"Projects/&AMk-cu"')

    rescue = dovecot.root / "rescue"
    rescue.mkdir()
    borg = Borg(passphrase, rescue, tmp_path)
    mailbox = str(dovecot.maildir(ADA)).lstrip("/")
    for archive in borg.run("list", "--short", repository).split():
        borg.run("extract", f"{repository}::{archive}", mailbox)
    for path in (rescue, *rescue.rglob("*")):
        os.chown(path, dovecot.uid, dovecot.uid)
    source = f"maildir:{rescue / mailbox}"
    dovecot.run("import", "-s", "-u", ADA, source, "Restored", "ALL")

    assert dovecot.folders(ADA) >= {"Restored/Projects/Écu"}
    after = dovecot.seen(ADA, "Restored/Projects/Écu")
    assert [(seen.flags, seen.received, seen.content) for seen in after] == before


def back_up(dovecot: Dovecot, place: Path) -> tuple[Path, Path]:
    """Make one restore point; return where the passphrase and the repository lie."""
    configuration, repository = place / "mailrewind.yaml", place / "repository"
    init = ["init", "--yes", "--system", "office", "--mailboxes", dovecot.template]
    init += ["--repository", str(repository), "--data-dir", str(place / "data")]
    for words in (init, ["backup", "office", "--yes"]):
        argv = [sys.executable, "-m", "mailrewind.cli", "--config", str(configuration), *words]
        subprocess.run(argv, check=True, capture_output=True)
    return place / "office.passphrase", repository


class Borg:
    """borg as a person calls it who knows the passphrase and has nothing of ours."""

    def __init__(self, passphrase: Path, cwd: Path, home: Path) -> None:
        self._cwd = cwd
        self._environment = {
            "PATH": os.environ["PATH"],
            "BORG_BASE_DIR": str(home / "borg-by-hand"),
            "BORG_PASSCOMMAND": f"cat {passphrase}",
        }

    def run(self, *words: str | Path) -> str:
        done = subprocess.run(
            [BORG, *words],
            cwd=self._cwd,
            env=self._environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout
