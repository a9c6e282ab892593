"""What people, other systems and child runs may say to a run that is there already."""

from typing import assert_never

from penstock.domain.errors import Conflict, NotFound
from penstock.domain.run.commands import (
    CancelRun,
    Control,
    DecideApproval,
    EndChild,
    PauseRun,
    ResumeRun,
    SignalRun,
)
from penstock.domain.run.draft import Draft, call_off
from penstock.domain.run.events import (
    ApprovalDecided,
    CancelCause,
    RunCancelled,
    RunError,
    RunPaused,
    RunResumed,
    SignalReceived,
    StepCancelled,
    StepFailed,
    StepSucceeded,
)
from penstock.domain.run.state import SETTLED, Run, RunStatus

SIGNALS_MAX = 10_000
"""Signals that one run takes in its life."""


def control(draft: Draft, command: Control) -> None:
    """Do what somebody asks of a run. Raises NotFound, or Conflict for what its state forbids."""
    run = draft.run
    if run.status is RunStatus.UNBORN:
        raise NotFound("there is no such run")
    if isinstance(command, SignalRun) and command.signal_id in run.flow.heard:
        return
    if run.is_over:
        raise Conflict(f"the run has already {ended_how(run)}", code="RUN_FINISHED")
    match command:
        case CancelRun(reason=reason) if run.status is RunStatus.QUEUED:
            message = reason or "cancelled by request"
            draft.record(RunCancelled(error=RunError(code="CANCELLED", message=message)))
        case CancelRun(reason=reason):
            if run.ending is None:
                error = RunError(code="CANCELLED", message=reason or "cancelled by request")
                call_off(draft, CancelCause.USER, error, reason)
        case PauseRun(reason=reason):
            refuse_if_ending(run)
            if run.status is RunStatus.QUEUED:
                raise Conflict("the run has not started yet", code="RUN_QUEUED")
            if not run.paused:
                draft.record(RunPaused(reason=reason))
        case ResumeRun():
            refuse_if_ending(run)
            if not run.paused:
                raise Conflict("the run is not paused", code="NOT_PAUSED")
            draft.record(RunResumed())
        case SignalRun():
            signal(draft, command)
        case DecideApproval():
            decide_approval(draft, command)
        case _:
            assert_never(command)


def refuse_if_ending(run: Run) -> None:
    """Raises Conflict where a run is on its way to its end."""
    if run.ending is not None:
        raise Conflict("the run is being brought to its end", code="RUN_ENDING")


def ended_how(run: Run) -> str:
    """The run's end in words: `succeeded`, `failed`, `been cancelled`, `timed out`."""
    words = {RunStatus.CANCELLED: "been cancelled", RunStatus.TIMED_OUT: "timed out"}
    return words.get(run.status, str(run.status))


def signal(draft: Draft, command: SignalRun) -> None:
    """Put a signal on record; whoever waits for it, or will, hears it."""
    refuse_if_ending(draft.run)
    if len(draft.run.flow.heard) >= SIGNALS_MAX:
        raise Conflict(f"a run takes {SIGNALS_MAX} signals at most", code="LIMIT_EXCEEDED")
    draft.record(
        SignalReceived(name=command.name, signal_id=command.signal_id, payload=command.payload)
    )


def decide_approval(draft: Draft, command: DecideApproval) -> None:
    """Put a decision on record, also one that comes before the step asks for it."""
    run, step_id = draft.run, command.step_id
    refuse_if_ending(run)
    if not is_approval(run, step_id):
        raise NotFound(f"the run has no approval {step_id}")
    earlier = run.flow.decisions.get(step_id)
    if earlier is not None:
        if earlier == command.decision:
            return
        raise Conflict(f"{step_id} has been decided: {earlier}", code="ALREADY_DECIDED")
    if run.step(step_id).status in SETTLED:
        raise Conflict(f"{step_id} has settled without a decision", code="STEP_SETTLED")
    draft.record(ApprovalDecided(step_id=step_id, decision=command.decision, output=command.output))


def is_approval(run: Run, step_id: str) -> bool:
    """Whether the run's drawing has an approval at this path."""
    try:
        return "@" not in step_id and run.drawn.node(step_id).type == "approval"
    except KeyError:
        return False


def end_child(draft: Draft, command: EndChild) -> None:
    """The child run that a step waits for has ended, and the step with it."""
    run, step_id = draft.run, command.step_id
    step = run.step(step_id)
    wait = step.wait
    if not run.is_live or wait is None or wait.child_id != command.child_id:
        return
    if run.ending is not None:
        draft.record(StepCancelled(step_id=step_id, attempt=step.attempt))
    elif command.error is None:
        draft.record(
            StepSucceeded(
                step_id=step_id,
                attempt=step.attempt,
                output=command.output,
                finished_at=draft.at,
            )
        )
    else:
        draft.record(
            StepFailed(
                step_id=step_id, attempt=step.attempt, error=command.error, finished_at=draft.at
            )
        )
