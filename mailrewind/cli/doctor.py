"""Say what is there and what is lacking, before a backup or a restore finds out."""

import click

from mailrewind.cli import show
from mailrewind.cli.examination import examine
from mailrewind.cli.grammar import Command
from mailrewind.cli.invocation import Invocation


@click.command(cls=Command)
@click.pass_obj
def doctor(invocation: Invocation) -> None:
    """Say what is there and what is lacking."""
    examined = list(examine(invocation))
    if invocation.as_json:
        invocation.print_json(
            [
                {
                    "name": each.name,
                    "is_good": each.is_good,
                    "text": each.text,
                    "advice": each.advice,
                    "exit_code": each.exit_code,
                }
                for each in examined
            ]
        )
    else:
        show.table(
            ("", "What", "Found"),
            [
                ("ok" if each.is_good else "!!", each.name, f"{each.text} {each.advice}".strip())
                for each in examined
            ],
        )
    bad = [each.exit_code for each in examined if each.exit_code]
    click.get_current_context().exit(bad[0] if bad else 0)
