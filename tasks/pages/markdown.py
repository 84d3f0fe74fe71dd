"""The few pieces of Markdown that pages are made of."""

from collections.abc import Sequence

from mailrewind.model.reports import Finding

# A page beyond this is read by nobody, and Prefect stores every version of it.
MOST_ROWS = 200

_MARKUP = frozenset("\\`*_{}[]()<>#+!|~&$")

Row = tuple[str, ...]


def page(*parts: str) -> str:
    """Put a page together of its parts; empty ones are left out."""
    return "\n\n".join(part for part in parts if part)


def literal(text: str) -> str:
    """Make text of unknown origin stand as it is: no markup, no line ends."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return "".join(f"\\{sign}" if sign in _MARKUP else sign for sign in printable)


def facts(rows: Sequence[Row]) -> str:
    """Draw names and values; the cells are Markdown already."""
    return table(rows, head=("", ""))


def table(rows: Sequence[Row], *, head: Row) -> str:
    """Draw a table of cells that are Markdown already, or nothing when there are no rows."""
    if not rows:
        return ""
    lines = [head, tuple("---" for _ in head), *rows[:MOST_ROWS]]
    drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    rest = len(rows) - MOST_ROWS
    return drawn if rest <= 0 else f"{drawn}\n\n… and {rest:,} more."


def findings(title: str, found: Sequence[Finding]) -> str:
    """Draw a chapter of findings, or nothing when there are none."""
    rows = [(literal(finding.subject), literal(finding.text)) for finding in found]
    return page(f"## {title}", table(rows, head=("What", "Finding"))) if rows else ""
