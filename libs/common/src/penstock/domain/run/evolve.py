"""How history moves a run: the fold.

`evolve` is the only place where a run changes, and it never judges: what is in the history has
happened. Every event costs O(degree of its step), whatever the size of the graph.
"""

from collections.abc import Iterable
from typing import assert_never

from immutables import Map
from msgspec.structs import replace

from penstock.domain.queue import Queue
from penstock.domain.run.evaluations import evaluated
from penstock.domain.run.events import (
    ApprovalDecided,
    CancelCause,
    ResultDiscarded,
    RunAdmitted,
    RunCancelled,
    RunCancelRequested,
    RunCarriedForward,
    RunError,
    RunEvent,
    RunFailed,
    RunForked,
    RunPaused,
    RunQueued,
    RunResumed,
    RunSnapshotTaken,
    RunStarted,
    RunSucceeded,
    RunTimedOut,
    SecretUsed,
    SignalReceived,
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
from penstock.domain.run.flow import rivals_out, stopped, trimmed, with_flow
from penstock.domain.run.loops import opened
from penstock.domain.run.paths import scope_of
from penstock.domain.run.settling import settled, waited
from penstock.domain.run.snapshot import compacted, restored, resumed_from
from penstock.domain.run.state import (
    PLAIN,
    Ending,
    Run,
    RunStatus,
    Step,
    StepStatus,
    Timer,
    TimerKind,
)
from penstock.domain.run.waits import approved, put_to_rest, signalled, told_before


def fold(run: Run, events: Iterable[RunEvent]) -> Run:
    """The run after `events`."""
    for event in events:
        run = evolve(run, event)
    return run


def evolve(run: Run, event: RunEvent) -> Run:
    """The run after one more event."""
    match event:
        case StepReady(step_id=step_id, attempt=attempt):
            return made_ready(run, step_id, attempt)
        case StepDispatched(step_id=step_id):
            return dispatched(run, step_id)
        case (
            StepSucceeded()
            | StepFailed()
            | StepTimedOut()
            | StepSkipped()
            | StepCancelled()
            | StepAbandoned()
        ):
            step = last_word(run.step(event.step_id), event)
            return (evaluated if "@" in event.step_id else settled)(run, event.step_id, step)
        case StepStarted(step_id=step_id):
            return with_step(run, step_id, status=StepStatus.RUNNING)
        case StepLost(step_id=step_id):
            return lost(run, step_id)
        case StepWaiting() | StepRetryScheduled():
            return put_to_rest(run, event)
        case SignalReceived():
            return signalled(run, event)
        case ApprovalDecided():
            return approved(run, event)
        case ResultDiscarded(step_id=step_id, attempt=attempt):
            return with_step(run, step_id, discarded=attempt)
        case SecretUsed():
            return run
        case _:
            return evolve_whole(run, event)


WholeEvent = (
    RunStarted
    | RunQueued
    | RunAdmitted
    | RunForked
    | RunSnapshotTaken
    | RunCarriedForward
    | RunPaused
    | RunResumed
    | RunCancelRequested
    | RunSucceeded
    | RunFailed
    | RunCancelled
    | RunTimedOut
)


def evolve_whole(run: Run, event: WholeEvent) -> Run:
    """The run after an event that is about the run itself."""
    match event:
        case RunStarted():
            return born(run, event)
        case RunQueued():
            return queued(run, event)
        case RunAdmitted():
            return replace(run, admitted=run.admitted + 1)
        case RunForked():
            return told_before(resumed_from(run, event.state), run.flow)
        case RunSnapshotTaken():
            return as_taken(run, event)
        case RunPaused():
            return replace(run, paused=True)
        case RunResumed():
            return replace(run, paused=False)
        case RunCancelRequested():
            return called_off(run, event)
        case RunSucceeded():
            return ended(run, RunStatus.SUCCEEDED)
        case RunFailed():
            return ended(run, RunStatus.FAILED)
        case RunCancelled(error=error):
            return ended(never_started(run, error), RunStatus.CANCELLED)
        case RunTimedOut(error=error):
            return ended(never_started(run, error), RunStatus.TIMED_OUT)
        case _:
            assert_never(event)


def with_step(run: Run, step_id: str, **changes: object) -> Run:
    """The run with some fields of one step changed."""
    return replace(run, steps=run.steps.set(step_id, replace(run.step(step_id), **changes)))


def as_taken(run: Run, event: RunSnapshotTaken) -> Run:
    """The run as the snapshot has it; where the history before it was read, only what is past
    goes.
    """
    if run.status is not RunStatus.UNBORN:
        return compacted(run)
    run = restored(run, bytes(event.state.inline))
    has_begun = run.status is not RunStatus.QUEUED
    return replace(
        run,
        started=event.start if has_begun else None,
        queued=event.queued,
        admitted=event.admitted,
    )


def queued(run: Run, event: RunQueued) -> Run:
    """The run waits for its start."""
    timers = run.timers
    if event.timer_id:
        timers = timers.set(event.timer_id, Timer(TimerKind.QUEUE, event.until))
    return replace(run, status=RunStatus.QUEUED, queued=event, timers=timers)


def born(run: Run, event: RunStarted) -> Run:
    """The run at its start: the roots are on the agenda, its time limit runs."""
    graph = run.drawn
    agenda: Queue[str] = Queue()
    for step_id in graph.roots:
        agenda = agenda.added(step_id)
    timers = run.timers
    if run.queued is not None and run.queued.timer_id in timers:
        timers = timers.delete(run.queued.timer_id)
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
    return stopped(
        replace(
            run,
            ending=Ending(event.cause, error, told=True),
            timers=timers.set(event.timer_id, grace),
        )
    )


def never_started(run: Run, error: RunError) -> Run:
    """The run with the reason for its end, where that comes before its start."""
    if run.status is not RunStatus.QUEUED:
        return run
    return replace(run, ending=Ending(CancelCause.USER, error))


def ended(run: Run, status: RunStatus) -> Run:
    """The run after its last event."""
    return stopped(replace(run, status=status, timers=Map()))


def made_ready(run: Run, step_id: str, attempt: int) -> Run:
    """The step waits for its dispatch; its join, its retry or its loop's turn is behind it."""
    is_evaluation = "@" in step_id
    scope = "" if is_evaluation else scope_of(step_id)
    if scope and scope not in run.flow.scopes:
        run = opened_by(run, scope, step_id)
    step = run.step(step_id)
    timers = run.timers.delete(step.timer_id) if step.timer_id else run.timers
    step = replace(step, status=StepStatus.READY, attempt=attempt, timer_id="")
    run = replace(
        run,
        steps=run.steps.set(step_id, step),
        agenda=run.agenda.taken() if run.agenda.head == step_id else run.agenda,
        waiting=run.waiting.added(step_id),
        timers=timers,
    )
    if attempt == 1 and not is_evaluation:
        run = rivals_out(run, step_id)
    return run if run.flow is PLAIN else trimmed(run)


def opened_by(run: Run, scope: str, step_id: str) -> Run:
    """The run with the iteration that its first ready step has opened; other roots come next."""
    graph, node_id = run.drawn.scope(step_id)
    return opened(run, scope, tuple(root for root in graph.roots if root != node_id))


def dispatched(run: Run, step_id: str) -> Run:
    """The step is with the executors."""
    step = replace(run.step(step_id), status=StepStatus.DISPATCHED)
    run = replace(
        run, steps=run.steps.set(step_id, step), waiting=run.waiting.taken(), held=run.held + 1
    )
    if "@" in step_id:
        run = with_flow(run, evaluating=run.flow.evaluating + 1)
    return run if run.flow is PLAIN else trimmed(run)


def lost(run: Run, step_id: str) -> Run:
    """Nobody works on the attempt any more: its executor is gone or, to a fork, its child run."""
    step = run.step(step_id)
    run = with_step(run, step_id, status=StepStatus.PENDING, losses=step.losses + 1, wait=None)
    if step.wait is not None:
        return waited(run, step_id, step.wait)
    run = replace(run, held=run.held - 1)
    return with_flow(run, evaluating=run.flow.evaluating - 1) if "@" in step_id else run


LastWord = StepSucceeded | StepFailed | StepTimedOut | StepSkipped | StepCancelled | StepAbandoned


def last_word(step: Step, event: LastWord) -> Step:
    """The step as it stays from here on."""
    match event:
        case StepSucceeded():
            return replace(
                step,
                status=StepStatus.SUCCEEDED,
                output=event.output if event.output is not None else step.output,
                branch=event.branch,
                input=event.input if event.input is not None else step.input,
                edges=event.edges,
            )
        case StepFailed() | StepTimedOut():
            timed_out = isinstance(event, StepTimedOut)
            return replace(
                step,
                status=StepStatus.TIMED_OUT if timed_out else StepStatus.FAILED,
                error=event.error,
                input=event.input if event.input is not None else step.input,
                edges=event.edges,
            )
        case StepSkipped():
            return replace(step, status=StepStatus.SKIPPED)
        case StepCancelled() | StepAbandoned():
            return replace(step, status=StepStatus.CANCELLED)
        case _:
            assert_never(event)
