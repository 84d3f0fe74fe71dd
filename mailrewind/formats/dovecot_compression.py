r"""What Dovecot's plugin zlib makes of a message before it is stored.

The plugin looks at a file's first bytes, not at its name (lib-compression, ``compression.c``). Its
own container for LZ4 (``iostream-lz4.h``): "Dovecot-LZ4\\r\\x2a\\x9b\\xc5", u32 most bytes of a
chunk, then for each chunk u32 length and one LZ4 block, big endian.
"""

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Iterator

import lz4.block  # type: ignore[import-untyped]  # it comes without types

from mailrewind.errors import FormatUnsupported, MessageDamaged

_LZ4 = b"Dovecot-LZ4\r\x2a\x9b\xc5"
_LZ4_CHUNK_BYTES = 64 * 1024  # Dovecot itself refuses more


def decompress(content: bytes) -> bytes:
    """Return a message's content, decompressed if it is compressed.

    What comes out is not looked at again: a message may itself be a compressed file.

    Raises:
        MessageDamaged: The compressed content does not hold together.
        FormatUnsupported: It is compressed with Zstandard.
    """
    for magic, read in _READERS:
        if magic.match(content):
            try:
                return read(content)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                raise MessageDamaged("a compressed message was changed or cut") from error
    return content


def _read_lz4(content: bytes) -> bytes:
    most = int.from_bytes(content[len(_LZ4) : len(_LZ4) + 4], "big")
    if len(content) < len(_LZ4) + 4 or not 0 < most <= _LZ4_CHUNK_BYTES:
        raise ValueError("no size of chunks")
    return b"".join(_read_chunks(content, most))


def _read_chunks(content: bytes, most: int) -> Iterator[bytes]:
    position = len(_LZ4) + 4
    while position < len(content):
        start = position + 4
        count = int.from_bytes(content[position:start], "big")
        position = start + count
        if not count or position > len(content):
            raise EOFError("a chunk is cut off")
        try:
            yield lz4.block.decompress(content[start:position], uncompressed_size=most)
        except lz4.block.LZ4BlockError as error:
            raise ValueError("a chunk is damaged") from error


def _refuse_zstd(_content: bytes) -> bytes:
    raise FormatUnsupported("a message is compressed with Zstandard")


_READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], bytes]], ...] = (
    (re.compile(re.escape(_LZ4)), _read_lz4),
    (re.compile(rb"\x1f\x8b"), gzip.decompress),
    (re.compile(rb"BZh[1-9]1AY&SY"), bz2.decompress),
    (re.compile(rb"\xfd7zXZ\0"), lzma.decompress),
    (re.compile(rb"\x28\xb5\x2f\xfd"), _refuse_zstd),
)
