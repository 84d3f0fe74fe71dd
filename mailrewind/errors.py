"""Everything that can go wrong on purpose.

* MailrewindError                          exit code 1
  + ConfigurationError                     2
    x ConfigurationMissing
    x ConfigurationInvalid
    x SecretUnavailable
    x UnknownSystem
    x UnknownRepository
    x StackError
  + MailSystemError                        10
    x MailboxNotFound
    x FolderNotFound
    x MessageNotFound
    x CalendarItemNotFound
    x SourceMissing
    x SourceUnreadable
    x KeyDoesNotFit
    x MessageDamaged
    x ExportDamaged
    x ExportIncomplete                     retryable
    x DumpDamaged
    x FormatUnsupported
    x MailServerUnreachable                retryable
    x MailServerFailed
    x ContainerMissing
    x RecoveryNotArmed
    x DeliveryFailed
    x DumpFailed                           retryable
    x DatabaseUnreachable                  retryable
    x DatabaseRefused
  + RepositoryError                        20
    x RepositoryMissing
    x RepositoryMoved
    x RepositoryLocked                     retryable
    x RepositoryFull
    x RepositoryDamaged
    x RepositoryRefused
    x PassphraseWrong
    x KeyMissing
    x ArchiveExists
    x ArchiveMissing
    x ArchivePathMissing
    x ConnectionLost                       retryable
    x HostKeyUnknown
    x HostKeyChanged
    x LoginRefused
    x CaptureIncomplete                    retryable
    x BackupRunning                        retryable
    x BorgMissing
    x BorgInterrupted                      retryable
    x BorgFailed
  + RecordsError                           30
    x RecordsBusy                          retryable
    x RecordsFull
    x RecordsUnreadable
    x RecordsOutdated
  + RestoreError                           40
    x MomentUnclear
    x MomentInFuture
    x MomentTooEarly
    x RestorePointNotFound
    x RetentionRefused
    x PlanNotFound
    x PlanOutdated
    x LeaseHeld                            retryable
    x SystemHeld                           retryable
    x OperationUnknown
    x ConfirmationMissing
    x OverQuota
    x NoSpace
    x VerificationFailed
    x NothingToUndo
    x SchemaTooNew
    x OtherInstallation
    x ChoiceNeeded
    x NotEmpty
  + NotificationFailed                     60

An error says what happened and to which thing; ``advice`` says what to do next; ``retryable``
whether waiting helps. Each family has the exit code that the command line ends with.
"""

from typing import ClassVar


class MailrewindError(Exception):
    """Base of every error raised on purpose; its text is a sentence for the operator.

    A message may begin in small letters and without a full stop at its end, so that it can be put
    together from parts; the error's text has both.

    Attributes:
        retryable: Whether the same call may succeed later without anybody's hand.
        exit_code: What the command line ends with.
        is_sentence: Whether the message gets its capital letter and its full stop.
        advice: What to do next; a sentence, or "" when the message says it all.
    """

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1
    default_advice: ClassVar[str] = ""
    is_sentence: ClassVar[bool] = True

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(_sentence(message) if self.is_sentence else message)
        self.advice = advice or self.default_advice

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the advice when an error crosses a process border."""
        return (_rebuild, (type(self), str(self), self.advice))


def _sentence(message: str) -> str:
    first, *_ = message.split(maxsplit=1) or [""]
    if first.isascii() and first.isalpha() and first.islower():  # a word, and no path or name
        message = message[:1].upper() + message[1:]
    return message if message.endswith((".", "!", "?", ":")) else f"{message}."


def _rebuild(kind: type[MailrewindError], message: str, advice: str) -> MailrewindError:
    return kind(message, advice=advice)


class ConfigurationError(MailrewindError):
    """What the operator wrote down cannot be used."""

    exit_code = 2


class ConfigurationMissing(ConfigurationError):
    """No configuration file was found."""

    default_advice = "Write one with `mailrewind init`, or name one with --config."


class ConfigurationInvalid(ConfigurationError):
    """The configuration file does not say something usable.

    Its text is not made a sentence: it may be a list of places, as a compiler writes it.
    """

    is_sentence = False
    default_advice = "Mend the line and run `mailrewind config check`."


class SecretUnavailable(ConfigurationError):
    """A secret's reference does not lead to a secret."""

    default_advice = "Check the env, file or command that the configuration names for it."


