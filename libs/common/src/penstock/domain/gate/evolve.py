"""How history moves a gate: the fold. It never judges: what is in the history has happened.

A snapshot whose bytes are elsewhere changes nothing, for it says what the fold has come to; whoever
begins with one brings them along.
"""

from typing import assert_never

from msgspec.structs import replace

from penstock.domain.gate.events import (
    GateEvent,
    GateRuled,
    GateSnapshotTaken,
    HolderDisplaced,
    SlotGranted,
    SlotQueued,
    SlotRefused,
    SlotReleased,
)
from penstock.domain.gate.snapshot import restored
from penstock.domain.gate.state import Gate
from penstock.domain.queue import Queue


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
        case GateSnapshotTaken(state=state):
            return restored(bytes(state.inline)) if state.inline else gate
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
    while line.head is not None and waiting.get(line.head) != priority:
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
