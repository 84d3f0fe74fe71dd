"""What people see of an event, a task or a contact (RFC 5545, RFC 6350, vCard 2.1).

Nothing here raises: what cannot be read is left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from quopri import decodestring

_FOLD = re.compile(r"\r?\n[ \t]")
_LINE = re.compile(r'(?:[\w-]+\.)?([\w-]+)((?:;[^":;]*+(?:"[^"]*+"[^":;]*+)*+)*+):(.*)')
_QUOTED_PRINTABLE = re.compile(r"[^:]*QUOTED-PRINTABLE", re.IGNORECASE)
_TEXT = re.compile(r"\\(.)", re.DOTALL)
_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)?(Z)?)?")
_ZONE = re.compile(r';TZID="?([^";:]+)', re.IGNORECASE)
_CHARSET = re.compile(r";CHARSET=([\w-]+)", re.IGNORECASE)
_KINDS = {
    "VEVENT": "event",
    "VTODO": "task",
    "VJOURNAL": "note",
    "VCARD": "contact",
    "VLIST": "list",
}
_TITLE_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Summary:
    """What people see of a record.

    Attributes:
        kind: "event", "task", "note", "contact" or "list"; "" for anything else.
        title: Its summary or its name, on one line; may be "".
        start: When it begins, as it was written: "2026-11-12", "2026-11-12 13:00 UTC" or
            "2026-11-12 13:00 Europe/Athens"; "" without a beginning.
    """

    kind: str = ""
    title: str = ""
    start: str = ""


def summary(content: str) -> Summary:
    """Read what people see of the first event, task or contact of a text."""
    kind, title, start, inside = "", "", "", [""]
    for name, parameters, value in _properties(content):
        component = value.strip().upper()
        if name == "BEGIN":
            inside.append(component)
            kind = kind or _KINDS.get(component, "")
        elif name == "END":
            if _KINDS.get(component):
                break
            inside = inside[:-1] or [""]
        elif inside[-1] not in _KINDS:
            continue  # time zones have a beginning, and alarms a summary, of their own
        elif name in ("SUMMARY", "FN"):
            title = title or _title(parameters, value)
        elif name == "DTSTART":
            start = start or _start(parameters, value)
    return Summary(kind, title, start)


def _properties(content: str) -> Iterator[tuple[str, str, str]]:
    for line in _lines(content):
        if match := _LINE.match(line):
            yield match[1].upper(), match[2], match[3]


def _lines(content: str) -> Iterator[str]:
    """Yield lines unfolded; vCard 2.1 folds what is quoted-printable in a way of its own."""
    lines = iter(re.split(r"\r?\n", _FOLD.sub("", content)))
    for line in lines:
        whole = line
        if _QUOTED_PRINTABLE.match(line):
            while whole.endswith("="):
                whole = whole[:-1] + next(lines, "")
        yield whole


def _title(parameters: str, value: str) -> str:
    if "QUOTED-PRINTABLE" in parameters.upper():
        value = _decoded(decodestring(value.encode("utf-8", "replace")), parameters)
    text = _TEXT.sub(lambda match: " " if match[1] in "nN" else match[1], value)
    return " ".join(text.split())[:_TITLE_CHARACTERS]


def _decoded(raw: bytes, parameters: str) -> str:
    charset = match[1] if (match := _CHARSET.search(parameters)) else "utf-8"
    try:
        return raw.decode(charset, "replace")
    except LookupError:
        return raw.decode("utf-8", "replace")


def _start(parameters: str, value: str) -> str:
    match = _MOMENT.fullmatch(value.strip())
    if match is None:
        return ""
    year, month, day, hour, minute, _, utc = match.groups()
    zone = match[1] if (match := _ZONE.search(parameters)) else ""
    time = f" {hour}:{minute}" if hour else ""
    place = " UTC" if utc else f" {zone}" if zone and time else ""
    return f"{year}-{month}-{day}{time}{place}"
