"""A run as the fold of its history.

`evolve` is the only place where a run changes, and it never judges: what is in the history has
happened. Every event costs O(degree of its step), whatever the size of the graph. Nothing here
iterates over a `Map`, because its order is not the same in every process.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import assert_never

from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.domain.queue import Queue
from penstock.domain.run.events import (
    CancelCause,
    ResultDiscarded,
    RunCancelled,
    RunCancelRequested,
    RunError,
    RunEvent,
    RunFailed,
    RunStarted,
    RunSucceeded,
    RunTimedOut,
    StepAbandoned,
    StepCancelled,
    StepDispatched,
    StepError,
    StepFailed,
    StepLost,
    StepReady,
    StepRetryScheduled,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepTimedOut,
    StepWaiting,
)
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Edge, EdgeType, Join


class RunStatus(StrEnum):
    """Where a run stands; `unborn` has no history yet."""

    UNBORN = "unborn"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class StepStatus(StrEnum):
    """Where a step stands. `dispatched` is shown to clients as `ready`: nobody has begun."""

    PENDING = "pending"
    READY = "ready"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    RETRYING = "retrying"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


HELD = frozenset({StepStatus.DISPATCHED, StepStatus.RUNNING})
"""An executor owes the next word."""

SETTLED = frozenset(
    {
        StepStatus.SUCCEEDED,
        StepStatus.FAILED,
        StepStatus.TIMED_OUT,
        StepStatus.SKIPPED,
        StepStatus.CANCELLED,
    }
)
"""The step's last word is said."""


class TimerKind(StrEnum):
    """What a timer is for."""

    RETRY = "retry"
    WAIT = "wait"
    DEADLINE = "deadline"
    GRACE = "grace"


class Timer(Struct, frozen=True):
    """A moment the run waits for. `step_id` is empty for the timers of the run itself."""

    kind: TimerKind
    due_at: int
    step_id: str = ""


class Step(Struct, frozen=True):
    """One step's life so far.

    attempt: the number of the last one, 0 before the first. tries: attempts that failed.
    losses: attempts whose holder was lost. discarded: last attempt whose late result was put
    on record. timer_id: of the retry or wait it is in.
    """

    status: StepStatus = StepStatus.PENDING
    attempt: int = 0
    tries: int = 0
    losses: int = 0
    discarded: int = 0
    timer_id: str = ""
    output: Payload | None = None
    input: Payload | None = None
    error: StepError | None = None
    branch: str | None = None


class Arrival(Struct, frozen=True):
    """What has come in over the edges into a step that is not ready yet."""

    settled: int = 0
    taken: int = 0
    queued: bool = False


class Ending(Struct, frozen=True):
    """The run is being brought to its end; `told` when what runs was asked to stop."""

    cause: CancelCause
    error: RunError
    told: bool = False


PENDING = Step()
NOTHING = Arrival()


class Run(Struct, frozen=True):
    """All that the rules need to know of a run.

    steps: those that have left `pending`. agenda: steps whose join is decided and that have not
    been made ready or skipped yet. waiting: steps that are ready and not dispatched. held: number
    of steps an executor owes a word about. unsettled: number of steps without a last word.
    """

    id: str
    graph: Graph | None = None
    status: RunStatus = RunStatus.UNBORN
    started: RunStarted | None = None
    started_at: int = 0
    steps: Map[str, Step] = Map()
    arrivals: Map[str, Arrival] = Map()
    agenda: Queue[str] = Queue()
    waiting: Queue[str] = Queue()
    timers: Map[str, Timer] = Map()
    held: int = 0
    unsettled: int = 0
    ending: Ending | None = None

    def step(self, step_id: str) -> Step:
        """The step, as it stands."""
        return self.steps.get(step_id, PENDING)

    def awaits(self, step_id: str, attempt: int) -> bool:
        """Whether an executor owes a word about exactly this attempt."""
        step = self.step(step_id)
        return step.attempt == attempt and step.status in HELD

    @property
    def drawn(self) -> Graph:
        """The graph of the run's definition; every run that has started has one."""
        assert self.graph is not None, "a run was folded without its definition"
        return self.graph

    @property
    def is_live(self) -> bool:
        """Whether the run has started and not ended."""
        return self.status is RunStatus.RUNNING