class UnknownSystem(ConfigurationError):
    """No system of this name is configured."""

    default_advice = "See `mailrewind systems` for the names."


class UnknownRepository(ConfigurationError):
    """No repository of this name is configured."""

    default_advice = "See the `repositories` of the configuration file for the names."


class StackError(ConfigurationError):
    """Prefect's server, pool or worker could not be brought to work."""

    default_advice = "See the log below the data directory, in prefect/."


class MailSystemError(MailrewindError):
    """A mail system did not do what was asked of it."""

    exit_code = 10


class MailboxNotFound(MailSystemError):
    """The system, or its restore point, has no such mailbox."""

    default_advice = "See `mailrewind mailboxes SYSTEM` for the addresses."


class FolderNotFound(MailSystemError):
    """The mailbox has no such folder at that moment."""

    default_advice = "See `mailrewind folders SYSTEM MAILBOX` for the paths."


class MessageNotFound(MailSystemError):
    """The mailbox has no message of this number at that moment."""

    default_advice = "See `mailrewind messages SYSTEM MAILBOX FOLDER` for the numbers."


class CalendarItemNotFound(MailSystemError):
    """The calendars and address books have no such event or contact at that moment."""

    default_advice = "See `mailrewind calendars SYSTEM USER FOLDER` for the names."


class SourceMissing(MailSystemError):
    """The place where the mail should lie does not exist."""

    default_advice = "Check the path template of the system, and that its disk is mounted."


class SourceUnreadable(MailSystemError):
    """Mail exists that this process may not read."""

    default_advice = "Run as root, or give the user read access to the whole mail tree."


class KeyDoesNotFit(MailSystemError):
    """A message was encrypted for another key than the ones that are given."""

    default_advice = (
        "Give the private key of that id as well: it is in the crypt volume, ecprivkey.pem,"
        " as it was when the message was stored."
    )


class MessageDamaged(MailSystemError):
    """A stored message was changed or cut after the mail server had written it."""

    default_advice = "Take the message from another restore point, and check the disk."


class ExportDamaged(MailSystemError):
    """An export of calendars and contacts cannot be read, or not to its end."""

    default_advice = "Take the export of another restore point, or make a new one."


class ExportIncomplete(MailSystemError):
    """An export of calendars and contacts is not what its user had at that moment."""

    retryable = True
    default_advice = "The step is tried again; the next run exports what is lacking."


class DumpDamaged(MailSystemError):
    """A dump of a database cannot be read, or not to its end."""

    default_advice = "Take the dump of another restore point."


class FormatUnsupported(MailSystemError):
    """A file is in a form that mailrewind does not read."""

    default_advice = "Restore it through the mail server, which can read what it has written."


class MailServerUnreachable(MailSystemError):
    """The mail server does not answer."""

    retryable = True
    default_advice = "Check that the mail server runs; a flow tries again by itself."


class MailServerFailed(MailSystemError):
    """A tool of the mail server failed, or did nothing and said it had succeeded."""


class ContainerMissing(MailSystemError):
    """A compose project, or a container or volume of it, is not there."""

    default_advice = "Check `docker compose ps` in the directory of the stack, and start it."


class RecoveryNotArmed(MailSystemError):
    """What would start the services again after a crash does not run, so none was stopped."""

    default_advice = "See the log in recovery/ below the data directory."


class DeliveryFailed(MailSystemError):
    """A message could not be put into its folder."""


class DumpFailed(MailSystemError):
    """A command whose output was to be archived failed, so there is no archive of it."""

    retryable = True
    default_advice = "See what the command said; a flow tries again by itself."


class DatabaseUnreachable(MailSystemError):
    """The mail system's database does not answer, or has stopped to."""

    retryable = True
    default_advice = "Check that the database runs; a flow tries again by itself."


