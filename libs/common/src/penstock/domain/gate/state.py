"""A gate as a value: who is behind it, who stands in line, and whom it let through lately."""

from __future__ import annotations

from typing import assert_never

from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.gate.events import (
    GateEvent,
    GateRuled,
    HolderDisplaced,
    Rule,
    SlotGranted,
    SlotQueued,
    SlotRefused,
    SlotReleased,
)
from penstock.domain.queue import Queue

MINUTE_MS = 60_000


class Gate(Struct, frozen=True):
    """A gate as it stands.

    holders: runs behind it, with the moment they were let through. waiting: runs in line, with
    their priority. lines: by priority, in the order of their coming; who has left a line early
    still has an entry there until it reaches the head. displaced: holders that were told to end.
    passed: when somebody was let through, for as long as the rate looks back.
    """

    rule: Rule = Rule()
    holders: Map[str, int] = Map()
    waiting: Map[str, int] = Map()
    lines: Map[int, Queue[str]] = Map()
    displaced: Map[str, str] = Map()
    refused: Map[str, str] = Map()
    passed: Queue[int] = Queue()

    def knows(self, run_id: str) -> bool:
        """Whether the run has asked, and not let go since."""
        return run_id in self.holders or run_id in self.waiting or run_id in self.refused

    @property
    def next_in_line(self) -> str | None:
        """The run of the highest priority that has waited longest."""
        priority = max(self.lines, default=None)
        return None if priority is None else self.lines[priority].head

    def has_room(self) -> bool:
        """Whether one more may be behind the gate."""
        return self.rule.most is None or len(self.holders) < self.rule.most

    def opens_at(self, at: int) -> int:
        """The moment from which on the rate lets somebody through: `at`, or later."""
        most = self.rule.per_minute
        if most is None or len(self.passed) < most:
            return at
        oldest = self.passed.items[self.passed.end - most]
        return max(at, oldest + MINUTE_MS)


CLOSED = Gate()
"""A gate without history."""


def evolve(gate: Gate, event: GateEvent) -> Gate:
    """The gate after one more event."""
    match event:
        case GateRuled(rule=rule):
            return replace(gate, rule=rule)
        case SlotQueued(run_id=run_id, priority=priority):
            line = gate.lines.get(priority, Queue()).added(run_id)
            return replace(
                gate,
                waiting=gate.waiting.set(run_id, priority),
                lines=gate.lines.set(priority, line),
            )
        case SlotGranted(run_id=run_id, granted_at=granted_at):
            return let_through(gate, run_id, granted_at)
        case SlotRefused(run_id=run_id, holder=holder):
            gate = out_of_line(gate, run_id)
            return replace(gate, refused=gate.refused.set(run_id, holder))
        case HolderDisplaced(run_id=run_id, by=by):
            return replace(gate, displaced=gate.displaced.set(run_id, by))
        case SlotReleased(run_id=run_id):
            return left(out_of_line(gate, run_id), run_id)
        case _:
            assert_never(event)


def let_through(gate: Gate, run_id: str, at: int) -> Gate:
    """The gate with a run behind it."""
    gate = out_of_line(gate, run_id)
    passed = gate.passed
    if gate.rule.per_minute is not None:
        passed = passed.added(at)
        while len(passed) > gate.rule.per_minute:
            passed = passed.taken()
    return replace(gate, holders=gate.holders.set(run_id, at), passed=passed)


def out_of_line(gate: Gate, run_id: str) -> Gate:
    """The gate without a run in line; lines are kept with somebody who waits at their head."""
    priority = gate.waiting.get(run_id)
    if priority is None:
        return gate
    waiting = gate.waiting.delete(run_id)
    line = gate.lines[priority]
    while line.head is not None and line.head not in waiting:
        line = line.taken()
    lines = gate.lines.set(priority, line) if len(line) else gate.lines.delete(priority)
    return replace(gate, waiting=waiting, lines=lines)


def left(gate: Gate, run_id: str) -> Gate:
    """The gate after a run has let go of it."""
    if run_id in gate.holders:
        gate = replace(gate, holders=gate.holders.delete(run_id))
    if run_id in gate.displaced:
        gate = replace(gate, displaced=gate.displaced.delete(run_id))
    if run_id in gate.refused:
        gate = replace(gate, refused=gate.refused.delete(run_id))
    return gate
