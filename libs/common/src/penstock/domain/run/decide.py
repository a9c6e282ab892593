"""The rules: what a command adds to a run's history.

Delivery is at least once, late, and in any order, so every rule answers a command that already
took effect, or whose time has passed, with no event.
"""

from typing import assert_never

from penstock.domain.errors import Conflict
from penstock.domain.run.admission import begin, give_up_waiting, pass_gate, queue
from penstock.domain.run.commands import (
    AdmitRun,
    CancelRun,
    CompleteStep,
    ConfirmCancel,
    ContinueRun,
    DecideApproval,
    EndChild,
    FailStep,
    FireTimer,
    PauseRun,
    ReportLost,
    ResumeRun,
    RunCommand,
    SignalRun,
    StartRun,
    StartStep,
    SuspendStep,
    TurnAway,
)
from penstock.domain.run.consequences import settle
from penstock.domain.run.control import control, end_child
from penstock.domain.run.draft import Draft, Room, ample, call_off
from penstock.domain.run.events import (
    CancelCause,
    RunError,
    RunEvent,
    RunStarted,
    StepAbandoned,
    StepError,
    StepFailed,
    StepReady,
    StepSucceeded,
    StepTimedOut,
    Verdict,
    WaitKind,
)
from penstock.domain.run.flow import open_steps
from penstock.domain.run.reports import report
from penstock.domain.run.state import HELD, Run, TimerKind
from penstock.domain.run.waits import REJECTED, takes_branches


def decide(command: RunCommand, run: Run, *, at: int, room: Room = ample) -> list[RunEvent]:
    """The events that `command` adds to a run's history; none if there is nothing to add.

    at: the moment of the decision, ms since the epoch. room: how many steps of a queue it may
    dispatch, the same for every question about that queue.
    Raises Refused where whoever asks for something must hear that it cannot be.
    """
    return play(command, run, at=at, room=room)[0]


def play(
    command: RunCommand, run: Run, *, at: int, room: Room = ample
) -> tuple[list[RunEvent], Run]:
    """What `decide` answers, and the run after it, which deciding has found on the way."""
    draft = Draft(run, at, room)
    accept(draft, command)
    settle(draft)
    return draft.events, draft.run


def accept(draft: Draft, command: RunCommand) -> None:
    """What the command itself says, before its consequences."""
    match command:
        case CompleteStep() | FailStep() | SuspendStep() | StartStep():
            report(draft, command)
        case StartRun():
            start(draft, command)
        case AdmitRun() | TurnAway():
            pass_gate(draft, command)
        case CancelRun() | PauseRun() | ResumeRun() | SignalRun() | DecideApproval():
            control(draft, command)
        case EndChild():
            end_child(draft, command)
        case ContinueRun():
            pass
        case FireTimer(timer_id=timer_id):
            fire(draft, timer_id)
        case ReportLost() | ConfirmCancel():
            report(draft, command)
        case _:
            assert_never(command)


def start(draft: Draft, command: StartRun) -> None:
    """Begin the run; the same start again is answered with nothing, another one refused."""
    before = draft.run.start
    if before is not None:
        if before.request_hash != command.request_hash:
            raise Conflict(
                "this idempotency key was used with another request", code="IDEMPOTENCY_CONFLICT"
            )
        return
    event = RunStarted(
        workflow_id=command.workflow_id,
        workflow_name=command.workflow_name,
        version=command.version,
        definition=command.definition,
        input=command.input,
        created_at=command.created_at,
        vars=command.vars,
        trigger=command.trigger,
        tags=command.tags,
        priority=command.priority,
        request_hash=command.request_hash,
        traceparent=command.traceparent,
        parent=command.parent,
        forked_from=command.forked_from,
    )
    if command.gates:
        queue(draft, event, command)
    else:
        begin(draft, event, command.state)


def fire(draft: Draft, timer_id: str) -> None:
    """Obey a timer that the run still waits for; nobody compares clocks."""
    timer = draft.run.timers.get(timer_id)
    if timer is None or draft.run.is_over:
        return
    match timer.kind:
        case TimerKind.RETRY if draft.run.ending is not None:
            pass  # it has not been its turn to be put out, and nothing new starts any more
        case TimerKind.RETRY:
            attempt = draft.run.step(timer.step_id).attempt
            draft.record(StepReady(step_id=timer.step_id, attempt=attempt + 1))
        case TimerKind.WAIT:
            end_wait(draft, timer.step_id)
        case TimerKind.DEADLINE:
            if draft.run.ending is None:
                error = RunError(code="TIMEOUT", message="the run went over its time limit")
                call_off(draft, CancelCause.TIMEOUT, error)
        case TimerKind.QUEUE:
            give_up_waiting(draft)
        case TimerKind.GRACE:
            abandon(draft)
        case _:
            assert_never(timer.kind)


def end_wait(draft: Draft, step_id: str) -> None:
    """The time of a wait is over: for a delay all is well, others take a branch, or are late."""
    step = draft.run.step(step_id)
    wait = step.wait
    assert wait is not None, "a timer of a wait belongs to a step that waits"
    is_rejection = wait.kind is WaitKind.APPROVAL and wait.on_timeout == Verdict.REJECT
    if is_rejection and not takes_branches(draft.run, step_id):
        error = StepError(code=REJECTED, message="nobody approved in time")
        draft.record(
            StepFailed(step_id=step_id, attempt=step.attempt, error=error, finished_at=draft.at)
        )
        return
    if wait.on_timeout is None and (wait.exceeds or wait.kind is not WaitKind.DELAY):
        error = StepError(code="TIMEOUT", message="the step went over its time limit")
        draft.record(
            StepTimedOut(step_id=step_id, attempt=step.attempt, error=error, finished_at=draft.at)
        )
        return
    draft.record(
        StepSucceeded(
            step_id=step_id,
            attempt=step.attempt,
            branch=wait.on_timeout,
            finished_at=draft.at,
        )
    )


def abandon(draft: Draft) -> None:
    """Give up on everybody who did not answer the cancel in time: executors and child runs."""
    for step_id in list(open_steps(draft.run, draft.run.drawn)):
        step = draft.run.step(step_id)
        is_child = step.wait is not None and step.wait.kind is WaitKind.CHILD
        if draft.has_room and (step.status in HELD or is_child):
            draft.record(StepAbandoned(step_id=step_id, attempt=step.attempt))