class DatabaseRefused(MailSystemError):
    """The mail system's database does not let this user in, or not do this."""

    default_advice = (
        "Check DBUSER, DBPASS and DBROOT in mailcow.conf: a database keeps the passwords that it"
        " was made with."
    )


class RepositoryError(MailrewindError):
    """Borg could not do what was asked of a repository."""

    exit_code = 20


class RepositoryMissing(RepositoryError):
    """There is no repository at this location."""

    default_advice = "Check the location and its mount; `mailrewind init` creates a new one."


class RepositoryMoved(RepositoryError):
    """The repository at this location is not the one that was known here."""

    default_advice = (
        "If you moved it yourself, run `mailrewind repository list NAME --accept-moved` once."
    )


class RepositoryLocked(RepositoryError):
    """Another process holds the repository's lock."""

    retryable = True
    default_advice = (
        "Wait for the other run; use `mailrewind repository break-lock` only if no borg is left."
    )


class RepositoryFull(RepositoryError):
    """No space is left where the repository lies."""

    default_advice = "Free space, or run `mailrewind retain SYSTEM --yes`; the backup runs again."


class RepositoryDamaged(RepositoryError):
    """The repository does not hold together."""

    default_advice = "Keep a copy before anything else; then see docs/operating.md, damage."


class RepositoryRefused(RepositoryError):
    """The repository's side does not allow this."""

    default_advice = "Check the SSH key's restrictions, quota and permissions there."


class PassphraseWrong(RepositoryError):
    """The passphrase does not open the repository's key."""

    default_advice = "Check the passphrase reference of this repository in the configuration."


class KeyMissing(RepositoryError):
    """The repository's encryption key is not where it should be."""

    default_advice = "Bring its copy back with `mailrewind repository import-key NAME FILE`."


class ArchiveExists(RepositoryError):
    """The repository holds an archive of this name already."""


class ArchiveMissing(RepositoryError):
    """The repository holds no archive of this name."""

    default_advice = "See `mailrewind points SYSTEM` for what can be restored."


class ArchivePathMissing(RepositoryError):
    """The archive does not hold this path."""


class ConnectionLost(RepositoryError):
    """The connection to the repository broke."""

    retryable = True
    default_advice = "Check the network and the repository's host; a flow tries again by itself."


class HostKeyUnknown(RepositoryError):
    """Nobody has vouched yet for the SSH key of the repository's host; nothing was sent there."""

    default_advice = (
        "Ask the host's administrator for the fingerprint of its key, then run `ssh` to the same "
        "host and port once, as the user that runs mailrewind, and confirm it."
    )


class HostKeyChanged(RepositoryError):
    """The repository's host shows another SSH key than the one that is known, so nothing was sent.

    It was installed anew, or somebody has put himself in between.
    """

    default_advice = (
        "Ask the host's administrator first. If the key was renewed, remove the old one with "
        "`ssh-keygen -R HOST`, run `ssh` to the host once and compare the fingerprint."
    )


class LoginRefused(RepositoryError):
    """The repository's host lets no one in with our SSH key."""

    default_advice = (
        "Add the public key of the user that runs mailrewind to authorized_keys on that host."
    )


class CaptureIncomplete(RepositoryError):
    """Messages that were there all the time did not make it into the archive."""

    retryable = True
    default_advice = "The next run captures them; if it happens again, back up from a snapshot."


class BackupRunning(RepositoryError):
    """Another backup of the same system is running."""

    retryable = True
    default_advice = "Wait for it; `mailrewind status` shows who runs it."


class BorgMissing(RepositoryError):
    """The borg executable is not there, or too old."""

    default_advice = "Install borgbackup 1.4 into the environment that runs mailrewind."


class BorgInterrupted(RepositoryError):
    """Borg was told to stop before it had finished."""

    retryable = True
    default_advice = "Nothing is lost; the next run goes on from borg's checkpoint."


class BorgFailed(RepositoryError):
    """Borg failed in a way this product has no better word for."""


class RecordsError(MailrewindError):
    """Our own databases, the state or a catalogue, cannot be used."""

    exit_code = 30


