"""Sizes and numbers as a person reads them, in messages, forms, pages and on the terminal alike."""

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def size(size_bytes: int) -> str:
    """Say a size, such as "1.4 MiB" or "1 byte"."""
    if size_bytes < 1024:
        return count(size_bytes, "byte")
    steps = min((size_bytes.bit_length() - 1) // 10, len(_UNITS))
    return f"{size_bytes / 1024**steps:,.1f} {_UNITS[steps - 1]}"


def count(number: int, noun: str, plural: str = "") -> str:
    """Say how many, such as "1 message" or "1,204 messages"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
