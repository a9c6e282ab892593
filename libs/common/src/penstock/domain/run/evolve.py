"""How history moves a run: the fold.

`evolve` is the only place where a run changes, and it never judges: what is in the history has
happened. Every event costs O(degree of its step), whatever the size of the graph.
"""

from collections.abc import Iterable
from typing import assert_never

from immutables import Map
from msgspec.structs import replace

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
from penstock.domain.run.state import (
    HELD,
    NOTHING,
    Arrival,
    Ending,
    Run,
    RunStatus,
    Step,
    StepStatus,
    Timer,
    TimerKind,
)
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Edge, EdgeType, Join


def fold(run: Run, events: Iterable[RunEvent]) -> Run:
    """The run after `events`."""
    for event in events:
        run = evolve(run, event)
    return run


def evolve(run: Run, event: RunEvent) -> Run:
    """The run after one more event."""
    match event:
        case (
            StepSucceeded()
            | StepFailed()
            | StepTimedOut()
            | StepSkipped()
            | StepCancelled()
            | StepAbandoned()
        ):
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
    """The run after all that runs was told to stop; its time limit has no say any more."""
    error = event.error or RunError(code="CANCELLED", message=event.reason or "cancelled")
    grace = Timer(TimerKind.GRACE, event.grace_until)
    timers = run.timers
    deadline = run.started.timer_id if run.started is not None else None
    if deadline is not None and deadline in timers:
        timers = timers.delete(deadline)
    return replace(
        run,
        ending=Ending(event.cause, error, told=True),
        timers=timers.set(event.timer_id, grace),
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
