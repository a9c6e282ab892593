"""A run's state as a value that can be stored: what a fork begins with, and a long history ends in.

It holds what the rules need to go on, and nothing else: what is inside of iterations that have
ended is left out, because nobody can read it any more. Two runs with equal snapshots behave alike.
"""

import hashlib
from collections.abc import Collection, Iterable
from operator import itemgetter
from typing import Final, TypeVar

import msgspec
from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.domain.queue import Queue
from penstock.domain.run.events import (
    RunCarriedForward,
    RunSnapshotTaken,
    StepError,
    Verdict,
    WaitKind,
)
from penstock.domain.run.paths import RUN_OUTPUT, scope_of
from penstock.domain.run.state import (
    HELD,
    SETTLED,
    Answer,
    Arrival,
    Ending,
    Flow,
    Loop,
    Result,
    Run,
    RunStatus,
    Scope,
    Step,
    Timer,
    TimerKind,
)

V = TypeVar("V")
K = TypeVar("K", int, str)


class StoredLoop(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A `Loop`, with its results as a dict."""

    count: int | None
    items: Payload | None
    width: int
    most: int
    tolerant: bool
    opened: int = 0
    active: tuple[int, ...] = ()
    results: dict[int, Result] = {}
    error: StepError | None = None
    timed_out: bool = False
    again: tuple[int, ...] = ()


class StoredFlow(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A `Flow`, with its maps as dicts and its queues as tuples."""

    loops: dict[str, StoredLoop] = {}
    scopes: dict[str, Scope] = {}
    hungry: tuple[str, ...] = ()
    closing: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    signals: dict[str, tuple[Payload, ...]] = {}
    listeners: dict[str, tuple[str, ...]] = {}
    heard: dict[str, bool] = {}
    approvals: dict[str, Answer] = {}
    decisions: dict[str, Verdict] = {}
    children: int = 0
    evaluating: int = 0
    output: Payload | None = None


class Snapshot(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A `Run` without its id, its start and its drawing; maps as dicts, queues as tuples."""

    status: RunStatus
    steps: dict[str, Step]
    arrivals: dict[str, Arrival]
    agenda: tuple[str, ...]
    waiting: tuple[str, ...]
    timers: dict[str, Timer]
    held: int
    unsettled: int
    ending: Ending | None = None
    paused: bool = False
    flow: StoredFlow


ENCODER: Final = msgspec.json.Encoder()
DECODER: Final = msgspec.json.Decoder(Snapshot)


def encoded(run: Run) -> bytes:
    """The snapshot of a run as JSON, equal for equal states."""
    run = compacted(run)
    return ENCODER.encode(
        Snapshot(
            status=run.status,
            steps=plain(run.steps),
            arrivals=plain(run.arrivals),
            agenda=run.agenda.listed(),
            waiting=run.waiting.listed(),
            timers=plain(run.timers),
            held=run.held,
            unsettled=run.unsettled,
            ending=run.ending,
            paused=run.paused,
            flow=stored_flow(run.flow),
        )
    )


def stored_flow(flow: Flow) -> StoredFlow:
    """A flow as it is stored."""
    members = {name: getattr(flow, name) for name in StoredFlow.__struct_fields__}
    plained = {name: plain(held) for name, held in members.items() if isinstance(held, Map)}
    listed = {name: held.listed() for name, held in members.items() if isinstance(held, Queue)}
    loops = {name: stored_loop(loop) for name, loop in plain(flow.loops).items()}
    return StoredFlow(**{**members, **plained, **listed, "loops": loops})


def stored_loop(loop: Loop) -> StoredLoop:
    """A loop as it is stored."""
    members = {name: getattr(loop, name) for name in StoredLoop.__struct_fields__}
    return StoredLoop(**{**members, "results": plain(loop.results)})


def restored(run: Run, snapshot: bytes) -> Run:
    """The run (its id, start and drawing) in the state of a snapshot.

    Raises msgspec.DecodeError for anything that is none.
    """
    found = DECODER.decode(snapshot)
    return replace(
        run,
        status=found.status,
        steps=Map(found.steps),
        arrivals=Map(found.arrivals),
        agenda=Queue.of(found.agenda),
        waiting=Queue.of(found.waiting),
        timers=Map(found.timers),
        held=found.held,
        unsettled=found.unsettled,
        ending=found.ending,
        paused=found.paused,
        flow=restored_flow(found.flow),
    )


def restored_flow(flow: StoredFlow) -> Flow:
    """The flow that was stored."""
    members = {name: getattr(flow, name) for name in StoredFlow.__struct_fields__}
    mapped = {name: Map(held) for name, held in members.items() if isinstance(held, dict)}
    loops = {name: restored_loop(loop) for name, loop in flow.loops.items()}
    queues = {"closing": Queue.of(flow.closing), "answers": Queue.of(flow.answers)}
    return Flow(**{**members, **mapped, **queues, "loops": Map(loops)})


def restored_loop(loop: StoredLoop) -> Loop:
    """The loop that was stored."""
    members = {name: getattr(loop, name) for name in StoredLoop.__struct_fields__}
    return Loop(**{**members, "results": Map(loop.results)})


def plain(entries: Map[K, V]) -> dict[K, V]:
    """A map as a dict in the order of its keys, which is the same in every process."""
    return dict(sorted(entries.items(), key=itemgetter(0)))


def state_hash(run: Run) -> str:
    """SHA-256, hex, of a run's state, but for its own time limit, which every run has its own."""
    timers = own_limit_left_out(run.timers)
    return hashlib.sha256(encoded(replace(run, timers=timers))).hexdigest()


def resumed_from(run: Run, state: Payload) -> Run:
    """A run that has just started, going on from another one's state; its time limit stays."""
    limits = {i: t for i, t in run.timers.items() if t.kind is TimerKind.DEADLINE}
    found = restored(run, bytes(state.inline))
    return replace(found, timers=own_limit_left_out(found.timers).update(limits))


def inherited(state: Payload) -> list[tuple[str, Timer]]:
    """The timers that a fork takes over with the state it begins with, in order of their ids."""
    timers = own_limit_left_out(Map(DECODER.decode(bytes(state.inline)).timers))
    return sorted(timers.items())


def own_limit_left_out(timers: Map[str, Timer]) -> Map[str, Timer]:
    """The timers but for that of a run's own time limit."""
    for timer_id in [i for i, t in timers.items() if t.kind is TimerKind.DEADLINE]:
        timers = timers.delete(timer_id)
    return timers


def orphans(run: Run) -> list[str]:
    """The steps about which an executor or a child run of another run owed a word."""
    return [
        step_id
        for step_id, step in run.steps.items()
        if step.status in HELD or (step.wait is not None and step.wait.kind is WaitKind.CHILD)
    ]


def taken(run: Run, state: Payload, *, carried: bool = False) -> RunSnapshotTaken:
    """The event that a snapshot of a run is, once its bytes are kept as `state`.

    carried: the history before it has left the log.
    """
    start = run.start
    assert start is not None, "a run without history has no state worth keeping"
    kind = RunCarriedForward if carried else RunSnapshotTaken
    return kind(start=start, state=state, queued=run.queued, admitted=run.admitted)


def weight(run: Run) -> int:
    """How many things a snapshot of a run has to name, roughly; costs O(open loops)."""
    results = sum(len(loop.results) for loop in run.flow.loops.values())
    return len(run.steps) + len(run.arrivals) + len(run.flow.heard) + results


def compacted(run: Run) -> Run:
    """The run without the steps of iterations that have ended, and without past evaluations."""
    gone = [step_id for step_id in run.steps if is_gone(run, step_id)]
    arrived = [step_id for step_id in run.arrivals if is_over(run, step_id)]
    loops = [loop_id for loop_id in run.flow.loops if is_gone(run, loop_id)]
    if loops:
        run = replace(run, flow=replace(run.flow, loops=without(run.flow.loops, loops)))
    if not gone and not arrived:
        return run
    run = dequeued(run, frozenset(gone))
    return replace(run, steps=without(run.steps, gone), arrivals=without(run.arrivals, arrived))


def dequeued(run: Run, gone: Collection[str]) -> Run:
    """The run without the entries in its queues whose turn would never come: they are settled.

    Without its last word such a step would look as if it had not begun.
    """
    flow = run.flow
    closing = flow.closing.kept(lambda step_id: step_id not in gone)
    answers = flow.answers.kept(lambda answer: answer.step_id not in gone)
    if closing is not flow.closing or answers is not flow.answers:
        flow = replace(flow, closing=closing, answers=answers)
    return replace(
        run,
        agenda=run.agenda.kept(lambda step_id: step_id not in gone),
        waiting=run.waiting.kept(lambda step_id: step_id not in gone),
        flow=flow,
    )


def is_over(run: Run, step_id: str) -> bool:
    """Whether a step belongs to an iteration that is not going on any more."""
    scope = scope_of(step_id.partition("@")[0])
    return bool(scope) and scope not in run.flow.scopes


def is_gone(run: Run, step_id: str) -> bool:
    """Whether nobody needs a step: what it was part of is over.

    A loop is needed as long as what is inside of it is being put out.
    """
    if "@" in step_id:
        return step_id != RUN_OUTPUT and run.steps[step_id].status in SETTLED
    loop = run.flow.loops.get(step_id)
    return is_over(run, step_id) and (loop is None or not loop.active)


def without(entries: Map[str, V], names: Iterable[str]) -> Map[str, V]:
    """The map without some of its keys."""
    mutation = entries.mutate()
    for name in names:
        del mutation[name]
    return mutation.finish()
