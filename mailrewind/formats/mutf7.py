"""Modified UTF-7, in which IMAP and Maildir++ write folder names (RFC 3501, section 5.1.3)."""

import re
from base64 import b64decode, b64encode

_SHIFTED = re.compile("([^\x20-\x7e]+)")
_RUN = re.compile("&([^-]*)(-?)")


def encode(text: str) -> str:
    """Write text in modified UTF-7; printable ASCII stays as it is, but "&" becomes "&-".

    Raises:
        ValueError: The text holds half of a surrogate pair.
    """
    pieces = _SHIFTED.split(text)
    pieces[::2] = [piece.replace("&", "&-") for piece in pieces[::2]]
    pieces[1::2] = [_shift(piece) for piece in pieces[1::2]]
    return "".join(pieces)


def decode(name: str) -> str:
    """Read modified UTF-7, in its canonical form only.

    Raises:
        ValueError: This is not how ``encode`` writes any text.
    """
    text = _RUN.sub(_unshift, name)
    if encode(text) != name:
        raise ValueError(f"not modified UTF-7: {name!r}")
    return text


def _shift(text: str) -> str:
    return f"&{b64encode(text.encode('utf-16-be'), b'+,').decode().rstrip('=')}-"


def _unshift(run: re.Match[str]) -> str:
    if not run[1]:
        return "&"
    padded = run[1].encode("ascii") + b"=" * (-len(run[1]) % 4)
    return b64decode(padded, b"+,").decode("utf-16-be")
