"""What follows from the state of a run alone, one event at a time.

What does not fit into one decision stays where it is, and `is_owed` says that a `ContinueRun`
must come for it.
"""

from typing import assert_never

from penstock.domain.run.draft import Draft, call_off
from penstock.domain.run.events import (
    SINKS_MAX,
    CancelCause,
    RunCancelled,
    RunEvent,
    RunFailed,
    RunSucceeded,
    RunTimedOut,
    StepCancelled,
    StepDispatched,
    StepReady,
    StepSkipped,
)
from penstock.domain.run.state import HELD, NOTHING, SETTLED, Run, StepStatus

HELD_MAX = 512
"""Steps of one run that executors hold at once; the others wait, ready, in the run."""


def settle(draft: Draft) -> None:
    """Everything that follows, until nothing is left or the decision is full."""
    while draft.has_room and draft.run.ending is None:
        event = next_consequence(draft.run)
        if event is None:
            return
        draft.record(event)
    if draft.run.ending is not None and draft.run.is_live:
        bring_to_end(draft)


def next_consequence(run: Run) -> RunEvent | None:
    """What follows next in a run that is not being ended; None if all depends on others now."""
    if not run.is_live or run.ending is not None:
        return None
    step_id = run.agenda.head
    if step_id is not None:
        if not run.drawn.incoming[step_id] or run.arrivals.get(step_id, NOTHING).taken:
            return StepReady(step_id=step_id, attempt=1)
        return StepSkipped(step_id=step_id)
    step_id = run.waiting.head
    if step_id is not None and run.held < HELD_MAX:
        attempt = run.step(step_id).attempt
        return StepDispatched(step_id=step_id, attempt=attempt, queue=run.drawn.node(step_id).queue)
    return succeeded(run) if run.unsettled == 0 else None


def succeeded(run: Run) -> RunSucceeded:
    """The good end, with the steps that the run's output is made of."""
    graph = run.drawn
    sinks = [s for s in graph.sinks if run.step(s).status is StepStatus.SUCCEEDED]
    fits = len(sinks) <= SINKS_MAX
    return RunSucceeded(sinks=tuple(sinks) if fits else (), keyed=len(graph.sinks) > 1)


def bring_to_end(draft: Draft) -> None:
    """Settle what nobody holds, tell what is held to stop, and end the run when all is quiet."""
    run = draft.run
    if run.ending is not None and not run.ending.told and run.held:
        call_off(draft, run.ending.cause, run.ending.error)
    if draft.run.unsettled > draft.run.held:
        for step_id in draft.run.drawn.order:
            if not draft.has_room:
                return
            put_out(draft, step_id)
    if draft.run.unsettled == 0 and draft.has_room:
        draft.record(final_event(draft.run))


def put_out(draft: Draft, step_id: str) -> None:
    """Settle a step that nobody holds: it is cancelled if it had started, else skipped."""
    step = draft.run.step(step_id)
    if step.status in SETTLED or step.status in HELD:
        return
    if step.status in (StepStatus.RETRYING, StepStatus.WAITING):
        draft.record(StepCancelled(step_id=step_id, attempt=step.attempt))
    else:
        draft.record(StepSkipped(step_id=step_id))


def final_event(run: Run) -> RunEvent:
    """The last event of a run that did not come to a good end."""
    assert run.ending is not None
    error = run.ending.error
    match run.ending.cause:
        case CancelCause.USER:
            return RunCancelled(error=error)
        case CancelCause.FAILURE:
            return RunFailed(error=error)
        case CancelCause.TIMEOUT:
            return RunTimedOut(error=error)
        case _:
            assert_never(run.ending.cause)


def is_owed(run: Run) -> bool:
    """Whether consequences are left that did not fit, so that a `ContinueRun` must follow."""
    if run.ending is not None:
        return run.is_live and (run.unsettled > run.held or run.unsettled == 0)
    return next_consequence(run) is not None
