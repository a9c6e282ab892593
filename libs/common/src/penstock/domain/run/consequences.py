"""What follows from the state of a run alone, one event at a time.

What does not fit into one decision stays where it is, and `is_owed` says that a `ContinueRun`
must come for it. Steps that only wait for room at the executors are owed by whoever admits them:
`demand` says how many.
"""

from typing import NamedTuple, assert_never

from penstock.domain.run.draft import Draft, Room, call_off, none
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
    StepFailed,
    StepReady,
    StepSkipped,
    StepSucceeded,
    StepTimedOut,
    WaitKind,
)
from penstock.domain.run.flow import is_undecided, open_steps
from penstock.domain.run.loops import next_index
from penstock.domain.run.paths import RUN_OUTPUT, inside, iteration, owner_of
from penstock.domain.run.settling import is_entered
from penstock.domain.run.state import HELD, NOTHING, PLAIN, Answer, Run, Step, StepStatus

HELD_MAX = 512
"""Steps of one run that executors hold at once; the others wait, ready, in the run."""


class Demand(NamedTuple):
    """What a run waits for: room for so many of its steps at the executors of a queue.

    until: the number, in the run's order of becoming ready, of the first step that it does not
    count, for it is not ready yet. since: the number of the one that comes next.
    """

    queue: str
    steps: int
    since: int
    until: int


def settle(draft: Draft) -> None:
    """Everything that follows, until nothing is left or the decision is full."""
    while draft.has_room and draft.run.ending is None:
        event = next_consequence(draft.run, at=draft.at, room=draft.room)
        if event is None:
            return
        draft.record(event)
    if draft.run.ending is not None and draft.run.is_live:
        bring_to_end(draft)


def next_consequence(run: Run, *, at: int = 0, room: Room = none) -> RunEvent | None:
    """What follows next in a run that is not being ended; None if all depends on others now.

    room: how many more of its steps may be dispatched. A loop opens one more iteration only when
    nothing is ready and waits.
    """
    if not run.is_live or run.ending is not None:
        return None
    if run.flow is not PLAIN:
        event = aside(run, at)
        if event is not None:
            return event
    if run.paused:
        return None
    step_id = run.agenda.head
    if step_id is not None:
        return joined(run, step_id)
    if run.waiting.head is not None:
        return dispatch(run, room)
    if run.flow.hungry and run.held < HELD_MAX:
        return next_iteration(run, run.flow.hungry[0])
    if run.unsettled or is_undecided(run, run.drawn):
        return None
    return succeeded(run)


def aside(run: Run, at: int) -> RunEvent | None:
    """The next step that is put out, or that has heard what it waited for, while the run goes on.

    A pause holds neither back: nothing starts by it.
    """
    step_id = run.flow.closing.head
    if step_id is not None:
        return put_out(run, step_id)
    answer = run.flow.answers.head
    return None if answer is None else said(run.step(answer.step_id), answer, at)


def joined(run: Run, step_id: str) -> RunEvent:
    """What becomes of a step whose join is decided, or of an evaluation that is asked for."""
    if "@" in step_id:
        return StepReady(step_id=step_id, attempt=1)
    graph, node_id = run.located(step_id)
    if is_entered(graph, node_id, run.arrivals.get(step_id, NOTHING)):
        return StepReady(step_id=step_id, attempt=1)
    return StepSkipped(step_id=step_id)


def dispatch(run: Run, room: Room) -> RunEvent | None:
    """The step that has been ready for longest goes to the executors, if they may have more."""
    step_id = run.waiting.head
    if step_id is None or run.held >= HELD_MAX:
        return None
    queue = queue_of(run, step_id)
    if room(queue) <= 0:
        return None
    return StepDispatched(step_id=step_id, attempt=run.step(step_id).attempt, queue=queue)


def demand(run: Run) -> Demand | None:
    """The room at executors that a run waits for, None where it does not wait for that.

    It waits for the queue of the step that has been ready for longest. What its loops would open
    counts too, for they open more when there is room for it.
    """
    step_id = run.waiting.head
    if step_id is None or run.held >= HELD_MAX or run.paused or run.ending or not run.is_live:
        return None
    steps = len(run.waiting)
    for loop_id in run.flow.hungry:
        loop = run.flow.loops[loop_id]
        steps += min(loop.width - len(loop.active), (loop.count or 0) - loop.opened)
    most = min(steps, HELD_MAX - run.held)
    return Demand(queue_of(run, step_id), most, run.waiting.first, run.waiting.end)


