"""What borg says on standard error, and which of our errors it means.

borg writes one JSON object per line: ``log_message`` (warnings and errors, most with a ``msgid``),
``archive_progress`` and ``progress_percent``. Ids and exit codes are those of borg 1.4, see
https://borgbackup.readthedocs.io/en/1.4.5/internals/frontends.html#message-ids
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mailrewind import errors
from mailrewind.borg.ssh import last_words, ssh_error
from mailrewind.model.reports import Finding
from mailrewind.ports import Progress, Report

logger = logging.getLogger(__name__)

_ERRORS: Mapping[type[errors.MailrewindError], tuple[str, ...]] = {
    errors.RepositoryMissing: ("Repository.DoesNotExist", "Repository.InvalidRepository"),
    errors.RepositoryMoved: (
        *("Cache.RepositoryAccessAborted", "Cache.EncryptionMethodMismatch"),
        *("Cache.RepositoryIDNotUnique", "Cache.RepositoryReplay", "Cache.CacheInitAbortedError"),
    ),
    errors.RepositoryLocked: (
        *("LockTimeout", "LockError", "LockErrorT", "NotLocked", "NotMyLock"),
    ),
    errors.RepositoryFull: (
        "Repository.InsufficientFreeSpaceError",
        "Repository.StorageQuotaExceeded",
    ),
    errors.RepositoryDamaged: (
        *("Repository.CheckNeeded", "Repository.ObjectNotFound", "NoManifestError"),
        *("IntegrityError", "FileIntegrityError", "DecompressionError", "UnsupportedManifestError"),
        *("TAMRequiredError", "TAMInvalid", "TAMUnsupportedSuiteError", "UnsupportedPayloadError"),
        *("ArchiveTAMRequiredError", "ArchiveTAMInvalid", "Repository.InvalidRepositoryConfig"),
    ),
    errors.RepositoryRefused: (
        *("Repository.AlreadyExists", "Repository.PathAlreadyExists", "PathNotAllowed"),
        *("Repository.PathPermissionDenied", "Repository.ParentPathDoesNotExist", "LockFailed"),
        *("Repository.AtticRepository", "MandatoryFeatureUnsupported", "InvalidPlaceholder"),
        *("InvalidRPCMethod", "RemoteRepository.RPCServerOutdated", "PlaceholderError"),
    ),
    errors.PassphraseWrong: (
        *("PassphraseWrong", "NoPassphraseFailure", "PasscommandFailure"),
        "PasswordRetriesExceeded",
    ),
    errors.KeyMissing: (
        *("KeyfileNotFoundError", "KeyfileInvalidError", "KeyfileMismatchError"),
        *("RepoKeyNotFoundError", "UnencryptedRepo", "UnknownKeyType"),
        *("NotABorgKeyFile", "RepoIdMismatch"),
    ),
    errors.ArchiveExists: ("Archive.AlreadyExists",),
    errors.ArchiveMissing: ("Archive.DoesNotExist",),
    # borg's other uses of this id are wrong arguments, which we do not give.
    errors.DumpFailed: ("CommandError",),
    errors.ConnectionLost: (
        *("ConnectionClosed", "ConnectionClosedWithHint", "ConnectionBrokenWithHint"),
        *("UnexpectedRPCDataFormatFromClient", "UnexpectedRPCDataFormatFromServer"),
    ),
    errors.BorgInterrupted: ("Signal.SIGTERM", "Signal.SIGHUP", "CancelledByUser"),
    errors.SourceUnreadable: (
        *("BackupPermissionError", "BackupIOError", "BackupOSError", "BackupError"),
        *("BackupSymlinkParentError", "BackupPathTraversalError", "BackupHardlinkSourceError"),
    ),
}
_BY_ID = {msgid: kind for kind, msgids in _ERRORS.items() for msgid in msgids}

# For what died before it could say anything.
_BY_CODE: Mapping[int, type[errors.RepositoryError]] = {
    **dict.fromkeys((12, 17, 26, 27, 48, 90, 91, 92, *range(95, 100)), errors.RepositoryDamaged),
    **dict.fromkeys((10, 11, 18, 19, 21, 25, 83), errors.RepositoryRefused),
    **dict.fromkeys((13, 15), errors.RepositoryMissing),
    **dict.fromkeys((14, 20), errors.RepositoryFull),
    **dict.fromkeys((30,), errors.ArchiveExists),
    **dict.fromkeys((31,), errors.ArchiveMissing),
    **dict.fromkeys((*range(40, 48),), errors.KeyMissing),
    **dict.fromkeys((50, 51, 52, 53), errors.PassphraseWrong),
    **dict.fromkeys(range(60, 65), errors.RepositoryMoved),
    **dict.fromkeys((70, 71, 73, 74, 75), errors.RepositoryLocked),
    **dict.fromkeys((80, 81, 85, 86, 87), errors.ConnectionLost),
    **dict.fromkeys((3, -2, -9, -15, 129, 130, 137, 143), errors.BorgInterrupted),
}

# borg has no id for a full disk: it comes as a foreign OSError, locally or from the other side.
_FULL = re.compile(r"\[Errno (28|122)\]|No space left on device|Disk quota exceeded")
_MOVED_BACK = "Cache.RepositoryReplay"
_WHAT = re.compile(r": (\w+: \[Errno \d+\]|file changed while|file (type|inode) changed)")
_VANISHED = "BackupFileNotFoundError"
_NEVER_MATCHED = "IncludePatternNeverMatchedWarning"
# While extracting, this very id means content that a repair put zeros for, or of a wrong size; what
# the disk refuses has other ids. Its text does not say so.
_LOST = "BackupError"
_READ_ONLY = "[Errno 30]"
_COMMAND_ENDED = re.compile(r"exited with status (-?\d+)")
_TOLD_LINES = 5
_GUESSES = 10
_STALE = re.compile(r"(Killed|Removed) stale .*lock")
_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Message:
    """One warning or error of borg.

    Attributes:
        level: "WARNING", "ERROR" or "CRITICAL".
        text: For people.
        msgid: borg's id of it, or "".
    """

    level: str
    text: str
    msgid: str

    @property
    def subject(self) -> str:
        """The path that a warning about a file begins with, or ""."""
        match = _WHAT.search(self.text)
        return self.text[: match.start()] if match else ""

    @property
    def is_vanished(self) -> bool:
        """Whether a path was not there, or no more."""
        return self.msgid == _VANISHED

    @property
    def is_about_full_disk(self) -> bool:
        """Whether no space is left."""
        return bool(_FULL.search(self.text))

    @property
    def is_about_permission(self) -> bool:
        """Whether something may not be written."""
        return self.msgid == "BackupPermissionError" or _READ_ONLY in self.text


# What borg says when it sees by itself that the lock's holder is dead.
STALE_LOCK_REMOVED = Message("WARNING", "Killed stale lock", "")


class Hearing:
    """Listens to one borg process, line by line.

    Attributes:
        messages: The first warnings and errors; a damaged repository has thousands of them.
        unparsed: The last lines that were no JSON.
        ssh: What ssh has said.
    """

    def __init__(
        self,
        *,
        report: Report | None = None,
        on_warning: Callable[[Message], None] | None = None,
        encoding: str = "utf-8",
    ) -> None:
        self.messages: list[Message] = []
        self.unparsed: list[str] = []
        self.ssh: list[str] = []
        self._report = report
        self._on_warning = on_warning
        self._encoding = encoding

    def hear(self, line: str) -> None:
        """Take in one line of standard error."""
        if self._encoding != "utf-8":
            line = line.encode(errors="replace").decode(self._encoding, errors="replace")
        words, record = _split(line)
        if words:
            self.unparsed = [*self.unparsed[-9:], words]
        if record.get("type") == "log_message":
            self._hear_message(record)
        elif self._report and (progress := _progress(record)):
            self._report(progress)

    def error(self, returncode: int, location: str) -> errors.MailrewindError:
        """Return the error that fits what was said before borg ended with this exit code."""
        if any(message.is_about_full_disk for message in self.messages):
            return full_disk(location)
        # Newest first: what went before may have been a warning about something that was mended.
        for message in reversed(self.messages):
            if message.level != "WARNING" and (kind := _BY_ID.get(message.msgid)):
                if kind is errors.DumpFailed:
                    return self._dump_failed(message, location)
                if kind is errors.ConnectionLost:
                    return self._connection_lost(message, location)
                return _told(kind, message, location)
        return self._by_code(returncode, location)

    def _dump_failed(self, message: Message, location: str) -> errors.DumpFailed:
        match = _COMMAND_ENDED.search(message.text)
        how = f"ended with code {match[1]}" if match else f"failed ({message.text})"
        said = "; ".join(line.strip() for line in self.unparsed[-_TOLD_LINES:] if line.strip())
        return errors.DumpFailed(
            f"the command that was to be archived {how}, so {location} has got nothing of it: "
            + (said or "it said nothing")
        )

    def _connection_lost(self, message: Message, location: str) -> errors.RepositoryError:
        others = [told.text for told in self.messages if told.text.startswith("Remote: ")]
        said = [*others, *self.ssh]
        if error := ssh_error(said, location):
            return error
        text = message.text.strip().splitlines()[0].rstrip(".")
        words = last_words(said)
        return errors.ConnectionLost(f"{location}: {text}" + (f" ({words})" if words else ""))

    def _by_code(self, returncode: int, location: str) -> errors.RepositoryError:
        said = [message.text for message in self.messages if message.level != "WARNING"]
        # A traceback comes with a description of the system behind it.
        last = (said or self.unparsed or ["it said nothing"])[-1].partition("\nPlatform: ")[0]
        if any(text.startswith("Got Ctrl-C") for text in said):
            returncode = -2
        kind = _BY_CODE.get(returncode, errors.BorgFailed)
        return kind(f"borg ended with code {returncode} on {location}: {_last_line(last)}")

    def _hear_message(self, record: Mapping[str, Any]) -> None:
        level = str(record.get("levelname", ""))
        logger.debug("borg: %s", record.get("message", ""))
        if level not in {"WARNING", "ERROR", "CRITICAL"}:
            return
        message = Message(level, str(record.get("message", "")), str(record.get("msgid") or ""))
        if len(self.messages) < _KEPT:
            self.messages.append(message)
        elif level != "WARNING":
            self.messages[-1] = message
        if level == "WARNING" and self._on_warning:
            self._on_warning(message)


def full_disk(location: str) -> errors.RepositoryFull:
    """Return the error for a disk without space; which one, borg does not say."""
    return errors.RepositoryFull(
        f"no space is left for the repository {location}, or for borg's cache"
    )


def finding_of(message: Message, location: str) -> Finding:
    """Say a warning in the operator's words."""
    if _STALE.match(message.text):
        return Finding(location, "the lock of a dead process was removed")
    if message.is_vanished:
        return Finding(message.subject, "vanished before borg had read it")
    if message.msgid == "FileChangedWarning":
        return Finding(message.subject, "changed while borg read it")
    if message.msgid == "BackupRaceConditionError":
        return Finding(message.subject, "was replaced while borg read it, and left out")
    return Finding(message.subject or location, message.text)


