"""Make a sample of living mail: 5 mailboxes, some 2,000 messages, everything that Maildir++ allows.

The same seed and moment make the same tree, byte for byte and second for second. Folder names
stand here in both spellings, so that no code of the product takes part in what it is judged by.

Sources: https://cr.yp.to/proto/maildir.html (file names), https://www.courier-mta.org/imap/
README.maildirquota.html (Maildir++, ``,S=``), https://doc.dovecot.org/2.3/admin_manual/
mailbox_formats/maildir/ (``,W=``, dovecot-keywords, dovecot-uidlist), RFC 3501 section 5.1.3
(modified UTF-7).
"""

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

ADDRESSES = (
    "ada@example.org",
    "grace@example.org",
    "info+shop@example.org",
    "linus@example.net",
    "o'neil@example.net",
)
TEMPLATE = "{domain}/{local}/Maildir"
REAL_MESSAGES = Path(__file__).parent.parent / "tests" / "data" / "messages"

INBOX = ""
# As users see it -> the directory's name below the Maildir.
FOLDERS = {
    "INBOX": INBOX,
    "Sent": ".Sent",
    "Drafts": ".Drafts",
    "Trash": ".Trash",
    "Junk": ".Junk",
    "Archive": ".Archive",
    "Archive/2025": ".Archive.2025",
    "Projekte/Küche & Bad/Angebote": ".Projekte.K&APw-che &- Bad.Angebote",
    "Projekte/2026/Q4/Verträge/Entwürfe": ".Projekte.2026.Q4.Vertr&AOQ-ge.Entw&APw-rfe",
    "旅行/日本語": ".&ZcWITA-.&ZeVnLIqe-",
    "Ärger": ".&AMQ-rger",
    'it\'s "quoted" $HOME': '.it\'s "quoted" $HOME',
}
GENERATED = 1_900
REAL_FOLDER = "Projekte/Küche & Bad/Angebote"
KEYWORDS = ("$MDNSent", "$label1", "Rechnung", "NonJunk")
FLAGS = ("", "S", "S", "S", "S", "RS", "FS", "FRS", "PS", "ST", "DS", "F")
SUBJECTS = (
    "Angebot {n}",
    "Re: Rechnung Nr. {n}",
    "Grüße aus Köln ({n})",
    "会議のお知らせ {n}",
    "Minutes of meeting {n}",
    "Fwd: invoice {n} — please pay",
    "Предложение {n}",
    "🎉 Einladung zur Feier {n}",
)
WORDS = """
    Kunde Liefertermin invoice Küche straße meeting Montag Rechnung bitte naïve café delivery
    tomorrow 見積書 Straßenbahn garden план unread budget
"""
NEVER_READ = 0.04
WITH_ATTACHMENT = 0.05
WITH_KEYWORD = 0.15
COPIED = 0.02


@dataclass(frozen=True, slots=True)
class Sample:
    """What was made.

    Attributes:
        root: Where it lies.
        template: Path template of a mailbox, with {domain} and {local}.
        addresses: Its mailboxes.
        messages: How many messages they hold.
    """

    root: Path
    template: str
    addresses: tuple[str, ...]
    messages: int


@dataclass(frozen=True, slots=True)
class _Letter:
    """One message on its way into the tree."""

    mailbox: str
    folder: str
    content: bytes
    received: datetime


def make(root: Path, *, now: datetime, seed: int = 20261120) -> Sample:
    """Make the sample below a directory that does not hold one yet.

    Args:
        root: Is created; ``example.org/ada/Maildir`` and so on come to lie below it.
        now: Aware; no message is newer.
        seed: Another seed makes another tree.
    """
    dice = random.Random(seed)
    for address in ADDRESSES:
        for directory in FOLDERS.values():
            _make_folder(_maildir(root, address) / directory)
    writer = _Writer(root, dice)
    for letter in _letters(dice, now):
        writer.write(letter)
    writer.close()
    return Sample(root, f"{root}/{TEMPLATE}", ADDRESSES, writer.written)


def _letters(dice: random.Random, now: datetime) -> Iterator[_Letter]:
    """Yield the real messages, each once for the first mailbox and once elsewhere, then ours."""
    for number, path in enumerate(sorted(REAL_MESSAGES.rglob("*.eml"))):
        content = path.read_bytes()
        received = _moment(dice, now)
        yield _Letter(ADDRESSES[0], REAL_FOLDER, content, received)
        if number % 5 == 0:
            yield _Letter(ADDRESSES[1], "INBOX", content, received)
    folders = list(FOLDERS)
    weights = [40, 15, 2, 4, 4] + [4] * (len(folders) - 5)
    for number in range(GENERATED):
        mailbox = dice.choice(ADDRESSES)
        received = _moment(dice, now)
        content = _compose(dice, number, mailbox, received)
        folder = dice.choices(folders, weights)[0]
        yield _Letter(mailbox, folder, content, received)
        if dice.random() < COPIED:
            yield _Letter(mailbox, "Archive/2025", content, received)


def _moment(dice: random.Random, now: datetime) -> datetime:
    return now.replace(microsecond=0) - timedelta(seconds=dice.randrange(60, 2 * 365 * 86_400))


