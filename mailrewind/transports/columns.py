"""Column types that bring back exactly what was put in, on SQLite and PostgreSQL alike."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Dialect, LargeBinary, Text
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)


def seconds(moment: datetime) -> int:
    """Return whole seconds since 1970, rounded down."""
    return (moment - _EPOCH) // _SECOND


def microseconds(moment: datetime) -> int:
    """Return microseconds since 1970; no float is involved, so nothing is lost."""
    return (moment - _EPOCH) // _MICROSECOND


def from_seconds(value: int) -> datetime:
    """Return the moment, UTC."""
    return _EPOCH + value * _SECOND


def from_microseconds(value: int) -> datetime:
    """Return the moment, UTC."""
    return _EPOCH + value * _MICROSECOND


def encode_exact(text: str | None) -> bytes | None:
    """Return bytes from which ``decode_exact`` makes the same text."""
    return None if text is None else text.encode("utf-8", "surrogatepass")


def decode_exact(data: bytes | None) -> str | None:
    """Undo ``encode_exact``."""
    return None if data is None else bytes(data).decode("utf-8", "surrogatepass")


class Instant(TypeDecorator[datetime]):
    """A moment to the microsecond, UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Store microseconds since 1970."""
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return an aware moment."""
        return None if value is None else from_microseconds(value)


class ExactText(TypeDecorator[str]):
    """Text that somebody else chose: a path, a folder, an address.

    File names that are not UTF-8 come as lone surrogates, which neither database takes as text,
    and PostgreSQL takes no NUL; as bytes all of them come back as they were.
    """

    impl = LargeBinary
    cache_ok = True

    # These two in place of process_bind_param and process_result_value: the drivers take and give
    # bytes as they are, and a listing has hundreds of thousands of them.

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], bytes | None]:
        """Store bytes."""
        return encode_exact

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[bytes | None], str | None]:
        """Return the same text."""
        return decode_exact


class ShownText(TypeDecorator[str]):
    """Text to be read and searched; what no database can hold is shown as a replacement mark."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Store text without NUL and lone surrogates."""
        if value is None or (value.isascii() and "\0" not in value):
            return value
        whole = value.encode("utf-8", "replace").decode() if _has_surrogates(value) else value
        return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")


class Hexadecimal(TypeDecorator[str]):
    """A digest in half the space."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Store bytes."""
        return None if value is None else bytes.fromhex(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """Return lower-case digits."""
        return None if value is None else value.hex()


def _has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
