"""What the domain asks of the outside world.

Words: a MAILBOX is named by its address. A FOLDER is a path below the mailbox with "/" between
levels, in Unicode; the inbox is "INBOX". A GUID is the mail system's own name for a message; it
survives moves and flag changes. A PATH is where a file lies below "/", without a leading "/", on
the mail system and in an archive alike.
"""

from mailrewind.ports.archives import ArchivedFile, Archives, Capture, Fetch, Part, Progress, Report
from mailrewind.ports.groupware import Calendars, Exported, HeldExports
from mailrewind.ports.installation import Database, DeletedMailbox, Garbage, Rebuilding, Swapping
from mailrewind.ports.mail import MailSystem
from mailrewind.ports.operations import Operation
from mailrewind.ports.records import (
    WHOLE_SYSTEM,
    AuditLine,
    Catalog,
    Lease,
    Notifier,
    Process,
    State,
)

__all__ = [
    "WHOLE_SYSTEM",
    "ArchivedFile",
    "Archives",
    "AuditLine",
    "Calendars",
    "Capture",
    "Catalog",
    "Database",
    "DeletedMailbox",
    "Exported",
    "Fetch",
    "Garbage",
    "HeldExports",
    "Lease",
    "MailSystem",
    "Notifier",
    "Operation",
    "Part",
    "Process",
    "Progress",
    "Rebuilding",
    "Report",
    "State",
    "Swapping",
]