def unborn(run_id: str, graph: Graph | None) -> Run:
    """The run before its first event; `graph` is its definition's where one is known."""
    return Run(id=run_id, graph=graph)


def fold(run: Run, events: Iterable[RunEvent]) -> Run:
    """The run after `events`."""
    for event in events:
        run = evolve(run, event)
    return run


def evolve(run: Run, event: RunEvent) -> Run:  # one case an event, read like a table
    """The run after one more event."""
    match event:
        case StepSucceeded() | StepFailed() | StepTimedOut() | StepSkipped():
            return settled(run, event.step_id, last_word(run.step(event.step_id), event))
        case StepCancelled() | StepAbandoned():
            return settled(run, event.step_id, last_word(run.step(event.step_id), event))
        case StepReady(step_id=step_id, attempt=attempt):
            return made_ready(run, step_id, attempt)
        case StepDispatched(step_id=step_id):
            step = replace(run.step(step_id), status=StepStatus.DISPATCHED)
            return replace(
                run,
                steps=run.steps.set(step_id, step),
                waiting=run.waiting.taken(),
                held=run.held + 1,
            )
        case StepStarted(step_id=step_id):
            return with_step(run, step_id, status=StepStatus.RUNNING)
        case StepLost(step_id=step_id):
            lost = run.step(step_id).losses + 1
            return replace(
                with_step(run, step_id, status=StepStatus.PENDING, losses=lost),
                held=run.held - 1,
            )
        case StepWaiting() | StepRetryScheduled():
            return put_to_rest(run, event)
        case ResultDiscarded(step_id=step_id, attempt=attempt):
            return with_step(run, step_id, discarded=attempt)
        case RunStarted():
            return born(run, event)
        case RunCancelRequested():
            return called_off(run, event)
        case RunSucceeded():
            return ended(run, RunStatus.SUCCEEDED)
        case RunFailed():
            return ended(run, RunStatus.FAILED)
        case RunCancelled():
            return ended(run, RunStatus.CANCELLED)
        case RunTimedOut():
            return ended(run, RunStatus.TIMED_OUT)
        case _:
            assert_never(event)


def with_step(run: Run, step_id: str, **changes: object) -> Run:
    """The run with some fields of one step changed."""
    return replace(run, steps=run.steps.set(step_id, replace(run.step(step_id), **changes)))


def born(run: Run, event: RunStarted) -> Run:
    """The run at its start: the roots are on the agenda, its time limit runs."""
    graph = run.drawn
    agenda: Queue[str] = Queue()
    for step_id in graph.roots:
        agenda = agenda.added(step_id)
    timers = run.timers
    if event.timer_id is not None and event.deadline_at is not None:
        timers = timers.set(event.timer_id, Timer(TimerKind.DEADLINE, event.deadline_at))
    return replace(
        run,
        status=RunStatus.RUNNING,
        started=event,
        agenda=agenda,
        timers=timers,
        unsettled=len(graph.order),
    )


def called_off(run: Run, event: RunCancelRequested) -> Run:
    """The run after all that runs was told to stop; only the grace timer counts from now on."""
    error = event.error or RunError(code="CANCELLED", message=event.reason or "cancelled")
    grace = Timer(TimerKind.GRACE, event.grace_until)
    return replace(
        run,
        ending=Ending(event.cause, error, told=True),
        timers=run.timers.set(event.timer_id, grace),
        agenda=Queue(),
        waiting=Queue(),
    )


def ended(run: Run, status: RunStatus) -> Run:
    """The run after its last event."""
    return replace(run, status=status, timers=Map(), agenda=Queue(), waiting=Queue())


def made_ready(run: Run, step_id: str, attempt: int) -> Run:
    """The step waits for its dispatch; its join or its retry is behind it."""
    step = run.step(step_id)
    agenda = run.agenda.taken() if run.agenda.head == step_id else run.agenda
    timers = run.timers.delete(step.timer_id) if step.timer_id else run.timers
    step = replace(step, status=StepStatus.READY, attempt=attempt, timer_id="")
    return replace(
        run,
        steps=run.steps.set(step_id, step),
        agenda=agenda,
        waiting=run.waiting.added(step_id),
        timers=timers,
    )


