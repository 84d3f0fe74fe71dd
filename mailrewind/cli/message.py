"""Read one message as it was delivered."""

import os
import sys
from pathlib import Path

import click

from mailrewind.cli import options, show
from mailrewind.cli.grammar import Command
from mailrewind.cli.invocation import Invocation
from mailrewind.errors import ConfigurationInvalid


@click.command(cls=Command)
@click.argument("system")
@click.argument("mailbox")
@click.argument("number", type=click.IntRange(min=1))
@options.at
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it there, mode 0600; without this it goes to the standard output.",
)
@click.pass_obj
def message(
    invocation: Invocation,
    system: str,
    mailbox: str,
    number: int,
    *,
    at: str,
    output: Path | None,
) -> None:
    """Write message NUMBER of MAILBOX as EML, decrypted; `messages` shows the numbers."""
    content = invocation.services.browse.message(system, mailbox, number, at)
    if output is None:
        sys.stdout.buffer.write(content)
        return
    _write(output, content)
    if invocation.as_json:
        invocation.print_json({"file": str(output.absolute()), "size_bytes": len(content)})
        return
    show.line(f"{show.size(len(content))} written to {output}")


def _write(path: Path, content: bytes) -> None:
    """Write a new file that only we can read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path} cannot be written: {error.strerror}.",
            advice="Name a file that does not exist yet.",
        ) from error
