"""What a single value must look like; each check raises ValueError with what was expected."""

import re
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from mailrewind.config.places import is_zone

NAME = r"^[a-z0-9][a-z0-9-]{0,40}$"
PREFIX = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$"
ENCRYPTIONS = (
    "repokey-blake2",
    "repokey",
    "keyfile-blake2",
    "keyfile",
    "authenticated-blake2",
    "authenticated",
    "none",
)
_LEVELS = {"none": range(0), "lz4": range(0), "zstd": range(1, 23)}
_LEVELS |= {"zlib": range(10), "lzma": range(10)}
_OBFUSCATIONS = {*range(1, 7), *range(110, 124), 250}
_PATTERN_STYLES = ("fm", "sh", "re", "pp", "pf")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ANY_YEAR = datetime(2024, 1, 1, tzinfo=UTC)  # a leap year, so that 29 February counts


def encryption(word: str) -> str:
    """Check one of borg's encryption modes."""
    if word not in ENCRYPTIONS:
        raise ValueError(f"one of {', '.join(ENCRYPTIONS)}; found {word!r}")
    return word


def compression(words: str) -> str:
    """Check a compression as `borg help compression` describes it."""
    if not _is_compression(words.split(",")):
        raise ValueError(
            "a compression of borg such as lz4, zstd,3, zlib,6, lzma,6, auto,zstd,8 or none; "
            f"found {words!r}"
        )
    return words


def _is_compression(words: list[str]) -> bool:
    match words:
        case ["obfuscate", spec, *rest]:
            return _is_number_in(spec, _OBFUSCATIONS) and _is_compression(rest)
        case ["auto", *rest]:
            return _is_algorithm(rest)
    return _is_algorithm(words)


def _is_algorithm(words: list[str]) -> bool:
    match words:
        case [name]:
            return name in _LEVELS
        case [name, level]:
            return name in _LEVELS and _is_number_in(level, _LEVELS[name])
    return False


def _is_number_in(text: str, numbers: range | set[int]) -> bool:
    return text.isascii() and text.isdigit() and int(text) in numbers


def cron(expression: str) -> str:
    """Check a cron expression of five fields that comes round at least once in 50 years."""
    expectation = f'five cron fields such as "14 * * * *"; found {expression!r}'
    try:
        if len(expression.split()) != 5:
            raise ValueError(expectation)
        next(CronSim(expression, _ANY_YEAR))
    except CronSimError as error:
        raise ValueError(f"{expectation}, {error}") from None
    except StopIteration:
        raise ValueError(f"{expectation}, which never comes") from None
    return expression


def time_zone(name: str) -> str:
    """Check the IANA name of a time zone."""
    if not is_zone(name):
        raise ValueError(f"the IANA name of a time zone such as Europe/Berlin; found {name!r}")
    return name


def mailbox_template(template: str) -> str:
    """Check a path template: absolute, and every address leads to a path of its own."""
    segments = template.rstrip("/").split("/")[1:]
    names = sorted(_PLACEHOLDER.findall(template))
    is_path = template.startswith("/") and not {"", ".", ".."} & set(segments)
    # The fixed directory at the top is what gets archived.
    has_top = is_path and not _PLACEHOLDER.search("".join(segments[:1]))
    is_plain = template.isprintable() and not set("{}") & set(_PLACEHOLDER.sub("", template))
    if not (has_top and is_plain and names in (["address"], ["domain", "local"])):
        raise ValueError(
            "an absolute path with {domain} and {local}, or with {address}, once each, below a "
            f"directory, such as /var/vmail/{{domain}}/{{local}}/Maildir; found {template!r}"
        )
    return template


def borg_pattern(pattern: str) -> str:
    """Check an exclude pattern as `borg help patterns` describes it."""
    style, colon, rest = pattern.partition(":")
    if not pattern or (colon and len(style) == 2 and style not in _PATTERN_STYLES):
        raise ValueError(
            f"a borg pattern with one of the styles {', '.join(_PATTERN_STYLES)}; found {pattern!r}"
        )
    if colon and style == "re":
        try:
            re.compile(rest)
        except re.error as error:
            raise ValueError(f"a regular expression; found {pattern!r}, {error}") from None
    return pattern


def address(text: str) -> str:
    """Check a plain e-mail address."""
    local, _, domain = text.rpartition("@")
    if not (local and domain) or any(not c.isprintable() or c in ' <>,;"' for c in text):
        raise ValueError(f"an e-mail address such as ops@example.org; found {text!r}")
    return text
