"""Which repository was seen at which location, so that another one, or none, is noticed there.

borg knows repositories by their id wherever they lie. It would take a new and empty repository on
an unmounted disk's mount point for just that: a new one.
"""

import hashlib
import os
from pathlib import Path


def known_id(base_dir: Path, location: str) -> str | None:
    """Return the id of the repository that was seen at a location, or None."""
    try:
        return _record(base_dir, location).read_text(encoding="utf-8").split()[0]
    except FileNotFoundError:
        return None


def remember(base_dir: Path, location: str, repository_id: str) -> None:
    """Note the id of the repository at a location."""
    record = _record(base_dir, location)
    record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = record.with_suffix(f".{os.getpid()}")
    fresh.write_text(f"{repository_id} {location}\n", encoding="utf-8", errors="surrogateescape")
    fresh.replace(record)


def forget(base_dir: Path, location: str) -> None:
    """Take whatever stands at a location next for new."""
    _record(base_dir, location).unlink(missing_ok=True)


def _record(base_dir: Path, location: str) -> Path:
    digest = hashlib.blake2b(os.fsencode(location), digest_size=8).hexdigest()
    return base_dir / "seen" / digest