class RecordsBusy(RecordsError):
    """Another process is writing to the database."""

    retryable = True
    default_advice = "The step is tried again."


class RecordsFull(RecordsError):
    """No space is left where our databases lie."""

    default_advice = "Free space below the data directory; nothing that was recorded is lost."


class RecordsUnreadable(RecordsError):
    """The database is damaged, or not ours."""

    default_advice = "Move the file away; a catalogue is rebuilt from the archives."


class RecordsOutdated(RecordsError):
    """The database was written by a newer version."""

    default_advice = "Install the version that wrote it, or a newer one."


class RestoreError(MailrewindError):
    """A restore cannot be planned, done or undone as asked."""

    exit_code = 40


class MomentUnclear(RestoreError):
    """This text does not name a moment."""

    default_advice = "Write latest, a restore point's name, or a time such as 2026-11-12 13:00."


class MomentInFuture(RestoreError):
    """The moment has not come yet."""

    default_advice = "Name a moment in the past; times are read in the configured time zone."


class MomentTooEarly(RestoreError):
    """No restore point is as old as this moment."""

    default_advice = "See `mailrewind points SYSTEM` for the oldest."


class RestorePointNotFound(RestoreError):
    """The system has no such restore point, or none at all."""

    default_advice = "See `mailrewind points SYSTEM`; `mailrewind backup SYSTEM --yes` makes one."


class RetentionRefused(RestoreError):
    """Retention would remove more than is safe, so it removed nothing."""

    default_advice = "Check the policy and the floor in the configuration."


class PlanNotFound(RestoreError):
    """No plan has this id."""

    default_advice = "Plan again; the plan's page and `mailrewind restore` show its id."


class PlanOutdated(RestoreError):
    """The mailbox or the restore points have changed since the plan was made."""

    default_advice = "Read the new plan and restore with its id."


class LeaseHeld(RestoreError):
    """Another restore works on this mailbox."""

    retryable = True
    default_advice = "Wait until it has ended; `mailrewind status` shows it."


class SystemHeld(RestoreError):
    """A restore works on this whole system: until it has ended, nothing else may."""

    retryable = True
    default_advice = "Wait until it has ended; `mailrewind status` shows it."


class OperationUnknown(RestoreError):
    """The system's kind has no such restore."""

    default_advice = "See docs/restoring.md for what can be restored of which kind of system."


class ConfirmationMissing(RestoreError):
    """The plan would lose or revert what is there, and nobody has confirmed just that."""


class OverQuota(RestoreError):
    """What would be added does not fit into the mailbox's quota."""

    default_advice = "Restore fewer folders, raise the quota, or allow going over it."


class NoSpace(RestoreError):
    """What would be added does not fit onto the mail system's disk."""

    default_advice = "Free space on the mail system, or restore fewer folders."


class VerificationFailed(RestoreError):
    """Reading back did not show what was delivered."""

    default_advice = "See the report: it names every message that is not as it was."


class SchemaTooNew(RestoreError):
    """A dump was made by a newer version of the mail system than the one that runs."""

    default_advice = "Update the mail system to the version of then, and restore after that."


class OtherInstallation(RestoreError):
    """What was archived belongs to another installation than the living one."""

    default_advice = (
        "Check the repository of this system; if it is the right one, say so with --from-another,"
        " *From another mailcow* in the form."
    )


class NothingToUndo(RestoreError):
    """This restore added nothing that is still there unchanged, or is undone already."""


class ChoiceNeeded(RestoreError):
    """More than one thing could be meant, and only a person knows which."""

    default_advice = "Name the one that is meant; nothing is chosen by guessing."


class HalfDone(RestoreError):
    """An earlier restore of the mailbox ended half-way and holds mail that must not be lost."""

    default_advice = "Undo that restore first."


class NotEmpty(RestoreError):
    """A whole server is restored onto an empty installation only, and this one is not."""

    default_advice = "Restore mailboxes, calendars or the database one by one instead."


class NotificationFailed(MailrewindError):
    """Nobody could be told."""

    exit_code = 60
    default_advice = "Check the `notify` section with `mailrewind watch --try`."
