"""The pages of docs/ that follow from the code say what the code has."""

import inspect
from collections.abc import Iterator

import click
import pytest

from mailrewind import config, errors
from mailrewind.cli.app import cli
from tests.documentation import DOCS, undocumented
from tools import reference


@pytest.mark.parametrize("name", reference.PAGES)
def test_page_is_as_the_code_would_write_it(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert text == reference.renewed(name, text), "run `python -m tools.reference`"


def test_every_error_is_documented() -> None:
    families = {errors.MailrewindError, *errors.MailrewindError.__subclasses__()}
    families.remove(errors.NotificationFailed)  # a family of one
    raised = {
        kind.__name__
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.MailrewindError) and kind not in families
    }
    assert len(raised) > 40
    assert undocumented("errors.md", raised) == set()


def test_every_exit_code_is_documented() -> None:
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    codes = {family.exit_code for family in errors.MailrewindError.__subclasses__()}
    assert {code for code in codes if f"\n| {code} |" not in text} == set()


def test_every_configuration_key_is_documented() -> None:
    schema = config.schema()
    keys = {key for part in [schema, *schema["$defs"].values()] for key in part["properties"]}
    assert len(keys) > 40
    assert undocumented("configuration.md", keys) == set()


def test_every_command_and_option_is_documented() -> None:
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    commands = dict(_commands("mailrewind", cli))
    assert len(commands) > 20
    assert {path for path in commands if f"### {path}" not in text} == set()
    options = {
        option
        for command in commands.values()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    assert undocumented("commands.md", options) == set()


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, below in command.commands.items():
        yield from _commands(f"{path} {name}", below)