def queue_of(run: Run, step_id: str) -> str:
    """The queue whose executors a step's work is for; an evaluation goes where its step goes."""
    owner = owner_of(step_id)
    return run.drawn.node(owner).queue if owner else "default"


def next_iteration(run: Run, loop_id: str) -> RunEvent:
    """The first step of a loop's next iteration."""
    graph, node_id = run.located(loop_id)
    scope = iteration(loop_id, next_index(run.flow.loops[loop_id]))
    return StepReady(step_id=inside(scope, graph.bodies[node_id].roots[0]), attempt=1)


def said(step: Step, answer: Answer, at: int) -> RunEvent:
    """The last word of a step that has heard what it waited for."""
    step_id, attempt = answer.step_id, step.attempt
    if answer.error is None:
        return StepSucceeded(
            step_id=step_id,
            attempt=attempt,
            output=answer.output,
            branch=answer.branch,
            finished_at=at,
        )
    final = StepTimedOut if answer.timed_out else StepFailed
    return final(step_id=step_id, attempt=attempt, error=answer.error, finished_at=at)


def succeeded(run: Run) -> RunEvent | None:
    """The good end, with what the run's output is made of; its template is evaluated before."""
    graph = run.drawn
    if needs_output(run):
        if run.step(RUN_OUTPUT).status is StepStatus.PENDING:
            return StepReady(step_id=RUN_OUTPUT, attempt=1)
        return None if run.flow.output is None else RunSucceeded(output=run.flow.output)
    sinks = [s for s in graph.sinks if run.step(s).status is StepStatus.SUCCEEDED]
    fits = len(sinks) <= SINKS_MAX
    return RunSucceeded(sinks=tuple(sinks) if fits else (), keyed=len(graph.sinks) > 1)


def needs_output(run: Run) -> bool:
    """Whether a run's output has to be made by an executor.

    A child's always is where it has several parts, for its parent takes one payload.
    """
    graph = run.drawn
    is_child = run.started is not None and run.started.parent is not None
    return graph.output_reads is not None or (is_child and len(graph.sinks) > 1)


def bring_to_end(draft: Draft) -> None:
    """Settle what nobody holds, tell what is held to stop, and end the run when all is quiet."""
    run = draft.run
    if run.ending is not None and not run.ending.told and run.owed:
        call_off(draft, run.ending.cause, run.ending.error)
    if draft.run.unsettled > draft.run.owed:
        for step_id in list(open_steps(draft.run, draft.run.drawn)):
            if not draft.has_room:
                return
            if not is_owed_a_word(draft.run, step_id):
                draft.record(put_out(draft.run, step_id))
    if draft.run.unsettled == 0 and draft.has_room:
        draft.record(final_event(draft.run))


def is_owed_a_word(run: Run, step_id: str) -> bool:
    """Whether somebody has yet to say how a step ended: its executor, or its child run.

    A loop has no last word before those of the steps inside of it.
    """
    step = run.step(step_id)
    if step.status in HELD:
        return True
    if step.wait is None:
        return False
    if step.wait.kind is WaitKind.LOOP:
        graph, node_id = run.located(step_id)
        body, loop = graph.bodies[node_id], run.flow.loops[step_id]
        return any(
            True for index in loop.active for _ in open_steps(run, body, iteration(step_id, index))
        )
    return step.wait.kind is WaitKind.CHILD


def put_out(run: Run, step_id: str) -> RunEvent:
    """The last word of a step whose turn will not come: cancelled if it had begun, else skipped."""
    step = run.step(step_id)
    if step.status in (StepStatus.PENDING, StepStatus.READY):
        return StepSkipped(step_id=step_id)
    return StepCancelled(step_id=step_id, attempt=step.attempt)


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
    if run.ending is None:
        if run.agenda.head is None and run.unsettled and run.flow is PLAIN:
            return False
        return next_consequence(run) is not None
    if not run.is_live:
        return False
    if run.unsettled == 0:
        return True
    return run.unsettled > run.owed and any(
        not is_owed_a_word(run, step_id) for step_id in open_steps(run, run.drawn)
    )
