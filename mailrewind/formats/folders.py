r"""Maildir++ folder directories and the folder paths that they stand for.

Below a Maildir, the directory ".Projects.Entw&APw-rfe" is the folder "Projects/Entwürfe": "." is
the separator on disk, "/" in our paths, and each level is in modified UTF-7. The Maildir itself
is the INBOX.

Every directory name has exactly one path, and leads back from it to the same bytes:

* A dot within a level is "\2e" on disk, as Dovecot's plugin ``listescape`` writes it, and a plain
  dot in the path. Its other escapes stay as they are: a slash in a level, "\2f", could not be told
  from a separator.
* A level that cannot be shown (not modified UTF-7, a control character, a bare slash) is carried as
  "raw:" and its bytes, percent-encoded where they are not plain. So is a level that already
  begins with "raw:", and a directory ".INBOX", which would be taken for the INBOX.
"""

import unicodedata
from urllib.parse import quote, unquote_to_bytes

from mailrewind.formats import mutf7

INBOX = "INBOX"
RAW = "raw:"
_DOT = "\\2e"
# Printable ASCII but for "%", which starts an escape, and what separates levels here or there.
_PLAIN = " !\"#$&'()*+,-:;<=>?@[\\]^_`{|}~"


def folder_of(directory: str) -> str:
    """Return the folder path of a directory name below a Maildir; "" is the Maildir itself.

    Args:
        directory: Its name with the leading dot, undecodable bytes as surrogate escapes.
    """
    if not directory:
        return INBOX
    path = "/".join(_level_of(name) for name in directory[1:].split("."))
    return path if path.upper() != INBOX else f"{RAW}{path}"


def directory_of(folder: str) -> str:
    """Return the directory name of a folder path; the INBOX has "".

    Raises:
        ValueError: No directory can have this name.
    """
    if folder == INBOX:
        return ""
    directory = "".join(f".{_name_of(level)}" for level in folder.split("/"))
    if "/" in directory or "\0" in directory or directory in (".", ".."):
        raise ValueError(f"no directory can stand for the folder {folder!r}")
    return directory


def _level_of(name: str) -> str:
    try:
        level = mutf7.decode(name).replace(_DOT, ".")
    except ValueError:
        return _raw(name)
    return level if _is_shown(level) else _raw(name)


def _name_of(level: str) -> str:
    if level.startswith(RAW):
        return unquote_to_bytes(level.removeprefix(RAW)).decode("utf-8", "surrogateescape")
    return mutf7.encode(level.replace(".", _DOT))


def _raw(name: str) -> str:
    return RAW + quote(name.encode("utf-8", "surrogateescape"), safe=_PLAIN)


def _is_shown(level: str) -> bool:
    if level.startswith(RAW) or "/" in level:
        return False
    return not any(unicodedata.category(char) == "Cc" for char in level)
