"""What is wrong with a configuration file, said for the person who mends it."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from mailrewind.config import checks

Key = tuple[str | int, ...]

_TYPES: Mapping[str, str] = {
    "string_type": "a text; write a number, a date or yes/no in quotes",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list, one entry per line after a dash",
    "dict_type": "keys and values, indented below this key",
    "model_type": "keys and values, indented below this key",
    "model_attributes_type": "keys and values, indented below this key",
    "path_type": "a path",
    "missing": "this key; it is needed",
}
# Pydantic could not tell which kind of system is meant.
_OF_KINDS = frozenset({"union_tag_invalid", "union_tag_not_found"})
# Below these keys a value may be a secret that somebody wrote where its reference belongs.
_SECRETS = frozenset({"passphrase", "password", "api_key", "apprise", "state_url"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend.

    Attributes:
        line: Counted from 1.
        key: From the top of the file.
        text: What was expected; never the value of a secret.
    """

    line: int
    key: Key
    text: str

    def __str__(self) -> str:
        """Say it in one line, without the file."""
        dotted = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in self.key)
        return f"{dotted.removeprefix('.')}: {self.text}" if dotted else self.text


def from_pydantic(
    errors: Iterable[ErrorDetails], lines: Mapping[Key, int], model: type[BaseModel]
) -> list[Problem]:
    """Turn pydantic's errors into problems, without any value."""
    problems = [_problem(error, lines, model) for error in errors]
    return sorted(set(problems), key=lambda problem: (problem.line, str(problem)))


def _problem(error: ErrorDetails, lines: Mapping[Key, int], model: type[BaseModel]) -> Problem:
    key = _key_in_file(error, lines)
    if error["type"] in _OF_KINDS:
        key = (*key, "kind")
    line = next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), 1)
    if any(part in _SECRETS for part in key):
        return _secret_problem(line, key)
    return Problem(line, key, _text(error, key, model))


def _secret_problem(line: int, key: Key) -> Problem:
    depth = next(n for n, part in enumerate(key) if part in _SECRETS) + 1
    if key[depth - 1] == "apprise":
        if len(key) == depth:
            return Problem(line, key, f"expected a list; each entry {_REFERENCE}")
        depth += 1
    return Problem(line, key[:depth], f"expected {_REFERENCE}")


_REFERENCE = (
    "exactly one of `env: NAME`, `file: PATH`, `command: [PROGRAM, ARGUMENT, ...]`; "
    "never the secret itself"
)


def _key_in_file(error: ErrorDetails, lines: Mapping[Key, int]) -> Key:
    """Drop what pydantic puts between keys (the branch of a union), keep a missing last one."""
    key: Key = ()
    location = error["loc"]
    for depth, named in enumerate(location, start=1):
        # YAML reads a bare 12 or yes as a number or a boolean; the file's lines know it as text.
        part = named if (*key, named) in lines else str(named)
        is_new = depth == len(location) and error["type"] == "missing"
        if (*key, part) in lines or is_new:
            key = (*key, part)
    return key


def _text(error: ErrorDetails, key: Key, model: type[BaseModel]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return "unknown key" + _suggestion(str(key[-1]), _keys_beside(model, key, error["loc"]))
    if kind in _OF_KINDS:
        return f"expected {context.get('expected_tags', 'this key; it is needed')}"
    if kind == "value_error":
        return f"expected {context['error']}"
    if kind == "literal_error":
        return f"expected {context['expected']}"
    if kind == "string_pattern_mismatch":
        return f"expected {_PATTERNS[context['pattern']]}"
    if kind in ("too_short", "string_too_short"):
        return "expected at least one entry" if kind == "too_short" else "expected some text"
    if bounds := [f"{_BOUNDS[k]} {v}" for k, v in context.items() if k in _BOUNDS]:
        return f"expected a number {' and '.join(bounds)}"
    return f"expected {_TYPES.get(kind, error['msg'])}"


_PATTERNS = {
    checks.NAME: "a name of at most 41 small letters, digits and dashes",
    checks.PREFIX: "at most 41 letters, digits, dots, dashes and underscores",
}
_BOUNDS = {"ge": "not below", "le": "not above", "gt": "above", "lt": "below"}


def _suggestion(word: str, known: Sequence[str]) -> str:
    if near := difflib.get_close_matches(word, known, n=1):
        return f"; did you mean {near[0]}?"
    return f"; known here: {', '.join(known)}"


def _keys_beside(model: type[BaseModel], key: Key, location: Key) -> list[str]:
    """Return the keys that are known where ``key`` stands."""
    schema = model.model_json_schema()
    here: dict[str, Any] = schema
    for part in key[:-1]:
        here = _resolved(here, schema, location)
        named = here.get("patternProperties", {}).values()
        here = here.get("properties", {}).get(part) or next(iter(named), {})
    return list(_resolved(here, schema, location).get("properties", {}))


def _resolved(part: dict[str, Any], schema: dict[str, Any], location: Key) -> dict[str, Any]:
    """Follow a reference, also one that is a branch of a union.

    Args:
        part: Of the schema.
        schema: All of it.
        location: Pydantic's, which names the kind of a system before the system's keys.
    """
    kinds = part.get("discriminator", {}).get("mapping", {})
    chosen = [{"$ref": kinds[word]} for word in reversed(location[:-1]) if word in kinds]
    for branch in [part, *chosen, *part.get("anyOf", []), *part.get("oneOf", [])]:
        if "$ref" in branch:
            name = branch["$ref"].removeprefix("#/$defs/")
            found: dict[str, Any] = schema["$defs"][name]
            return found
    return part
