"""The rules: what a command adds to a run's history.

Delivery is at least once, late, and in any order, so every rule answers a command that already
took effect, or whose time has passed, with no event.
"""

from typing import assert_never

from penstock.domain.errors import Conflict, NotFound
from penstock.domain.ids import derived
from penstock.domain.run.commands import (
    CancelRun,
    CompleteStep,
    ConfirmCancel,
    ContinueRun,
    FailStep,
    FireTimer,
    ReportLost,
    RunCommand,
    StartRun,
    StartStep,
    SuspendStep,
)
from penstock.domain.run.consequences import settle
from penstock.domain.run.draft import Draft, call_off
from penstock.domain.run.events import (
    CancelCause,
    RunError,
    RunEvent,
    RunStarted,
    StepAbandoned,
    StepReady,
    StepSucceeded,
)
from penstock.domain.run.reports import report
from penstock.domain.run.state import HELD, Run, RunStatus, TimerKind


def decide(command: RunCommand, run: Run, *, at: int) -> list[RunEvent]:
    """The events that `command` adds to a run's history; none if there is nothing to add.

    at: the moment of the decision, ms since the epoch. Raises Refused where the caller of a
    `StartRun` or `CancelRun` must hear that it cannot be.
    """
    return play(command, run, at=at)[0]


def play(command: RunCommand, run: Run, *, at: int) -> tuple[list[RunEvent], Run]:
    """What `decide` answers, and the run after it, which deciding has found on the way."""
    draft = Draft(run, at)
    accept(draft, command)
    settle(draft)
    return draft.events, draft.run


def accept(draft: Draft, command: RunCommand) -> None:
    """What the command itself says, before its consequences."""
    match command:
        case StartRun():
            start(draft, command)
        case CancelRun(reason=reason):
            cancel(draft, reason)
        case ContinueRun():
            pass
        case FireTimer(timer_id=timer_id):
            fire(draft, timer_id)
        case CompleteStep() | FailStep() | SuspendStep() | StartStep():
            report(draft, command)
        case ReportLost() | ConfirmCancel():
            report(draft, command)
        case _:
            assert_never(command)


def start(draft: Draft, command: StartRun) -> None:
    """Begin the run; the same start again is answered with nothing, another one refused."""
    run = draft.run
    if run.started is not None:
        if run.started.request_hash != command.request_hash:
            raise Conflict(
                "this idempotency key was used with another request", code="IDEMPOTENCY_CONFLICT"
            )
        return
    limit_ms = run.drawn.definition.timeout_ms
    draft.record(
        RunStarted(
            workflow_id=command.workflow_id,
            workflow_name=command.workflow_name,
            version=command.version,
            definition=command.definition,
            input=command.input,
            created_at=command.created_at,
            trigger=command.trigger,
            tags=command.tags,
            priority=command.priority,
            request_hash=command.request_hash,
            traceparent=command.traceparent,
            timer_id=None if limit_ms is None else derived(run.id, TimerKind.DEADLINE),
            deadline_at=None if limit_ms is None else draft.at + limit_ms,
        )
    )


def cancel(draft: Draft, reason: str) -> None:
    """Bring the run to its end on a caller's word."""
    run = draft.run
    if run.status is RunStatus.UNBORN:
        raise NotFound("there is no such run")
    if not run.is_live:
        raise Conflict(f"the run has already {ended_how(run)}", code="RUN_FINISHED")
    if run.ending is None:
        error = RunError(code="CANCELLED", message=reason or "cancelled by request")
        call_off(draft, CancelCause.USER, error, reason)


def ended_how(run: Run) -> str:
    """The run's end in words: `succeeded`, `failed`, `been cancelled`, `timed out`."""
    words = {RunStatus.CANCELLED: "been cancelled", RunStatus.TIMED_OUT: "timed out"}
    return words.get(run.status, str(run.status))


def fire(draft: Draft, timer_id: str) -> None:
    """Obey a timer that the run still waits for; nobody compares clocks."""
    timer = draft.run.timers.get(timer_id)
    if timer is None or not draft.run.is_live:
        return
    match timer.kind:
        case TimerKind.RETRY if draft.run.ending is not None:
            pass  # it has not been its turn to be put out, and nothing new starts any more
        case TimerKind.RETRY:
            attempt = draft.run.step(timer.step_id).attempt
            draft.record(StepReady(step_id=timer.step_id, attempt=attempt + 1))
        case TimerKind.WAIT:
            attempt = draft.run.step(timer.step_id).attempt
            draft.record(
                StepSucceeded(step_id=timer.step_id, attempt=attempt, finished_at=draft.at)
            )
        case TimerKind.DEADLINE:
            if draft.run.ending is None:
                error = RunError(code="TIMEOUT", message="the run went over its time limit")
                call_off(draft, CancelCause.TIMEOUT, error)
        case TimerKind.GRACE:
            abandon(draft)
        case _:
            assert_never(timer.kind)


def abandon(draft: Draft) -> None:
    """Give up on every attempt whose executor did not answer the cancel in time."""
    for step_id in draft.run.drawn.order:
        step = draft.run.step(step_id)
        if step.status in HELD:
            draft.record(StepAbandoned(step_id=step_id, attempt=step.attempt))
