"""One of the 43 workflow control-flow patterns, and what Penstock makes of it."""

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from tests.patterns.story import Refusal, Story

DEFINITIONS = Path(__file__).parent / "definitions"


class Support(StrEnum):
    """Whether the language has a pattern."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"


class Pattern(NamedTuple):
    """A pattern by its number and name in Russell, ter Hofstede, van der Aalst, Mulyar (2006).

    by: the constructs, in Markdown. but: what is missing and why, nothing where all is there.
    shown: what happens to its definition. parts: the names of further definitions that it runs.
    """

    number: int
    name: str
    support: Support
    by: str
    shown: tuple[Story | Refusal, ...]
    but: str = ""
    parts: tuple[str, ...] = ()

    @property
    def definition(self) -> Path:
        """Its definition."""
        (found,) = DEFINITIONS.glob(f"{self.number:02}-*.yaml")
        return found


def yes(number: int, name: str, by: str, *shown: Story, parts: tuple[str, ...] = ()) -> Pattern:
    """A pattern that is supported."""
    return Pattern(number, name, Support.YES, by, shown, parts=parts)


def partly(number: int, name: str, by: str, but: str, *shown: Story) -> Pattern:
    """A pattern of which something is missing."""
    return Pattern(number, name, Support.PARTLY, by, shown, but)


def no(number: int, name: str, but: str, *shown: Story | Refusal) -> Pattern:
    """A pattern that is not supported."""
    return Pattern(number, name, Support.NO, "", shown, but)
