"""Write the parts of docs/ that follow from the code: `python -m tools.reference`.

A page keeps everything outside of its two marks; what stands between them is written anew. A test
compares the pages with what this would write.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from mailrewind import config, errors
from mailrewind.cli.app import cli

BEGIN = "<!-- written by `python -m tools.reference` -->"
END = "<!-- until here -->"
DOCS = Path(__file__).parent.parent / "docs"


def main() -> int:
    """Write every page anew."""
    for name in PAGES:
        page = DOCS / name
        page.write_text(renewed(name, page.read_text()))
    return 0


def renewed(name: str, text: str) -> str:
    """Return a page's text with what is between the marks written anew."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"docs/{name} lacks its two marks")
    written = "\n".join(PAGES[name]()).strip()
    return f"{before}{BEGIN}\n\n{written}\n\n{END}{after}"


def error_page() -> Iterator[str]:
    """Yield a table for each family of errors."""
    families = [errors.MailrewindError.__subclasses__()]
    for family in families[0]:
        members = family.__subclasses__() or [family]
        yield f"\n### {family.__name__}: exit code {family.exit_code}\n"
        yield f"{_first_line(family)}\n"
        yield "| error | what has happened | what to do | does waiting help? |"
        yield "|---|---|---|---|"
        for error in members:
            advice = error.default_advice or "The message says what; see the log of the run."
            waiting = "yes, it is tried again" if error.retryable else "no"
            yield f"| `{error.__name__}` | {_first_line(error)} | {advice} | {waiting} |"


def configuration_page() -> Iterator[str]:
    """Yield a table for each part of the configuration."""
    schema = config.schema()
    yield from _part("mailrewind.yaml", schema, schema["$defs"])
    for name, part in schema["$defs"].items():
        yield from _part(name, part, schema["$defs"])


def command_page() -> Iterator[str]:
    """Yield the help of every command."""
    yield from _commands("mailrewind", cli)


PAGES: Mapping[str, Callable[[], Iterator[str]]] = {
    "commands.md": command_page,
    "configuration.md": configuration_page,
    "errors.md": error_page,
}


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def _part(name: str, part: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n### {name}\n"
    yield f"{str(part.get('description', '')).partition(chr(10))[0]}\n"
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    needed = part.get("required", [])
    for key, value in part["properties"].items():
        default = "**needed**" if key in needed else _default(value)
        yield f"| `{key}` | {_value(value, parts)} | {default} | {value.get('description', '')} |"


def _default(value: Mapping[str, Any]) -> str:
    if "default" not in value or value["default"] is None:
        return ""
    default = value["default"]
    words = {True: "true", False: "false"}.get(default) if isinstance(default, bool) else None
    return f"`{words or default}`" if default != [] else "none"


def _value(value: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    branches = value.get("anyOf") or value.get("oneOf") or value.get("allOf")
    if branches:
        said = [_value(branch, parts) for branch in branches if branch.get("type") != "null"]
        return " or ".join(said)
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in value or "const" in value:
        return ", ".join(f"`{word}`" for word in value.get("enum", [value.get("const")]))
    if value.get("type") == "array":
        return f"list of {_value(value['items'], parts)}"
    if value.get("type") == "object":
        (inner,) = value.get("patternProperties", {"": {}}).values()
        return f"names, each with {_value(inner, parts)}"
    if value.get("type") == "integer":
        low, high = value.get("minimum"), value.get("maximum")
        return f"number from {low}" + (f" to {high}" if high is not None else "")
    kinds = {"string": "text", "boolean": "`true` or `false`"}
    return "path" if value.get("format") == "path" else kinds[value["type"]]


def _commands(path: str, command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _commands(f"{path} {name}", below)
        return
    context = click.Context(command, info_name=path)
    arguments = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
    yield f"\n### {' '.join([path, *arguments])}\n"
    yield inspect.cleandoc(command.help or "")
    shared = {parameter.name for parameter in cli.params}
    options = [
        parameter.get_help_record(context)
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.name not in shared
    ]
    if options:
        yield "\n| option | meaning |\n|---|---|"
    for names, text in filter(None, options):
        yield f"| `{names.replace('|', chr(92) + '|')}` | {' '.join(text.split())} |"


if __name__ == "__main__":
    sys.exit(main())
