"""What a person who runs the demo reads."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from mailrewind.errors import MailrewindError
from tools.demo_stage import Stage
from tools.mail_witness import Seen


class Screen:
    """Steps with their time and outcome, the proof as a table, and where to look."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._console.width = max(self._console.width, 100)
        self._started = time.monotonic()

    @contextmanager
    def step(self, doing: str, outcome: str = "") -> Iterator[Callable[[str], None]]:
        """Show what is being done, and when it is done, its outcome and how long it took."""
        outcomes = [outcome]
        began = time.monotonic()
        with self._console.status(escape(doing)):
            yield outcomes.append
        took = time.monotonic() - began
        said = f"[dim]{escape(outcomes[-1])}[/]"
        line = f"[green]✓[/] {escape(doing)}  [cyan]{took:.1f} s[/]\n  {said}"
        self._console.print(line, soft_wrap=True)

    def proof(self, before: Counter[Seen], lost: Counter[Seen], back: Counter[Seen]) -> None:
        """Compare two looks at all mailboxes, property by property."""
        table = Table(title="What came back, looked at without mailrewind's code")
        table.add_column("equal to before the loss")
        table.add_column("lost", justify="right")
        table.add_column("back", justify="right")
        for name, property_of in _PROPERTIES.items():
            missing = _each(before, property_of) - _each(back, property_of)
            were_lost = lost.total()
            came = were_lost - missing.total()
            sign = "[green]✓[/]" if came == were_lost else "[red]✗[/]"
            table.add_row(f"{sign} {name}", f"{were_lost:,}", f"{came:,}")
        self._console.print(table)
        if back == before:
            self._console.print(
                f"[bold green]All {before.total():,} messages of all mailboxes are as they were:"
                " not one more, not one less.[/]"
            )

    def farewell(self, stage: Stage, story: Sequence[str], *, keep: bool) -> None:
        """Say what was shown, and where to look."""
        took = time.monotonic() - self._started
        lines = [
            *(escape(line) for line in story),
            "",
            f"Prefect's pages  [bold]{stage.address}[/]",
            f"Login            {escape(stage.login)}",
            f"Configuration    {escape(str(stage.configuration))}",
            "",
        ]
        if keep:
            lines += [
                "It is left running. Try the form of [bold]restore/mailbox[/], or in a shell:",
                f'  .venv/bin/mailrewind --config "{escape(str(stage.configuration))}" status',
                f'  .venv/bin/mailrewind --config "{escape(str(stage.configuration))}" down',
            ]
        else:
            lines.append("It is stopped. [bold]make demo KEEP=1[/] leaves it running.")
        self._console.print(Panel("\n".join(lines), title=f"mailrewind demo, {took:.0f} s"))

    def failure(self, error: Exception) -> None:
        """Say what went wrong and what to do."""
        self._console.print(f"[bold red]✗ {escape(str(error))}[/]")
        if isinstance(error, MailrewindError) and error.advice:
            self._console.print(escape(error.advice))


_PROPERTIES: dict[str, Callable[[Seen], object]] = {
    "content, by SHA-256": lambda seen: (seen.mailbox, seen.digest),
    "flags": lambda seen: (seen.mailbox, seen.digest, seen.flags),
    "keywords": lambda seen: (seen.mailbox, seen.digest, seen.keywords),
    "date (INTERNALDATE)": lambda seen: (seen.mailbox, seen.digest, seen.received),
    "folder": lambda seen: (seen.mailbox, seen.digest, seen.folder),
}


def _each(messages: Counter[Seen], property_of: Callable[[Seen], object]) -> Counter[object]:
    return Counter(property_of(seen) for seen in messages.elements())
