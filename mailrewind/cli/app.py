"""All verbs, in the order of a working day."""

import logging
import signal
import sys
from importlib.metadata import version
from types import FrameType

import click

from mailrewind.cli.backup import backup
from mailrewind.cli.browse import folders, mailboxes, messages, points, systems
from mailrewind.cli.calendars import calendars, exports
from mailrewind.cli.configuration import config
from mailrewind.cli.doctor import doctor
from mailrewind.cli.grammar import Root
from mailrewind.cli.init import init
from mailrewind.cli.message import message
from mailrewind.cli.operations import replace, restores
from mailrewind.cli.repository import repository
from mailrewind.cli.restore import restore, undo
from mailrewind.cli.retain import retain
from mailrewind.cli.stack import deploy, down, up
from mailrewind.cli.status import status, watch


@click.group(cls=Root, context_settings={"max_content_width": 110})
@click.version_option(version("mailrewind"), prog_name="mailrewind")
def cli() -> None:
    """Hourly backups of mail servers, and any message, folder or mailbox back.

    Nothing is changed without --yes: before it, a command shows what it would do.
    """


for verb in (
    init,
    systems,
    backup,
    points,
    mailboxes,
    folders,
    messages,
    message,
    calendars,
    exports,
    restore,
    replace,
    undo,
    restores,
    retain,
):
    cli.add_command(verb)
for verb in (repository, status, watch, config, doctor, up, down, deploy):
    cli.add_command(verb)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` wants it
        signal.signal(signal.SIGHUP, _end)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # text streams
    cli()


def _end(number: int, frame: FrameType | None) -> None:
    """Leave through every `finally`, so that no borg and no lock stays behind."""
    sys.exit(128 + number)
