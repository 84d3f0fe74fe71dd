"""Header values as people read them (RFC 2047), from bytes that keep no rule."""

import codecs
import re
import unicodedata
from base64 import b64decode
from itertools import groupby
from quopri import decodestring

_WORD = re.compile(rb"=\?([^?*\s]+)(?:\*[^?]*)?\?([bBqQ])\?([^?]*)\?=")
_GAP = re.compile(rb"(\?=)\s+(?==\?[^?\s]+\?[bBqQ]\?)")
_ESCAPED = re.compile(rb"\x1b\$[@B]")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
# Codecs of Python that are no character set of mail; punycode takes quadratic time besides.
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SPACE = re.compile(r"\s+")


def decode_value(value: bytes) -> str:
    """Decode a header's value to one line without control characters."""
    pieces = _WORD.split(_GAP.sub(rb"\1", value))
    text = [_plain(pieces[0])]
    words = zip(*(pieces[start::4] for start in (1, 2, 3, 4)), strict=True)
    run: list[tuple[bytes, bytes]] = []
    for charset, encoding, coded, after in words:
        run.append((charset.lower(), _uncoded(encoding, coded)))
        if after:
            text += [_joined(run), _plain(after)]
            run = []
    return one_line("".join([*text, _joined(run)]))


def one_line(text: str) -> str:
    """Return text in one line: no control, no direction characters, no halves of surrogates."""
    text = _SPACE.sub(" ", text).strip()
    text = "".join(c for c in text if unicodedata.category(c) != "Cc" and c not in _BIDI)
    return text.encode("utf-8", "replace").decode()


def _joined(run: list[tuple[bytes, bytes]]) -> str:
    """Decode neighbouring words together: senders cut them within a character."""
    return "".join(
        _decoded(charset, b"".join(content for _, content in words))
        for charset, words in groupby(run, key=lambda word: word[0])
    )


def _uncoded(encoding: bytes, coded: bytes) -> bytes:
    if encoding in b"qQ":
        return decodestring(coded, header=True)
    digits = _NOT_BASE64.sub(b"", coded)
    digits = digits[: len(digits) - 1] if len(digits) % 4 == 1 else digits
    return b64decode(digits + b"=" * (-len(digits) % 4))


def _decoded(charset: bytes, content: bytes) -> str:
    try:
        codec = codecs.lookup(charset.decode("ascii"))
        if codec.name in _NO_CHARSETS:
            return _plain(content)
        return content.decode(codec.name, "replace")
    except (LookupError, ValueError):
        return _plain(content)


def _plain(content: bytes) -> str:
    """Decode what should be ASCII: UTF-8 or Japanese escapes by their looks, else Western."""
    if _ESCAPED.search(content):
        return content.decode("iso2022_jp_2", "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
