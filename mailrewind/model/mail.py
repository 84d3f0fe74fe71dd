"""Messages: where they lie, and what stays the same when they move."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

TRASH_AND_JUNK = frozenset({"trash", "deleted items", "deleted messages", "junk", "spam"})


@dataclass(frozen=True, slots=True)
class Message:
    r"""One message in one folder of one mailbox, without its content.

    Attributes:
        mailbox: Address of the mailbox, such as "ada@example.org".
        folder: Path with "/" between levels, in Unicode; the inbox is "INBOX".
        guid: What the mail system calls this message; it survives moves and flag changes.
        flags: IMAP system flags with their backslash, such as "\\Seen", and keywords without.
        received: INTERNALDATE, aware, UTC, as exact as the mail system keeps it.
        size_bytes: Its size as the quota counts it: before the mail system compressed or encrypted
            it, where that is known, else as stored.
        path: Where the content lies: below "/" in an archive or on the mail system, no leading "/".
    """

    mailbox: str
    folder: str
    guid: str
    flags: frozenset[str]
    received: datetime
    size_bytes: int
    path: str


@dataclass(frozen=True, slots=True)
class Headers:
    """What the catalogue knows of a message's content.

    Attributes:
        subject: Decoded, one line, at most 998 characters; "" where there is none.
        sender: The From header, decoded, one line.
        recipients: To and Cc, decoded, one line.
        message_id: With its angle brackets, or "".
        sent: The Date header in UTC; None where it is missing or unreadable.
        attachments: Names of attached files, decoded.
        digest: BLAKE2b-128 of the content with LF line ends, as 32 hexadecimal digits.
    """

    subject: str
    sender: str
    recipients: str
    message_id: str
    sent: datetime | None
    attachments: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way into a folder.

    Attributes:
        message: What it was in the archive; ``folder`` is where it goes now.
        content: The bytes, untouched.
    """

    message: Message
    content: bytes


@dataclass(frozen=True, slots=True)
class Quota:
    """How full a mailbox is; None for a limit that does not exist.

    Attributes:
        used_bytes: As the mail system counts.
        limit_bytes: The storage limit.
        used_messages: As the mail system counts.
        limit_messages: The message limit.
    """

    used_bytes: int
    limit_bytes: int | None
    used_messages: int
    limit_messages: int | None

    def refuses(self, *, added_bytes: int, added_messages: int) -> bool:
        """Whether the mail system would refuse this much more."""
        return _over(self.used_bytes + added_bytes, self.limit_bytes) or _over(
            self.used_messages + added_messages, self.limit_messages
        )


def is_trash_or_junk(folder: str) -> bool:
    """Whether the top level of the folder's path is the trash or the junk by its usual name."""
    levels = [level.casefold() for level in folder.split("/")]
    if levels[0] == "inbox" and len(levels) > 1:
        levels = levels[1:]
    return levels[0] in TRASH_AND_JUNK


def is_in_folders(folder: str, folders: Iterable[str]) -> bool:
    """Whether the folder is one of these, or lies below one of them."""
    return any(folder == named or folder.startswith(f"{named}/") for named in folders)


def _over(value: int, limit: int | None) -> bool:
    return limit is not None and value > limit
