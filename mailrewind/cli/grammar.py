"""`mailrewind VERB OBJECT…`: global options anywhere, and an exit code for every error family."""

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mailrewind.cli import show
from mailrewind.cli.invocation import Invocation
from mailrewind.errors import ConfigurationInvalid, MailrewindError

_WHOLE_SENTENCE = 200  # click would cut it off where the line ends
STOPPED = 130  # as a shell reports a program that Ctrl-C ended


class Command(click.Command):
    """A command that takes the global options too, so that they may stand last."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options()


class Group(click.Group):
    """A verb with objects of its own."""

    command_class = Command
    group_class = type

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a working day, not of the alphabet."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, each with all of its sentence."""
        rows = [
            (name, command.get_short_help_str(limit=_WHOLE_SENTENCE))
            for name, command in self.commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Root(Group):
    """The whole command: turns an error into its message, its advice and its exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options()

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        invocation = ctx.ensure_object(Invocation)
        try:
            return super().invoke(ctx)
        except MailrewindError as error:
            tell(error, invocation)
            ctx.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):  # the latter while a question waits
            click.echo("Stopped.", err=True)
            ctx.exit(STOPPED)


def tell(error: MailrewindError, invocation: Invocation) -> None:
    """Print what happened and what to do next; the way there only if asked for."""
    if invocation.is_verbose:
        click.echo("".join(traceback.format_exception(error)), err=True)
    if invocation.as_json:
        invocation.print_json(
            {
                "error": type(error).__name__,
                "message": str(error),
                "advice": error.advice,
                "retryable": error.retryable,
                "exit_code": error.exit_code,
            }
        )
        return
    click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
    # Names of mailboxes and files stand in an error, which anybody may have chosen; only what is
    # wrong with the configuration takes several lines, and there the text is ours.
    lines = str(error).split("\n") if isinstance(error, ConfigurationInvalid) else [str(error)]
    for line in (*lines, error.advice):
        if line:
            click.echo(show.plain(line), err=True)


def global_options() -> list[click.Parameter]:
    """Return the options that every command takes."""
    return [
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path),
            expose_value=False,
            callback=_note("config_path"),
            help="The configuration file.",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_note("as_json"),
            help="Print JSON; docs/json.md describes its shapes.",
        ),
        click.Option(
            ["--verbose"],
            is_flag=True,
            expose_value=False,
            callback=_note("is_verbose"),
            help="Show the log, and the traceback of an error.",
        ),
    ]


def _note(attribute: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def note(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if not value:
            return
        setattr(ctx.ensure_object(Invocation), attribute, value)
        if attribute == "is_verbose":
            logging.getLogger("mailrewind").setLevel(logging.DEBUG)

    return note
