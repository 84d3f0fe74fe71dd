"""Small Maildir trees and messages for tests."""

import os
from datetime import UTC, datetime
from pathlib import Path

from mailrewind.model.mail import Delivery, Message

ADA = "ada@example.org"
THEN = datetime(2020, 9, 13, 12, 26, 40, 123456, tzinfo=UTC)


def make_maildir(path: Path) -> Path:
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True)
    return path


def put_file(path: Path, content: bytes = b"Subject: hi\n\nhello\n") -> Path:
    path.write_bytes(content)
    moment = int(THEN.timestamp()) * 10**9 + 123456789
    os.utime(path, ns=(moment, moment))
    return path


def letter(
    guid: str, folder: str = "INBOX", content: bytes = b"Subject: hi\n\nhello\n", *flags: str
) -> Delivery:
    message = Message(ADA, folder, guid, frozenset(flags), THEN, len(content), f"then/{guid}")
    return Delivery(message, content)