def put_to_rest(run: Run, event: StepWaiting | StepRetryScheduled) -> Run:
    """The step holds no executor until its timer fires."""
    step = run.step(event.step_id)
    if isinstance(event, StepWaiting):
        timer = Timer(TimerKind.WAIT, event.until, event.step_id)
        step = replace(
            step, status=StepStatus.WAITING, output=event.output, timer_id=event.timer_id
        )
    else:
        timer = Timer(TimerKind.RETRY, event.due_at, event.step_id)
        step = replace(
            step, status=StepStatus.RETRYING, tries=step.tries + 1, timer_id=event.timer_id
        )
    return replace(
        run,
        steps=run.steps.set(event.step_id, step),
        timers=run.timers.set(event.timer_id, timer),
        held=run.held - 1,
    )


LastWord = StepSucceeded | StepFailed | StepTimedOut | StepSkipped | StepCancelled | StepAbandoned


def last_word(step: Step, event: LastWord) -> Step:
    """The step as it stays from here on."""
    match event:
        case StepSucceeded():
            output = event.output if event.output is not None else step.output
            return replace(
                step,
                status=StepStatus.SUCCEEDED,
                output=output,
                branch=event.branch,
                input=event.input,
            )
        case StepFailed() | StepTimedOut():
            timed_out = isinstance(event, StepTimedOut)
            return replace(
                step,
                status=StepStatus.TIMED_OUT if timed_out else StepStatus.FAILED,
                error=event.error,
                input=event.input,
            )
        case StepSkipped():
            return replace(step, status=StepStatus.SKIPPED)
        case StepCancelled() | StepAbandoned():
            return replace(step, status=StepStatus.CANCELLED)
        case _:
            assert_never(event)


def settled(run: Run, step_id: str, step: Step) -> Run:
    """The run after a step's last word, with what it means for the steps behind it."""
    before = run.step(step_id)
    timers = run.timers.delete(before.timer_id) if before.timer_id else run.timers
    run = replace(
        run,
        steps=run.steps.set(step_id, replace(step, timer_id="")),
        timers=timers,
        held=run.held - (before.status in HELD),
        unsettled=run.unsettled - 1,
        agenda=run.agenda.taken() if run.agenda.head == step_id else run.agenda,
    )
    if run.ending is not None:
        return run
    if step.error is not None and not handles_failure(run.drawn, step_id):
        error = RunError(code=step.error.code, message=step.error.message, step_id=step_id)
        ending = Ending(CancelCause.FAILURE, error)
        return replace(run, ending=ending, agenda=Queue(), waiting=Queue())
    return arrived(run, step_id, step)


def arrived(run: Run, step_id: str, step: Step) -> Run:
    """The run after a settled step has been counted at every step behind it."""
    arrivals, agenda = run.arrivals, run.agenda
    for edge in run.drawn.outgoing[step_id]:
        target = edge.target
        arrival = arrivals.get(target, NOTHING)
        taken = arrival.taken + is_taken(edge, step)
        arrival = Arrival(arrival.settled + 1, taken, arrival.queued)
        if not arrival.queued and is_joined(run.drawn, target, arrival):
            arrival = replace(arrival, queued=True)
            agenda = agenda.added(target)
        arrivals = arrivals.set(target, arrival)
    return replace(run, arrivals=arrivals, agenda=agenda)


def is_joined(graph: Graph, step_id: str, arrival: Arrival) -> bool:
    """Whether enough has come in to say that the step becomes ready, or never will."""
    if arrival.settled == len(graph.incoming[step_id]):
        return True
    return graph.node(step_id).join is Join.ANY and arrival.taken > 0


def is_taken(edge: Edge, step: Step) -> bool:
    """Whether a settled step lets its successor behind `edge` go on."""
    if step.status not in (StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.TIMED_OUT):
        return False
    succeeded = step.status is StepStatus.SUCCEEDED
    match edge.condition.type:
        case EdgeType.ALWAYS:
            return True
        case EdgeType.ON_SUCCESS:
            return succeeded
        case EdgeType.ON_FAILURE:
            return not succeeded
        case EdgeType.BRANCH:
            return succeeded and step.branch == edge.condition.branch
        case EdgeType.EXPRESSION:
            return False
        case _:
            assert_never(edge.condition.type)


def handles_failure(graph: Graph, step_id: str) -> bool:
    """Whether an edge leaves the step that is taken when it fails."""
    return any(
        edge.condition.type in (EdgeType.ON_FAILURE, EdgeType.ALWAYS)
        for edge in graph.outgoing[step_id]
    )
