"""What all documents have in common: kind and version around them, and the values in them."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from mailrewind.errors import RecordsOutdated, RecordsUnreadable
from mailrewind.model.reports import Finding

VERSION = 1

Fields = dict[str, Any]

_Value = TypeVar("_Value")
_From = TypeVar("_From")
_To = TypeVar("_To")


def write_document(kind: str, content: Fields) -> str:
    """Return a document of a kind."""
    # ASCII only: escapes carry what neither database takes as text.
    return json.dumps({"kind": kind, "version": VERSION, **content}, separators=(",", ":"))


def read_document(kind: str, text: str, convert: Callable[[Fields], _Value]) -> _Value:
    """Return what a document of a kind says.

    Raises:
        RecordsOutdated: A newer version wrote it.
        RecordsUnreadable: It is not such a document.
    """
    try:
        document = json.loads(text)
        version = int(document["version"])
        if version > VERSION:
            raise RecordsOutdated(f"a {kind} is in version {version} of its format, not {VERSION}")
        if document["kind"] != kind:
            raise RecordsUnreadable(f"found a stored {document['kind']}, wanted a stored {kind}")
        return convert(document)
    except (ValueError, KeyError, TypeError) as error:
        raise RecordsUnreadable(f"a stored {kind} is damaged: {error!r}") from error


def finding(of: Finding) -> Fields:
    """Write a finding."""
    return {"subject": of.subject, "text": of.text}


def to_finding(fields: Fields) -> Finding:
    """Read a finding."""
    return Finding(fields["subject"], fields["text"])


def to_moment(text: str) -> datetime:
    """Read a moment."""
    return datetime.fromisoformat(text)


def or_none(convert: Callable[[_From], _To], value: _From | None) -> _To | None:
    """Convert a value that may be None."""
    return None if value is None else convert(value)
