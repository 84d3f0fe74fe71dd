"""When two states of calendars are the same to those who use them."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from mailrewind.formats.icalendar import summary
from mailrewind.formats.property_lists import Opaque
from mailrewind.formats.sogo import SogoExport, SogoFolder, SogoRecord

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s{}()=;,"]+')
_GRANT = re.compile(r'("(?:[^"\\]|\\.)*"|[^\s{}()=;,"]+)\s*=\s*\(([^()]*)\)')
_PLURALS = {
    "event": "events",
    "task": "tasks",
    "note": "notes",
    "contact": "contacts",
    "list": "lists",
    "": "other records",
}


def is_same(one: SogoFolder, other: SogoFolder) -> bool:
    """Whether two states of a folder are the same to its users."""
    return (
        one.display_name == other.display_name
        and shares(one.acl) == shares(other.acl)
        and contents(one) == contents(other)
    )


def has_other_shares(one: SogoFolder, other: SogoFolder) -> bool:
    """Whether two states of a folder are shared differently."""
    return shares(one.acl) != shares(other.acl)


def shared_with(folder: SogoFolder) -> tuple[str, ...]:
    """Return the users that a folder is shared with, sorted."""
    return tuple(user for user, _ in shares(folder.acl))


def has_same_preferences(one: SogoExport, other: SogoExport) -> bool:
    """Whether two exports hold the same preferences."""
    return _words(one.preferences or "") == _words(other.preferences or "")


def by_path(export: SogoExport) -> Mapping[str, SogoFolder]:
    """Return the folders of an export by their paths."""
    return {folder.path: folder for folder in export.folders}


def kinds(records: Iterable[SogoRecord]) -> Counter[str]:
    """Count records by "events", "tasks", "contacts", …."""
    return Counter(_PLURALS[summary(record.content).kind] for record in records)


def fingerprint(export: SogoExport, *, with_shares: bool) -> str:
    """Return 32 hexadecimal digits that stand for what folders hold."""
    state = [
        [
            folder.path,
            sorted(contents(folder).items()),
            [folder.display_name, shares(folder.acl)] if with_shares else [],
        ]
        for folder in sorted(export.folders, key=lambda folder: folder.path)
    ]
    seen = json.dumps(state, ensure_ascii=True)
    return hashlib.blake2b(seen.encode(), digest_size=16).hexdigest()


def fingerprint_of_preferences(export: SogoExport) -> str:
    """Return 32 hexadecimal digits that stand for a user's preferences."""
    seen = "\n".join(_words(export.preferences or ""))
    return hashlib.blake2b(seen.encode("utf-8", "replace"), digest_size=16).hexdigest()


def contents(folder: SogoFolder) -> dict[str, str]:
    """Return the contents of a folder's records by their names."""
    return {record.name: record.content for record in folder.records}


def shares(acl: Opaque) -> list[tuple[str, list[str]]]:
    """Return who may do what, in one order: SOGo gives a user's roles in any."""
    granted = [(_bare(user), sorted(_words(roles))) for user, roles in _GRANT.findall(acl)]
    return sorted((user, roles) for user, roles in granted if roles)


def _words(text: str) -> list[str]:
    return [_bare(word) for word in _WORD.findall(text)]


def _bare(word: str) -> str:
    return word.strip('"')
