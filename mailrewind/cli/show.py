"""Sizes, ages, moments and tables as the operator reads them."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mailrewind.model.words import count as count
from mailrewind.model.words import size as size

_AGES = ((86_400, "day"), (3_600, "hour"), (60, "minute"))
_WIDE = 10_000  # a pipe has no width: nothing is cut off


def moment(at: datetime, zone: tzinfo) -> str:
    """Say a moment with its zone, such as "2026-11-20 13:14 EET"."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def length(span: timedelta) -> str:
    """Say a length of time in its largest unit, such as "42 minutes"."""
    seconds = int(abs(span.total_seconds()))
    for unit_seconds, unit in _AGES:
        if seconds >= unit_seconds:
            return count(seconds // unit_seconds, unit)
    return count(seconds, "second")


def age(at: datetime, now: datetime) -> str:
    """Say how long ago a moment was, or when it will be, such as "42 minutes ago"."""
    span = now - at
    if abs(span) < timedelta(seconds=1):
        return "now"
    return f"{length(span)} ago" if span > timedelta(0) else f"in {length(span)}"


def plain(text: str) -> str:
    """Make text of unknown origin safe for a terminal: what is not printable shows as escapes."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> None:
    """Print a table on standard output.

    Args:
        head: Titles of the columns.
        rows: Cells, as plain text. Those of the first column stand on one line each if they leave
            the others half of the width: names are copied from there.
        right: Numbers of the columns that hold figures.
    """
    console = out()
    cells = [[plain(cell) for cell in row] for row in rows]
    width = max((len(row[0]) for row in cells), default=0)
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    figures = set(right)
    for number, title in enumerate(head):
        drawn.add_column(
            title,
            justify="right" if number in figures else "left",
            overflow="fold",
            no_wrap=number == 0 and max(width, len(title)) <= console.width // 2,
        )
    for row in cells:
        drawn.add_row(*map(Text, row))
    console.print(drawn)


def facts(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one below the other."""
    drawn = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in rows:
        drawn.add_row(name, Text(plain(value)))
    out().print(drawn)


def line(text: str = "") -> None:
    """Print one line on standard output."""
    click.echo(plain(text))


def out() -> Console:
    """Return standard output; text is never read as markup."""
    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    return console if console.is_terminal else _as_wide_as_needed()


def _as_wide_as_needed() -> Console:
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=_WIDE)
