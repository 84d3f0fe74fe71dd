"""See what a mail tree holds, independently of the product, to prove what a restore brought back.

Nothing here is shared with the code that is judged: it opens every file and reads names, letters
and times itself. What Dovecot's formats mean is in ``tools/sample_mail.py``.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Seen:
    """One message, as far as its owner could tell it from another.

    Attributes:
        mailbox: Directory of the Maildir, below the root.
        folder: The folder's directory below the Maildir; "" is the inbox.
        digest: SHA-256 of the content.
        flags: Letters of the file name's flags, sorted, such as "FS".
        keywords: Names, sorted.
        received: INTERNALDATE as IMAP gives it: whole seconds since 1970.
    """

    mailbox: str
    folder: str
    digest: str
    flags: str
    keywords: tuple[str, ...]
    received: int


def look(root: Path) -> Counter[Seen]:
    """Open every message of every Maildir below ``root``."""
    return Counter(
        _see(path, folder, maildir, root)
        for maildir in maildirs(root)
        for folder in folders(maildir)
        for path in messages(folder)
    )


def maildirs(root: Path) -> Iterator[Path]:
    """Yield the Maildirs of a sample tree, sorted."""
    yield from sorted(path for path in root.glob("*/*/Maildir") if path.is_dir())


def folders(maildir: Path) -> Iterator[Path]:
    """Yield the inbox's directory, then the folders', sorted."""
    yield maildir
    yield from sorted(path for path in maildir.glob(".*") if (path / "cur").is_dir())


def messages(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder's messages, sorted."""
    yield from sorted(path for part in ("cur", "new") for path in (folder / part).iterdir())


def _see(path: Path, folder: Path, maildir: Path, root: Path) -> Seen:
    letters = path.name.partition(":2,")[2]
    return Seen(
        mailbox=str(maildir.relative_to(root)),
        folder="" if folder == maildir else folder.name,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        flags="".join(sorted(letter for letter in letters if letter.isupper())),
        keywords=_keywords(folder, letters),
        received=int(path.stat().st_mtime),
    )


def _keywords(folder: Path, letters: str) -> tuple[str, ...]:
    used = [letter for letter in letters if letter.islower()]
    if not used:
        return ()
    lines = (folder / "dovecot-keywords").read_text(encoding="utf-8").splitlines()
    names = dict(line.split(" ", 1) for line in lines)
    return tuple(sorted(names[str(ord(letter) - ord("a"))] for letter in used))
