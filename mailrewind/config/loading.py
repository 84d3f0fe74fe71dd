"""Find the configuration file, read it, and say everything that is wrong with it at once."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mailrewind.config.models import Config
from mailrewind.config.places import default_data_dir
from mailrewind.config.problems import Key, Problem, from_pydantic
from mailrewind.config.yaml_lines import Document, parse
from mailrewind.errors import ConfigurationInvalid, ConfigurationMissing

VARIABLE = "MAILREWIND_CONFIG"
PLACES = (Path("mailrewind.yaml"), Path("/etc/mailrewind/mailrewind.yaml"))


def find(path: Path | None = None) -> Path:
    """Return the absolute path of the configuration file.

    Args:
        path: As given with --config; else MAILREWIND_CONFIG, ./mailrewind.yaml and
            /etc/mailrewind/mailrewind.yaml are looked at.

    Raises:
        ConfigurationMissing: None of them is there.
    """
    named = path or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    places = PLACES if named is None else (named,)
    for place in places:
        if place.is_file():
            return place.absolute()
    raise ConfigurationMissing(
        f"There is no configuration file at {' or '.join(str(place) for place in places)}."
    )


def load(path: Path | None = None) -> Config:
    """Read and validate the configuration.

    Raises:
        ConfigurationMissing: No file was found.
        ConfigurationInvalid: The file cannot be read or does not say something usable; the
            message has one line per problem: file, line, key and what was expected.
    """
    place = find(path)
    try:
        text = place.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationInvalid(
            f"{place}: cannot be read: {error.strerror}.",
            advice="Check its permissions, and run mailrewind as the user that owns it.",
        ) from error
    except UnicodeDecodeError:
        raise ConfigurationInvalid(f"{place}: expected UTF-8 text.") from None
    document = parse(text)
    if not isinstance(document, Document):
        raise _invalid(place, document)
    return _validated(document, place)


def schema() -> dict[str, Any]:
    """Return the JSON schema of the file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(),
        "title": "mailrewind.yaml",
    }


def _validated(document: Document, place: Path) -> Config:
    if not isinstance(document.data, dict):
        raise _invalid(place, [Problem(1, (), "expected keys such as repositories and systems")])
    problems = _cross_problems(document)
    values = {"data_dir": default_data_dir(place.parent)} | document.data
    try:
        # Keys of the file must not reach `path`: a mapping with it is refused below.
        config = Config.model_validate(values | {"path": place}, context={"folder": place.parent})
    except ValidationError as error:
        problems += from_pydantic(error.errors(), document.lines, Config)
    if problems:
        # Not `from error`: a traceback would show pydantic's words and values, or YAML's.
        raise _invalid(place, sorted(set(problems), key=lambda p: (p.line, str(p)))) from None
    return config


def _invalid(place: Path, problems: list[Problem]) -> ConfigurationInvalid:
    return ConfigurationInvalid("\n".join(f"{place}:{p.line}: {p}" for p in problems))


def _cross_problems(document: Document) -> list[Problem]:
    """Find what is wrong between keys; works on values that may be wrong themselves."""
    data, lines = document.data, document.lines
    problems = list(_repository_problems(data, lines))
    if "path" in data:
        problems.append(Problem(lines[("path",)], ("path",), "unknown key"))
    return problems


def _repository_problems(data: Mapping[str, Any], lines: Mapping[Key, int]) -> Iterator[Problem]:
    repositories = _mapping(data.get("repositories"))
    users: defaultdict[str, list[str]] = defaultdict(list)
    for name, system in _mapping(data.get("systems")).items():
        wanted = _mapping(system).get("repository")
        if not isinstance(wanted, str):
            continue
        key: Key = ("systems", str(name), "repository")
        if wanted not in repositories:
            known = ", ".join(str(known) for known in repositories) or "none"
            yield Problem(
                lines.get(key, 1), key, f"expected the name of a repository; configured: {known}"
            )
        elif users[wanted]:
            yield Problem(
                lines.get(key, 1),
                key,
                f"expected a repository of its own; {wanted} is that of {users[wanted][0]} already"
                " (a shared one makes each wait for the other's lock)",
            )
        users[wanted].append(str(name))
    yield from _shared_locations(repositories, lines)


def _shared_locations(
    repositories: Mapping[str, Any], lines: Mapping[Key, int]
) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name, repository in repositories.items():
        location = _mapping(repository).get("location")
        if not isinstance(location, str):
            continue
        same = first.setdefault(location.rstrip("/"), str(name))
        if same != name:
            key: Key = ("repositories", str(name), "location")
            yield Problem(
                lines.get(key, 1), key, f"expected a location of its own; {same} lies there already"
            )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
