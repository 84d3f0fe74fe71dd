import importlib
import json
import pkgutil

import borg
import pytest
from borg.helpers.errors import ErrorBase

from mailrewind import errors
from mailrewind.borg.messages import Hearing, Message, finding_of, source_error
from mailrewind.model.reports import Finding
from mailrewind.ports import Progress

PLACE = "/srv/repository"

# Of commands that we never run, bases of others, and the two warnings that are findings.
UNNAMED = {
    *("ErrorBase", "Error", "ErrorWithTraceback", "RTError", "CommandError"),
    *("Archive.IncompatibleFilesystemEncodingError", "NotABorgKeyFile", "RepoIdMismatch"),
    *("Buffer.MemoryLimitExceeded", "EfficientCollectionQueue.SizeUnderflow"),
    *("BackupFileNotFoundError", "BackupRaceConditionError"),
}


def said(message: str, msgid: str | None = None, level: str = "ERROR") -> str:
    record = {"type": "log_message", "message": message, "levelname": level, "name": "borg"}
    return json.dumps(record | ({"msgid": msgid} if msgid else {}))


def error_after(*lines: str, returncode: int = 2) -> errors.MailrewindError:
    hearing = Hearing()
    for line in lines:
        hearing.hear(line)
    return hearing.error(returncode, PLACE)


def kinds_of_borg() -> set[str]:
    for module in pkgutil.walk_packages(borg.__path__, "borg."):
        if not module.name.startswith(("borg.testsuite", "borg.fuse", "borg.__main__")):
            importlib.import_module(module.name)
    found: set[str] = set()
    kinds = [ErrorBase]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found.add(kind.__qualname__)
    return found


@pytest.mark.parametrize(
    ("msgid", "kind"),
    [
        ("PassphraseWrong", errors.PassphraseWrong),
        ("Repository.DoesNotExist", errors.RepositoryMissing),
        ("Cache.RepositoryAccessAborted", errors.RepositoryMoved),
        ("Cache.RepositoryReplay", errors.RepositoryMoved),
        ("Archive.AlreadyExists", errors.ArchiveExists),
        ("Archive.DoesNotExist", errors.ArchiveMissing),
        ("LockTimeout", errors.RepositoryLocked),
        ("ConnectionClosed", errors.ConnectionLost),
        ("PathNotAllowed", errors.RepositoryRefused),
        ("Repository.StorageQuotaExceeded", errors.RepositoryFull),
        ("Repository.InsufficientFreeSpaceError", errors.RepositoryFull),
        ("IntegrityError", errors.RepositoryDamaged),
        ("RepoKeyNotFoundError", errors.KeyMissing),
        ("Signal.SIGTERM", errors.BorgInterrupted),
    ],
)
def test_message_id_tells_the_kind_of_error(msgid, kind):
    assert type(error_after(said("what borg says", msgid))) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (13, errors.RepositoryMissing),
        (52, errors.PassphraseWrong),
        (73, errors.RepositoryLocked),
        (80, errors.ConnectionLost),
        (91, errors.RepositoryDamaged),
        (143, errors.BorgInterrupted),
        (-9, errors.BorgInterrupted),
        (2, errors.BorgFailed),
    ],
)
def test_exit_code_tells_the_kind_when_nothing_was_said(code, kind):
    assert type(error_after(returncode=code)) is kind


def test_every_error_that_borg_knows_has_a_word_of_ours():
    unnamed = {
        msgid
        for msgid in kinds_of_borg()
        if type(error_after(said("x", msgid))) is errors.BorgFailed
        and not source_error(Message("WARNING", "x", msgid))
    }

    assert unnamed - UNNAMED == set()


@pytest.mark.parametrize(
    "text",
    ["Local Exception\nOSError: [Errno 28] No space left on device", "[Errno 122] Disk quota"],
)
def test_full_disk_is_known_by_its_text(text):
    assert type(error_after(said(text, "Exception"))) is errors.RepositoryFull


def test_full_disk_is_known_from_a_warning_before_the_error():
    error = error_after(
        said("No space left on device, cleaning up partial transaction", level="WARNING"),
        said("Local Exception", "Exception"),
    )
    assert type(error) is errors.RepositoryFull


def test_unknown_error_shows_the_line_that_matters():
    traceback = (
        "Traceback (most recent call last):\n  File x\nValueError: odd\n\nPlatform: Linux\nz"
    )
    error = error_after(said("Local Exception", "Exception"), said(traceback))

    assert str(error) == f"Borg ended with code 2 on {PLACE}: ValueError: odd."


def test_text_that_is_no_json_is_shown_when_nothing_else_was_said():
    error = error_after("borg: error: argument --compression: no such thing")

    assert str(error).endswith("argument --compression: no such thing.")


def test_message_behind_a_prompt_is_understood():
    error = error_after(f"Enter passphrase for key {PLACE}: " + said("no", "NoPassphraseFailure"))

    assert type(error) is errors.PassphraseWrong


def test_thousands_of_lines_are_not_kept():
    hearing = Hearing()
    for number in range(13_000):
        hearing.hear(said(f"index vs. rebuilt index: {number}", level="ERROR"))

    assert len(hearing.messages) == 1000
    assert hearing.messages[0].text.endswith(": 0")
    assert hearing.messages[-1].text.endswith(": 12999")


def test_progress_is_passed_on():
    heard: list[Progress] = []
    hearing = Hearing(report=heard.append)
    progress = {"type": "archive_progress", "nfiles": 3, "original_size": 700, "finished": False}
    hearing.hear(json.dumps(progress))
    hearing.hear(json.dumps({"type": "archive_progress", "finished": True}))

    assert heard == [Progress(700, None, "bytes", "3 files read")]


@pytest.mark.parametrize(
    ("message", "finding"),
    [
        (
            Message(
                "WARNING",
                "/m/cur/1: 2,S: stat: [Errno 2] No such file or directory: '1: 2,S'",
                "BackupFileNotFoundError",
            ),
            Finding("/m/cur/1: 2,S", "vanished before borg had read it"),
        ),
        (
            Message("WARNING", "/m/list: file changed while we backed it up", "FileChangedWarning"),
            Finding("/m/list", "changed while borg read it"),
        ),
        (
            Message(
                "WARNING",
                "/m/x: file inode changed (race condition), skipping file",
                "BackupRaceConditionError",
            ),
            Finding("/m/x", "was replaced while borg read it, and left out"),
        ),
        (
            Message("WARNING", "Killed stale lock vm.12-0.", ""),
            Finding(PLACE, "the lock of a dead process was removed"),
        ),
    ],
)
def test_warning_becomes_a_finding(message, finding):
    assert finding_of(message, PLACE) == finding
    assert source_error(message) is None


@pytest.mark.parametrize(
    ("msgid", "kind"),
    [
        ("BackupPermissionError", errors.SourceUnreadable),
        ("BackupIOError", errors.SourceUnreadable),
        ("BackupOSError", errors.SourceUnreadable),
    ],
)
def test_unreadable_source_is_no_finding(msgid, kind):
    message = Message("WARNING", "/m/x: open: [Errno 13] Permission denied: 'x'", msgid)

    assert type(source_error(message)) is kind
