"""The page `docs/patterns.md`, made from the table: `python -m tests.patterns.page`."""

import os
from collections import Counter
from pathlib import Path

from tests.patterns.pattern import Pattern, Support
from tests.patterns.table import PATTERNS

PAGE = Path(__file__).parents[2] / "docs" / "patterns.md"
HEAD = """# Control-flow patterns

What the [workflow language](language.md) has of the 43 workflow control-flow patterns (N. Russell,
A. ter Hofstede, W. van der Aalst, N. Mulyar: *Workflow Control-Flow Patterns, A Revised View*,
2006): {yes} are supported, {partly} partly, {no} are not.

Each has a definition that shows it. `tests/e2e/test_patterns.py` runs it on a whole stack and holds
the order of the run's log against what is said here; where a pattern is not there the test holds
what happens instead. *Partly* means that something of the pattern's description is missing. This
page is made by `python -m tests.patterns.page` from the table that the test reads.

| # | Pattern | Supported | By, or why not |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    counts = Counter(pattern.support for pattern in PATTERNS)
    head = HEAD.format(**{support.value: counts[support] for support in Support})
    return head + "".join(map(row, PATTERNS))


def row(pattern: Pattern) -> str:
    """One pattern's line."""
    link = os.path.relpath(pattern.definition, PAGE.parent)
    by = f"{pattern.by[:1].upper()}{pattern.by[1:]}."
    said = " ".join(filter(None, (by if pattern.by else "", pattern.but)))
    return f"| {pattern.number} | [{pattern.name}]({link}) | {pattern.support} | {said} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
