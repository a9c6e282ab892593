"""The rules of a gate. A command that already took effect adds nothing."""

from typing import assert_never

from penstock.domain.decider import Decider
from penstock.domain.errors import Conflict
from penstock.domain.gate.commands import AcquireSlot, GateCommand, OpenGate, ReleaseSlot
from penstock.domain.gate.events import (
    GateEvent,
    GateRuled,
    HolderDisplaced,
    SlotGranted,
    SlotQueued,
    SlotRefused,
    SlotReleased,
)
from penstock.domain.gate.evolve import evolve
from penstock.domain.gate.state import CLOSED, Gate
from penstock.domain.workflow.model import Strategy

LINE_MAX = 100_000
"""Runs that stand in line at one gate."""

GRANTS_MAX = 500
"""Runs that one decision lets through; the rest follows by `OpenGate`."""

OUSTED_MAX = 400
"""Runs in line, and as many behind the gate, that one newcomer takes the places of."""


class Draft:
    """The events of one decision as they are found, and the gate as it would be after them."""

    def __init__(self, gate: Gate, at: int) -> None:
        self.gate = gate
        self.at = at
        self.events: list[GateEvent] = []

    def record(self, event: GateEvent) -> None:
        """One more event."""
        self.events.append(event)
        self.gate = evolve(self.gate, event)


def decide(command: GateCommand, gate: Gate, /, *, at: int) -> list[GateEvent]:
    """The events that `command` adds to a gate's history. at: now, ms since the epoch.

    Raises Conflict where too many stand in line.
    """
    draft = Draft(gate, at)
    match command:
        case AcquireSlot():
            acquire(draft, command)
        case ReleaseSlot(run_id=run_id):
            if gate.knows(run_id):
                draft.record(SlotReleased(run_id=run_id))
        case OpenGate():
            pass
        case _:
            assert_never(command)
    let_through(draft)
    return draft.events


def acquire(draft: Draft, command: AcquireSlot) -> None:
    """Put the run in line, or turn away whom the strategy says.

    Who is there already stays, and who was turned away stays so. Whoever would wait for nobody but
    those that wait for it would wait for ever.
    """
    run_id = command.run_id
    if draft.gate.knows(run_id):
        return
    if draft.gate.rule != command.rule:
        draft.record(GateRuled(rule=command.rule))
    gate = draft.gate
    if not gate.has_room() and all(holder in command.above for holder in gate.holders):
        draft.record(SlotRefused(run_id=run_id, holder=somebody(gate)))
        return
    is_free = gate.has_room() and not gate.waiting and gate.opens_at(draft.at) <= draft.at
    if command.rule.strategy is Strategy.SKIP and not is_free:
        draft.record(SlotRefused(run_id=run_id, holder=somebody(gate)))
        return
    if len(gate.waiting) >= LINE_MAX:
        raise Conflict(f"{LINE_MAX} runs stand in line already", code="QUEUE_FULL")
    if command.rule.strategy is Strategy.CANCEL_RUNNING:
        make_way(draft, run_id)
    draft.record(SlotQueued(run_id=run_id, priority=command.priority))


def make_way(draft: Draft, run_id: str) -> None:
    """The newest is the one that counts: who waits is turned away, who runs is told to end."""
    for other in sorted(draft.gate.waiting)[:OUSTED_MAX]:
        draft.record(SlotRefused(run_id=other, holder=run_id))
    gate = draft.gate
    if gate.has_room():
        return
    staying = [other for other in by_age(gate) if other not in gate.displaced]
    most = gate.rule.most or 1
    for other in staying[: min(OUSTED_MAX, max(0, len(staying) - most + 1))]:
        draft.record(HolderDisplaced(run_id=other, by=run_id))


def by_age(gate: Gate) -> list[str]:
    """The runs behind the gate, those that were let through first at first."""
    return sorted(gate.holders, key=lambda run_id: (gate.holders[run_id], run_id))


def somebody(gate: Gate) -> str:
    """A run because of which there is no room: one behind the gate, else one in line."""
    return next(iter(by_age(gate)), gate.next_in_line or "")


def let_through(draft: Draft) -> None:
    """Let through whom the rule allows now."""
    while len(draft.events) < GRANTS_MAX:
        run_id = draft.gate.next_in_line
        if run_id is None or not draft.gate.has_room():
            return
        if draft.gate.opens_at(draft.at) > draft.at:
            return
        draft.record(SlotGranted(run_id=run_id, granted_at=draft.at))


def opens_next_at(gate: Gate, at: int) -> int | None:
    """The moment at which `OpenGate` lets somebody through; None if not time is what is missing."""
    if gate.next_in_line is None or not gate.has_room():
        return None
    return gate.opens_at(at)


GATE: Decider[GateCommand, GateEvent, Gate] = Decider(initial=CLOSED, evolve=evolve, decide=decide)
