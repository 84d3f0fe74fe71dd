r"""The two files in which Dovecot keeps what a Maildir's file names do not tell.

``dovecot-uidlist``, version 3 (doc.dovecot.org, "Maildir", "IMAP UID mapping"): a header
"3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1" and a line
"25017 W2481 G<guid> :1276533073.M242911P3632.host:2,F" per message. ``dovecot-keywords``:
"0 $Junk\n1 important\n", where 0 is the letter "a". Dovecot appends to the first while it is read,
so a last line without its end is not there yet.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mailrewind.formats.maildir import KEYWORD_LETTERS, base_of, guid_of

UIDLIST = "dovecot-uidlist"
KEYWORDS = "dovecot-keywords"
SUBSCRIPTIONS = "subscriptions"
ACL = "dovecot-acl"

_HEADER = re.compile(r"3(?: .*)? V(\d+)(?: .*)?")
_MAILBOX_GUID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class UidLine:
    """One message of a dovecot-uidlist.

    Attributes:
        uid: Its IMAP UID.
        guid: The G field, in the form that ``guid_of`` gives; "" without one.
    """

    uid: int
    guid: str


@dataclass(frozen=True, slots=True)
class UidList:
    """What a dovecot-uidlist says.

    Attributes:
        validity: The UIDVALIDITY; 0 when the file is not readable as version 3.
        mailbox_guid: Dovecot's GUID of the folder, or "".
        lines: By the base name of the message's file.
    """

    validity: int = 0
    mailbox_guid: str = ""
    lines: Mapping[str, UidLine] = field(default_factory=dict)

    def guid(self, name: str) -> str:
        """Return the GUID of a message by its file's name."""
        line = self.lines.get(base_of(name))
        return line.guid if line is not None and line.guid else guid_of(name)


def read_uidlist(content: bytes) -> UidList:
    """Read a dovecot-uidlist; lines that make no sense are left out."""
    lines = _lines(content)
    header = next(lines, "")
    match = _HEADER.fullmatch(header)
    if not match:
        return UidList()
    fields = {text[0]: text[1:] for text in header.split(" ")[1:] if text}
    guid = fields.get("G", "")
    return UidList(
        validity=int(match[1]),
        mailbox_guid=guid if _MAILBOX_GUID.fullmatch(guid) else "",
        lines=dict(filter(None, map(_read_line, lines))),
    )


def write_uidlist(validity: int, files: Iterable[tuple[str, str]]) -> bytes:
    """Write a dovecot-uidlist that gives each file its GUID.

    Args:
        validity: The UIDVALIDITY.
        files: (file name, GUID), in the order of their UIDs.
    """
    lines = [f"{uid} G{guid} :{name}\n" for uid, (name, guid) in enumerate(files, start=1)]
    header = f"3 V{validity} N{len(lines) + 1}\n"
    return (header + "".join(lines)).encode("utf-8", "surrogateescape")


def read_keywords(content: bytes) -> tuple[str, ...]:
    """Return a folder's keywords in the order of their letters, "" for a number without one."""
    names: dict[int, str] = {}
    for line in _lines(content):
        number, _, name = line.partition(" ")
        if number.isascii() and number.isdecimal() and len(number) < 3 and name:
            names[int(number)] = name.encode("utf-8", "replace").decode()
    top = min(max(names, default=-1) + 1, len(KEYWORD_LETTERS))
    return tuple(names.get(number, "") for number in range(top))


def write_keywords(keywords: Iterable[str]) -> bytes:
    """Write a dovecot-keywords; "" leaves its number free."""
    return "".join(f"{n} {name}\n" for n, name in enumerate(keywords) if name).encode()


def _read_line(line: str) -> tuple[str, UidLine] | None:
    fields, colon, name = line.partition(" :")
    uid, *more = fields.split(" ")
    if not (colon and name and uid.isascii() and uid.isdecimal() and len(uid) < 11):
        return None
    guid = next((text[1:] for text in more if text.startswith("G")), "")
    return base_of(name), UidLine(int(uid), guid_of(guid) if guid else "")


def _lines(content: bytes) -> Iterator[str]:
    """Yield the lines that are whole."""
    for line in content.split(b"\n")[:-1]:
        yield line.decode("utf-8", "surrogateescape")
