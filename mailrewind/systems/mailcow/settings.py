"""mailcow.conf, read as `docker compose` reads it: no shell is involved."""

import re
from collections.abc import Mapping
from pathlib import Path

from mailrewind.errors import ConfigurationInvalid, SourceMissing, SourceUnreadable

FILE_NAME = "mailcow.conf"

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_SINGLE = re.compile(r"'([^']*)'\s*(?:#.*)?")
_COMMENT = re.compile(r"(^|\s)#.*$")
_ESCAPE = re.compile(r"\\(.)")
_NAMED = {"n": "\n", "r": "\r", "t": "\t"}


def read_settings(directory: Path) -> Mapping[str, str]:
    """Read the settings of the mailcow in a directory.

    Raises:
        SourceMissing: No mailcow.conf lies there.
        SourceUnreadable: It may not be read: it holds the passwords of the databases.
        ConfigurationInvalid: A line of it is none.
    """
    path = directory / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceMissing(
            f"{directory} holds no {FILE_NAME}",
            advice="Write mailcow's own directory into `directory`, as /opt/mailcow-dockerized.",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SourceUnreadable(f"{path} cannot be read: {error}") from error
    return parse_settings(text, place=str(path))


def parse_settings(text: str, *, place: str = FILE_NAME) -> Mapping[str, str]:
    """Read lines of NAME=VALUE; of two with one name the later is right.

    A value may stand in single quotes, where all is as it is written, or in double quotes, where a
    backslash gives the next character; otherwise it ends before " #". References to other names
    are not followed: mailcow's own file has none.

    Args:
        text: The file's content.
        place: What errors call it.

    Raises:
        ConfigurationInvalid: A line is not of this form; its value is not shown.
    """
    settings: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        value = _value(match[2]) if match else None
        if match is None or value is None:
            raise ConfigurationInvalid(
                f"{place}:{number}: this line is no NAME=VALUE",
                advice="Mend the line: mailcow itself cannot read it either.",
            )
        settings[match[1]] = value
    return settings


def _value(text: str) -> str | None:
    """Return what is meant, None where a quote is not closed."""
    if text.startswith('"'):
        double = _DOUBLE.fullmatch(text)
        return _ESCAPE.sub(lambda m: _NAMED.get(m[1], m[1]), double[1]) if double else None
    if text.startswith("'"):
        single = _SINGLE.fullmatch(text)
        return single[1] if single else None
    return _COMMENT.sub("", text).rstrip()
