"""What borg writes to standard output, read as it comes: listings and tar streams."""

import codecs
import tarfile
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO

from mailrewind.ports import ArchivedFile

# borg replaces bytes that are not UTF-8 by question marks on its way out, whatever is asked of it;
# UTF-7 is the one encoding in which such a byte (a surrogate, PEP 383) leaves it as it is.
LISTING_ENCODING = "utf-7"
_CHUNK = 65536


def listed_files(output: BinaryIO) -> Iterator[tuple[ArchivedFile, str]]:
    """Yield each item of a listing, and the path of the hard link's first name, or "".

    Further names of a file have no size of their own in an archive: theirs is 0 here.
    """
    fields = _fields(output)
    for head in fields:
        mode, size, modified, path = head.split(" ", 3)
        source = next(fields)
        is_link = mode.startswith("h")
        kind = "-" if is_link else mode[0]
        moment = datetime.fromisoformat(f"{modified}+00:00")
        size_bytes = int(size) if kind == "-" else 0
        yield ArchivedFile(path, kind, size_bytes, moment), source if is_link else ""


def as_source(path: str) -> str:
    """Return a path as a listing shows it behind a link: there borg has no bytes beyond UTF-8."""
    return path.encode(errors="replace").decode()


def exported_files(output: BinaryIO) -> Iterator[tuple[str, bytes | None, str]]:
    """Yield (path, content, "") of regular files, and (path, None, first name) of hard links."""
    with tarfile.open(fileobj=output, mode="r|", encoding="utf-8") as archive:
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # else it remembers every one
            if member.islnk():
                yield member.name, None, member.linkname
            elif member.isfile() and (content := archive.extractfile(member)):
                yield member.name, content.read(), ""


def _fields(output: BinaryIO) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(LISTING_ENCODING)()
    rest = ""
    while chunk := output.read(_CHUNK):
        *whole, rest = (rest + decoder.decode(chunk)).split("\0")
        yield from whole
    if rest + decoder.decode(b"", final=True):
        raise ValueError("the listing ends within an item")
