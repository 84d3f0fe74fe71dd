"""The names of the files in a Maildir (cr.yp.to/proto/maildir.html, Dovecot's additions).

"1276528487.M364837P9451.host,S=1355,W=1394:2,FSa": up to the colon it is the base name, which a
message keeps for its life in a folder; after ":2," come letters, one per flag, and small letters
for the keywords that the folder's dovecot-keywords lists.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b

FORWARDED = "$Forwarded"
KEYWORD_LETTERS = "abcdefghijklmnopqrstuvwxyz"

# "P", passed on, has no system flag in IMAP: "$Forwarded" is the registered keyword for it.
_FLAGS = {
    "D": "\\Draft",
    "F": "\\Flagged",
    "P": FORWARDED,
    "R": "\\Answered",
    "S": "\\Seen",
    "T": "\\Deleted",
}
_LETTERS = {flag: letter for letter, flag in _FLAGS.items()}
_PACKED = (
    b"CRYPTED\x03\x07",  # Dovecot's mail_crypt
    b"Dovecot-LZ4\r\x2a\x9b\xc5",
    b"\x1f\x8b",  # gzip
    b"\x28\xb5\x2f\xfd",  # zstd
    b"BZh",
    b"\xfd7zXZ",
)
_PLAIN_SIZE = re.compile(r",S=(\d{1,15})(?:,|$)")
_SAFE_GUID = re.compile(r"[A-Za-z0-9_=+@~#-][A-Za-z0-9_=+@~#.-]{0,179}")


def base_of(name: str) -> str:
    """Return the part of a file name that flags do not change."""
    return name.partition(":")[0]


def guid_of(name: str) -> str:
    """Return the GUID that a base name, or Dovecot's own GUID field, stands for.

    It ends before the first comma: after a restore Dovecot keeps a former base name as GUID with
    its ",S=" and ",W=", while the file elsewhere goes without. What could not be part of a file
    name or of dovecot-uidlist is replaced by its digest, the same at every reading.
    """
    base = base_of(name)
    guid = base.partition(",")[0]
    if _SAFE_GUID.fullmatch(guid):
        return guid
    odd = (guid or base).encode("utf-8", "surrogateescape")
    return blake2b(odd, digest_size=16).hexdigest()


def flags_of(name: str, keywords: Sequence[str]) -> frozenset[str]:
    """Return the flags and keywords that a file name's letters stand for.

    Args:
        name: The file's name.
        keywords: Of its folder, in the order of their letters; "" where a letter has no name.
    """
    letters = name.partition(":2,")[2].partition(",")[0]
    flags = {_FLAGS[letter] for letter in letters if letter in _FLAGS}
    for letter in letters:
        number = KEYWORD_LETTERS.find(letter)
        if 0 <= number < len(keywords) and keywords[number]:
            flags.add(keywords[number])
    return frozenset(flags)


def letters_of(flags: frozenset[str], keywords: Sequence[str]) -> str:
    """Return the letters for flags, in ASCII order; a flag without a letter is left out.

    Args:
        flags: System flags and keywords.
        keywords: Of the folder, in the order of their letters.
    """
    named = dict(zip(keywords, KEYWORD_LETTERS, strict=False))
    letters = {named.get(flag) or _LETTERS.get(flag, "") for flag in flags}
    return "".join(sorted(letters))


def needs_keyword(flag: str) -> bool:
    """Whether a flag has no letter of its own."""
    return flag not in _LETTERS and not flag.startswith("\\")


def name_for(guid: str, *, copy: int = 0, sizes: str = "", letters: str = "") -> str:
    """Make the file name of a message so that its GUID reads back.

    Args:
        guid: As ``guid_of`` gave it.
        copy: Tells copies of one message in one folder apart.
        sizes: As ``sizes_of`` gave it.
        letters: As ``letters_of`` gave it.
    """
    number = f",N={copy}" if copy else ""
    return f"{guid}{number}{sizes}:2,{letters}"


def plain_size_of(name: str) -> int | None:
    """Return the size that a file name gives (",S="), None where it gives none.

    It is that of the message before the mail server compressed or encrypted it, and what Dovecot
    counts for the quota.
    """
    found = _PLAIN_SIZE.search(base_of(name))
    return int(found[1]) if found else None


def sizes_of(name: str, content: bytes) -> str:
    r"""Return ",S=…,W=…": the size as it is and with "\r\n" at each line's end.

    What Dovecot compressed or encrypted does not show its sizes, so its former name tells them.

    Args:
        name: The file's former name.
        content: As stored.
    """
    if content.startswith(_PACKED):
        return "".join(re.findall(r",[SW]=\d+", base_of(name)))
    bare = content.count(b"\n") - content.count(b"\r\n")
    return f",S={len(content)},W={len(content) + bare}"
