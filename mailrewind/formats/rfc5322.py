"""What the catalogue keeps of a message's content (RFC 5322, 2045, 2047, 2231).

Mail in the wild breaks every rule, so nothing here raises: what cannot be read is left out, and
what cannot be decoded is shown with replacement characters.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message as Fields
from email.parser import Parser
from email.policy import compat32
from email.utils import collapse_rfc2231_value, parsedate_to_datetime
from hashlib import blake2b

from mailrewind.formats.encoded_words import decode_value, one_line
from mailrewind.model.mail import Headers

_SUBJECT_CHARACTERS = 998
_NAME_CHARACTERS = 255
_HEADER_BYTES = 1024 * 1024
_VALUE_BYTES = 64 * 1024
_PARTS = 1000
_DEPTH = 30

_HEADER_END = re.compile(rb"\r?\n[ \t]*\r?\n|\A\r?\n")
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:(.*(?:\r?\n[ \t].*)*)", re.MULTILINE)
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")


def read_headers(content: bytes) -> Headers:
    """Read a raw message.

    Args:
        content: As stored, with any line ends.
    """
    fields = _fields(_head_and_body(content)[0])
    return Headers(
        subject=decode_value(_first(fields, b"subject"))[:_SUBJECT_CHARACTERS],
        sender=decode_value(_first(fields, b"from")),
        recipients=", ".join(
            text
            for name, value in fields
            if name in (b"to", b"cc") and (text := decode_value(value))
        ),
        message_id=_message_id(_first(fields, b"message-id")),
        sent=_sent(_first(fields, b"date")),
        attachments=tuple(_attachments(content)),
        digest=digest_of(content),
    )


def delivered_to(content: bytes) -> str:
    """Return the address of the mailbox that a message was last delivered to, or "".

    Each delivery puts its Delivered-To above those of the deliveries before it.
    """
    fields = _fields(_head_and_body(content)[0])
    return decode_value(_first(fields, b"delivered-to")).strip(" <>").lower()


def digest_of(content: bytes) -> str:
    """Digest a message so that only a change of line ends does not change it."""
    return blake2b(content.replace(b"\r\n", b"\n"), digest_size=16).hexdigest()


def _head_and_body(content: bytes) -> tuple[bytes, bytes]:
    end = _HEADER_END.search(content)
    if end is None:
        return content[:_HEADER_BYTES], b""
    return content[: min(end.start() + 1, _HEADER_BYTES)], content[end.end() :]


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    return [(match[1].lower(), match[2].strip()[:_VALUE_BYTES]) for match in _FIELD.finditer(head)]


def _first(fields: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    return next((value for field, value in fields if field == name and value), b"")


def _message_id(value: bytes) -> str:
    text = decode_value(value)
    if match := _MESSAGE_ID.search(text):
        return match[0]
    return f"<{text.strip('<> ')}>" if text.strip("<> ") else ""


def _sent(value: bytes) -> datetime | None:
    try:
        sent = parsedate_to_datetime(decode_value(value))
        return (sent if sent.tzinfo else sent.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError, ArithmeticError):
        return None


def _attachments(content: bytes) -> Iterator[str]:
    """Yield the decoded name of each part that has one, in their order."""
    pending = [(content, 0)]
    for _ in range(_PARTS):
        if not pending:
            return
        part, depth = pending.pop()
        head, body = _head_and_body(part)
        about = _content_fields(head)
        if name := _file_name(about):
            yield name
        if depth < _DEPTH:
            inner = [(piece, depth + 1) for piece in _pieces(about, body)]
            pending += reversed(inner[:_PARTS])


def _content_fields(head: bytes) -> Fields:
    lines = [
        name + b": " + value
        for name, value in _fields(head)
        if name in (b"content-type", b"content-disposition")
    ]
    # Latin-1 keeps each byte; the library would replace what is not ASCII.
    text = b"\n".join(lines).decode("latin-1")
    return Parser(policy=compat32).parsestr(text, headersonly=True)


def _pieces(about: Fields, body: bytes) -> list[bytes]:
    kind = about.get_content_type()
    if kind == "message/rfc822":
        return [body]
    boundary = _parameter(about, "boundary") if kind.startswith("multipart/") else ""
    if not boundary:
        return []
    mark = re.escape(boundary.encode("utf-8", "replace"))
    return re.split(rb"(?:\A|(?<=\n))--" + mark + rb"(?:--)?[ \t]*(?:\r?\n|\Z)", body)[1:]


def _file_name(about: Fields) -> str:
    name = _parameter(about, "filename", header="content-disposition")
    name = name or _parameter(about, "name")
    return one_line(name)[:_NAME_CHARACTERS]


def _parameter(about: Fields, name: str, *, header: str = "content-type") -> str:
    # The standard library knows RFC 2231's continuations and character sets, and trips over what
    # it did not foresee: an unknown character set, a number out of range, a lone quote.
    try:
        value = about.get_param(name, "", header)
        text = collapse_rfc2231_value(value) if value else ""
    except Exception:
        return ""
    return text if isinstance(value, tuple) else decode_value(text.encode("latin-1", "replace"))
