"""A progress bar for what lasts: on standard error, and only where somebody looks at it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mailrewind.cli import show
from mailrewind.ports import Progress as Step
from mailrewind.ports import Report


@contextmanager
def bar() -> Iterator[Report | None]:
    """Give something to report progress to, or None where nobody looks."""
    console = Console(file=sys.stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        yield None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=None, amount="")

        def report(step: Step) -> None:
            progress.update(
                task,
                description=show.plain(step.text)[-60:],
                completed=step.done,
                total=step.total,
                amount=_amount(step),
            )

        yield report


def _amount(step: Step) -> str:
    if step.unit == "bytes":
        done, total = show.size(step.done), show.size(step.total or 0)
    else:
        done, total = f"{step.done:,}", f"{step.total or 0:,} {step.unit}"
    if step.total is None:
        return done if step.unit == "bytes" else f"{done} {step.unit}"
    return f"{done} of {total}"
