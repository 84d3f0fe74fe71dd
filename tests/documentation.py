"""Whether docs/ says what the product has; each page's test is one line."""

import re
from collections.abc import Iterable
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def undocumented(page: str, words: Iterable[str]) -> set[str]:
    """Return those words that a page does not have as `code`, alone or with more behind them."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return {word for word in words if not re.search(rf"`{re.escape(word)}[` ]", text)}
