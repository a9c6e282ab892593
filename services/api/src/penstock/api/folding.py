"""Histories of runs, folded up to some place: whole, or from the last snapshot before it on.

Whoever asks only how a run stood begins at a snapshot, so it costs the same however long the
history is. Whoever asks when things happened has to read all of it, within a bound.
"""

import asyncio
from typing import NamedTuple

from msgspec.structs import replace

from penstock.api.errors import Problem
from penstock.api.histories import Histories, RunKey
from penstock.api.past import Hear, Past, Until
from penstock.api.payloads import OPENED_MAX_BYTES, Payloads
from penstock.api.tails import Told
from penstock.domain.payload import Payload, inline
from penstock.domain.run.events import RunEvent, RunForked, RunQueued, RunSnapshotTaken
from penstock.domain.workflow.graph import Graph
from penstock.messages.codec import Undecodable, decode_run_decision
from penstock.messages.envelope import Decision

FOLDED_MAX = 200_000
"""Events; of a longer history nothing is told that needs all of it: a fold takes some 20 us each,
and what is noted of each step some hundred bytes."""
BREATH = 1_000
"""Events after which others have their turn."""
HOPS_MAX = 10_000
"""Snapshots that are looked at on the way back to a place; each covers a thousand events."""


class Source(NamedTuple):
    """A history, and what it takes to fold it. payloads: of its run."""

    histories: Histories
    payloads: Payloads
    key: RunKey
    graph: Graph


class TooLong(Problem):
    """A history is too long to be folded whole for a request."""

    def __init__(self) -> None:
        said = f"a history of more than {FOLDED_MAX} events is not folded whole for a request"
        super().__init__(409, said, code="HISTORY_TOO_LONG")


async def folded(source: Source, until: Until, hear: Hear | None = None) -> Past:
    """The history from its first event up to `until`. Raises TooLong, or Problem 409."""
    past = Past(source.key.run_id, source.graph, hear)
    await _absorbed(source, past, 0, until, FOLDED_MAX)
    return past


async def stood(source: Source, until: Until, hear: Hear | None = None) -> Past:
    """The run as it stood at `until`; of the rows, what happened long before is missing.

    Raises Problem 409 where its history cannot be read.
    """
    past = Past(source.key.run_id, source.graph, hear)
    first = await snapshot_before(source, until)
    await _absorbed(source, past, max(first - 1, 0), until)
    return past


async def snapshot_before(source: Source, until: Until) -> int:
    """The sequence of the last snapshot at or before a place; 0 for none.

    Every decision names the last one before it, so the way back is as short as the run of them.
    """
    histories, key = source.histories, source.key
    told = await histories.near(key, until.seq)
    for _ in range(HOPS_MAX):
        if told is None:
            return 0
        decision = decoded(told)
        if is_snapshot(decision) and until.covers(told.seq, 0, decision.at):
            return told.seq
        told = await histories.one(key, decision.snapshot) if decision.snapshot else None
    return 0


def is_snapshot(decision: Decision) -> bool:
    """Whether a fold may begin with a decision."""
    return bool(decision.events) and isinstance(decision.events[0], RunSnapshotTaken)


async def _absorbed(
    source: Source, past: Past, after: int, until: Until, most: int | None = None
) -> None:
    """Have the past absorb what comes after a sequence, at most so many events."""
    rested = 0
    while page := await source.histories.page(source.key, after):
        for told in page:
            decision = await whole(decoded(told), source.payloads, begins=not past.events)
            if not past.absorb(told.seq, decision, until):
                return
            if past.events - rested >= BREATH:
                rested = past.events
                await asyncio.sleep(0)
        if most is not None and past.events > most:
            raise TooLong
        after = page[-1].seq


async def whole(decision: Decision, payloads: Payloads, *, begins: bool) -> Decision:
    """A decision with the state it begins with: a fork's, or that of a snapshot that begins all."""
    events = tuple([await opened(event, payloads, begins=begins) for event in decision.events])
    return replace(decision, events=events)


async def opened(event: RunEvent, payloads: Payloads, *, begins: bool) -> RunEvent:
    """An event with the state that the fold needs of it."""
    if isinstance(event, RunSnapshotTaken):
        return replace(event, state=await held(event.state, payloads)) if begins else event
    if isinstance(event, RunForked | RunQueued) and event.state is not None:
        return replace(event, state=await held(event.state, payloads))
    return event


async def held(state: Payload, payloads: Payloads) -> Payload:
    """A state with its bytes. Raises Problem 409 for one that is too large for a request."""
    if state.inline:
        return state
    if state.size > OPENED_MAX_BYTES:
        said = f"a state of more than {OPENED_MAX_BYTES} bytes is not opened for a request"
        raise Problem(409, said, code="LIMIT_EXCEEDED")
    return inline(await payloads.state_of(state))


def decoded(told: Told) -> Decision:
    """A decision. Raises Problem 409 for one that nobody can read."""
    try:
        return decode_run_decision(told.body)
    except Undecodable:
        said = f"the decision at {told.seq} cannot be read by this release"
        raise Problem(409, said, code="HISTORY_UNREADABLE") from None
