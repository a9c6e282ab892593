"""Why a run does not pass a gate: who is behind it, who comes first, when it opens."""

from msgspec import Struct

from penstock.domain.gate.decide import by_age, opens_next_at
from penstock.domain.gate.state import Gate

HOLDERS_MAX = 20
"""Holders that are named."""


class Place(Struct, frozen=True):
    """Where a run stands at a gate.

    position: in line, from 1; 0 where it does not stand there. length: of the line. holders: runs
    because of which there is no room, those that were let through first at first; count: of all.
    opens_at: when the rate lets the next one through, ms since the epoch; 0 where it is not time
    that is missing.
    """

    position: int
    length: int
    holders: tuple[str, ...] = ()
    count: int = 0
    opens_at: int = 0


def place_of(gate: Gate, run_id: str, *, at: int) -> Place:
    """Where a run stands now, ms since the epoch; O(length of the line)."""
    line = [
        each
        for priority in sorted(gate.lines, reverse=True)
        for each in gate.lines[priority].listed()
        if gate.waiting.get(each) == priority
    ]
    position = line.index(run_id) + 1 if run_id in gate.waiting else 0
    holders = () if gate.has_room() else tuple(by_age(gate))
    opens_at = opens_next_at(gate, at)
    return Place(position, len(line), holders[:HOLDERS_MAX], len(holders), opens_at or 0)


def told(place: Place) -> str:
    """The same as a part of a sentence; empty where nothing can be said."""
    said = []
    if place.holders:
        others = place.count - 1
        rest = f" and {others} more" if others else ""
        said.append(f"held by run {place.holders[0]}{rest}")
    elif place.opens_at:
        said.append("its rate lets nobody through before then")
    if place.position:
        said.append(f"number {place.position} of {place.length} in line")
    return ", ".join(said)
