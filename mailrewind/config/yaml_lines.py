"""YAML as plain data that remembers on which line each key stands."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mailrewind.config.problems import Key, Problem


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file.

    Attributes:
        data: Mappings, lists and scalars.
        lines: Line of each key and list entry, counted from 1, by its keys from the top.
    """

    data: Any
    lines: Mapping[Key, int]


def parse(text: str) -> Document | list[Problem]:
    """Parse one YAML document, or say why that cannot be done.

    A value is never part of a problem, because it may be a secret that stands in a wrong place.
    """
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return Document({}, {})
        if problems := list(_repeated_keys(root)):
            return problems
        data = loader.construct_document(root)
        return Document(data, dict(_lines(root)))
    except yaml.MarkedYAMLError as error:
        return [_syntax_problem(error)]
    except yaml.YAMLError:
        return [Problem(1, (), "expected UTF-8 text without control characters")]
    except (RecursionError, ValueError):  # ValueError: a date such as 2026-02-30
        return [Problem(1, (), "expected plain mappings, lists, texts and numbers")]


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = 1 if mark is None else mark.line + 1
    is_grammar = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
    if is_grammar and "alphabetic" not in str(error.problem):
        return Problem(line, (), f"expected YAML; {error.problem}")
    # An alias (as in the cron expression */5 * * * *) or a tag: their names are text of the file.
    return Problem(
        line, (), "expected plain YAML; write a text that begins with * & ! or % in quotes"
    )


def _repeated_keys(node: yaml.Node, path: Key = ()) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for name, mark, child in _children(node):
        if isinstance(node, yaml.MappingNode) and name in seen and name != "<<":
            yield Problem(mark, (*path, name), f"this key stands on line {seen[name]} already")
        seen.setdefault(str(name), mark)
        yield from _repeated_keys(child, (*path, name))


def _lines(node: yaml.Node, path: Key = ()) -> Iterator[tuple[Key, int]]:
    for name, line, child in _children(node):
        yield (*path, name), line
        yield from _lines(child, (*path, name))


def _children(node: yaml.Node) -> Iterator[tuple[str | int, int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield index, item.start_mark.line + 1, item