def _compose(dice: random.Random, number: int, mailbox: str, received: datetime) -> bytes:
    message = EmailMessage()
    message["From"] = f"Jörg Beispiel {number % 37} <sender{number % 37}@example.com>"
    message["To"] = f'"{mailbox}" <someone@example.org>' if "'" in mailbox else mailbox
    message["Subject"] = dice.choice(SUBJECTS).format(n=number)
    message["Date"] = received
    message["Message-ID"] = f"<{number}.{dice.randrange(10**9)}@example.com>"
    words = dice.choices(WORDS.split(), k=int(dice.lognormvariate(5.2, 0.9)))
    lines = [" ".join(words[start : start + 9]) for start in range(0, len(words), 9)]
    message.set_content("\n".join(lines) + "\n")
    if dice.random() < WITH_ATTACHMENT:
        message.add_attachment(
            dice.randbytes(dice.randrange(2_000, 60_000)),
            maintype="application",
            subtype="pdf",
            filename=f"Übersicht {number}.pdf",
        )
        message.set_boundary(f"=={number}==")  # otherwise chosen by chance of its own
    return message.as_bytes()


class _Writer:
    """Writes messages as a mail server would, and at the end each folder's own files."""

    def __init__(self, root: Path, dice: random.Random) -> None:
        self._root = root
        self._dice = dice
        self._uidlists: dict[Path, list[str]] = {}
        self._with_keywords: set[Path] = set()
        self.written = 0

    def write(self, letter: _Letter) -> None:
        """Put one message into its folder, with flags, keywords and date."""
        folder = _maildir(self._root, letter.mailbox) / FOLDERS[letter.folder]
        base = self._base_name(letter)
        path = folder / self._place(folder, base)
        path.write_bytes(letter.content)
        seconds = int(letter.received.timestamp())
        # Deliveries carry fractions of a second, what a client has saved does not.
        fraction = self.written % 3 and self._dice.randrange(10**6) * 1_000
        os.utime(path, ns=(seconds * 10**9 + fraction,) * 2)
        self._uidlists.setdefault(folder, []).append(base)
        self.written += 1

    def close(self) -> None:
        """Write dovecot-uidlist, dovecot-keywords, subscriptions and what lies about besides."""
        for folder, bases in self._uidlists.items():
            (folder / "dovecot-uidlist").write_text(_uidlist(self._dice, bases), encoding="utf-8")
        for folder in self._with_keywords:
            lines = [f"{number} {keyword}\n" for number, keyword in enumerate(KEYWORDS)]
            (folder / "dovecot-keywords").write_text("".join(lines), encoding="utf-8")
        for address in ADDRESSES:
            maildir = _maildir(self._root, address)
            names = [directory[1:] for directory in FOLDERS.values() if directory]
            lines = ["V\t2\n", "\n", *(name.replace(".", "\t") + "\n" for name in names)]
            (maildir / "subscriptions").write_text("".join(lines), encoding="utf-8")
            (maildir / "tmp" / "1700000000.M1P1.left-behind").write_bytes(b"half a deliv")

    def _base_name(self, letter: _Letter) -> str:
        stamp = int(letter.received.timestamp())
        unique = (
            f"{stamp}.M{self._dice.randrange(10**6):06}P{1000 + self.written}.mx{1 + stamp % 2}"
        )
        size = len(letter.content)
        lines = letter.content.count(b"\n") - letter.content.count(b"\r\n")
        match self._dice.randrange(4):
            case 0:
                return unique
            case 1:
                return f"{unique},S={size}"
            case _:
                return f"{unique},S={size},W={size + lines}"

    def _place(self, folder: Path, base: str) -> str:
        if self._dice.random() < NEVER_READ:
            return f"new/{base}"
        letters = self._dice.choice(FLAGS)
        if self._dice.random() < WITH_KEYWORD:
            self._with_keywords.add(folder)
            letters += "".join(sorted(self._dice.sample("abcd", self._dice.randrange(1, 3))))
        return f"cur/{base}:2,{letters}"


def _uidlist(dice: random.Random, bases: list[str]) -> str:
    """Render a folder's uidlist; a message that Dovecot saved itself has its GUID in it."""
    header = f"3 V{1_600_000_000 + dice.randrange(10**8)} N{len(bases) + 1} G{_hex(dice)}\n"
    lines = [
        f"{uid} G{_hex(dice)} :{base}\n" if dice.random() < 0.2 else f"{uid} :{base}\n"
        for uid, base in enumerate(bases, start=1)
    ]
    return header + "".join(lines)


def _hex(dice: random.Random) -> str:
    return dice.randbytes(16).hex()


def _maildir(root: Path, address: str) -> Path:
    local, domain = address.rsplit("@", 1)
    return root / TEMPLATE.format(domain=domain, local=local)


def _make_folder(folder: Path) -> None:
    for part in ("cur", "new", "tmp"):
        (folder / part).mkdir(parents=True, mode=0o700)
    if folder.name.startswith("."):
        (folder / "maildirfolder").touch(mode=0o600)


if __name__ == "__main__":
    made = make(Path(sys.argv[1]).absolute(), now=datetime.now(UTC))
    print(f"{made.messages} messages of {len(made.addresses)} mailboxes below {made.root}")