def loss_in(message: Message, archive: str) -> errors.RepositoryError | None:
    """Return the error if a warning says that content, or a path, is not in the archive."""
    if message.msgid == _NEVER_MATCHED:
        pattern = message.text.partition("'")[2].rpartition("'")[0]
        return errors.ArchivePathMissing(f"archive {archive} does not hold {pattern}")
    if message.msgid == _LOST:
        path = message.text.rpartition(": ")[0]
        return errors.RepositoryDamaged(f"archive {archive} has lost content of {path}")
    return None


def source_error(message: Message) -> errors.MailrewindError | None:
    """Return the error that a warning about a file amounts to, or None if the run may go on."""
    # Not for a full disk, though: ended now, borg would not take back what it has written so far.
    kind = None if message.is_about_full_disk else _BY_ID.get(message.msgid)
    return kind(message.text) if kind else None


def _told(
    kind: type[errors.MailrewindError], message: Message, location: str
) -> errors.MailrewindError:
    if message.msgid == "NoPassphraseFailure":
        return kind(f"the repository {location} has a passphrase, the configuration names none")
    if kind is errors.PassphraseWrong:
        return kind(f"the passphrase does not open the repository {location}")
    if message.msgid == _MOVED_BACK:
        return kind(
            f"the repository {location} is in an older state than was seen here before",
            advice="Find out who put an old copy in its place; nothing was written to it.",
        )
    if kind is errors.RepositoryMoved:
        return kind(f"the repository at {location} is not the one that was known here")
    text = message.text.strip().splitlines()[0].rstrip(".")
    return kind(text if location in text else f"{location}: {text}")


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def _split(line: str) -> tuple[str, Mapping[str, Any]]:
    """Part a line into the words before borg's record, and the record, which may be empty.

    A prompt, or the last words of a program that shares borg's standard error, end without a line
    end; they may look like JSON themselves.
    """
    start = -1
    for _ in range(_GUESSES):
        start = line.find('{"', start + 1)
        if start < 0:
            break
        with suppress(ValueError):
            record = json.loads(line[start:])
            if isinstance(record, dict) and "type" in record:
                return line[:start], record
    return line, {}


def _progress(record: Mapping[str, Any]) -> Progress | None:
    if record.get("type") == "archive_progress" and not record.get("finished"):
        files = int(record["nfiles"])
        return Progress(int(record["original_size"]), None, "bytes", f"{files} files read")
    # Before borg knows how much there is to do, its total is 0.
    if record.get("type") == "progress_percent" and record.get("total"):
        text = str(record.get("message", "")).strip()
        unit = "files"
        if record.get("msgid") == "extract":  # its text names the file
            unit, text = "bytes", "extracting"
        return Progress(int(record["current"]), int(record["total"]), unit, text)
    return None
