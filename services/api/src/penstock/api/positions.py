"""Places in the logs as clients see them: `<stream sequence>.<index>`, `r` before the registry's.

`X-Read-After` and `X-Log-Position` speak of whole decisions, `after` and SSE ids of single events.
"""

import re
from typing import NamedTuple

from penstock.api.errors import detail, invalid

SEQUENCE_DIGITS_MAX = 18
SEQ_MAX = 10**SEQUENCE_DIGITS_MAX
"""No sequence is as large."""
_POSITION = re.compile(rf"(r?)([0-9]{{1,{SEQUENCE_DIGITS_MAX}}})(?:\.([0-9]{{1,6}}))?")


class Position(NamedTuple):
    """nth: the event's number within its decision, from 0. log: `events` or `registry`."""

    log: str
    seq: int
    nth: int

    def __str__(self) -> str:
        """The wire form."""
        return f"{'r' if self.log == REGISTRY else ''}{self.seq}.{self.nth}"


LAST_NTH = 999_999
"""A position without an index means the whole decision."""

EVENTS = "events"
REGISTRY = "registry"
START = Position(EVENTS, 0, LAST_NTH)
"""Before everything."""


def is_position(text: str) -> bool:
    """Whether `text` has the form of a position."""
    return _POSITION.fullmatch(text) is not None


def parse(text: str, pointer: str) -> Position:
    """The position that `text` names. Raises Problem 400 that names `pointer`."""
    found = _POSITION.fullmatch(text)
    if found is None:
        said = "must be a position such as 17.0"
        raise invalid("that is no position", detail(pointer, "SCHEMA_INVALID", said))
    nth = LAST_NTH if found[3] is None else int(found[3])
    return Position(REGISTRY if found[1] else EVENTS, int(found[2]), nth)
