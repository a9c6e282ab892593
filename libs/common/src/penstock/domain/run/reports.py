"""What the reports of executors add to a run's history."""

from typing import assert_never

from penstock.domain.ids import derived
from penstock.domain.run.commands import (
    CompleteStep,
    ConfirmCancel,
    EndChild,
    FailStep,
    Report,
    ReportLost,
    RunCommand,
    StartStep,
    SuspendStep,
)
from penstock.domain.run.draft import Draft
from penstock.domain.run.events import (
    ResultDiscarded,
    SecretUsed,
    StepCancelled,
    StepError,
    StepFailed,
    StepLost,
    StepReady,
    StepRetryScheduled,
    StepStarted,
    StepSucceeded,
    StepTimedOut,
    StepWaiting,
    WaitKind,
)
from penstock.domain.run.retry import next_attempt_in_ms
from penstock.domain.run.state import HELD, Run, StepStatus, TimerKind
from penstock.domain.workflow.graph import RETRY_DEFAULT
from penstock.domain.workflow.model import Retry

Using = CompleteStep | FailStep | ReportLost | ConfirmCancel
"""What settles an attempt, and says what it was given."""

LOSSES_MAX = 5
"""How often an attempt is repeated because its executor was lost, before the step fails."""

DEPTH_MAX = 16
"""How many runs may be above a run, each waiting for the next."""

RELEASES_MAX = 100
"""How often executors may hand an attempt back when they stop, before that counts as lost."""


def report(draft: Draft, command: Report) -> None:
    """What an executor says about an attempt counts if, and only if, the run awaits it."""
    run = draft.run
    if not run.awaits(command.step_id, command.attempt):
        discard(draft, command)
        return
    if isinstance(command, Using) and command.used:
        use(draft, command)
    match command:
        case CompleteStep():
            draft.record(
                StepSucceeded(
                    step_id=command.step_id,
                    attempt=command.attempt,
                    output=command.output,
                    branch=command.branch,
                    input=command.input,
                    started_at=command.started_at,
                    finished_at=command.finished_at,
                    executor_id=command.executor_id,
                    edges=command.edges,
                )
            )
        case StartStep():
            started(draft, command)
        case FailStep():
            fail(draft, command)
        case SuspendStep():
            suspend(draft, command)
        case ReportLost():
            lose(draft, command)
        case ConfirmCancel():
            if run.ending is not None:
                draft.record(StepCancelled(step_id=command.step_id, attempt=command.attempt))
        case _:
            assert_never(command)


def use(draft: Draft, command: Using) -> None:
    """Put on record what the attempt was given, in the same decision as what it came to.

    A cancel that the run does not know of settles nothing, and would say this again.
    """
    if not isinstance(command, ConfirmCancel) or draft.run.ending is not None:
        draft.record(
            SecretUsed(step_id=command.step_id, attempt=command.attempt, used=command.used)
        )


def is_ahead(command: RunCommand, run: Run) -> bool:
    """Whether a report is about an attempt, a child or a cancel that this run does not know of yet.

    Nobody can know of one before it is in the history: the report is forged, or this is the run
    as it was some time ago.
    """
    if not isinstance(command, Report | EndChild) or run.is_over:
        return False
    step = run.step(command.step_id)
    if isinstance(command, EndChild) and command.attempt == step.attempt:
        return step.status is StepStatus.READY or step.status in HELD
    if command.attempt == step.attempt:
        untold = isinstance(command, ConfirmCancel) and run.ending is None
        return step.status is StepStatus.READY or (untold and step.status in HELD)
    return command.attempt > step.attempt


def discard(draft: Draft, command: Report) -> None:
    """Put on record, once, that a given-up attempt came to a result after all."""
    step = draft.run.step(command.step_id)
    given_up = command.attempt < step.attempt or step.status is StepStatus.CANCELLED
    if not isinstance(command, CompleteStep) or command.attempt <= step.discarded:
        return
    if draft.run.is_live and given_up:
        reason = f"attempt {command.attempt} had been given up"
        if command.used:
            use(draft, command)
        draft.record(
            ResultDiscarded(step_id=command.step_id, attempt=command.attempt, reason=reason)
        )


def started(draft: Draft, command: StartStep) -> None:
    """The attempt has been running for a while."""
    if draft.run.step(command.step_id).status is StepStatus.DISPATCHED:
        draft.record(
            StepStarted(
                step_id=command.step_id,
                attempt=command.attempt,
                started_at=command.started_at,
                executor_id=command.executor_id,
            )
        )


def suspend(draft: Draft, command: SuspendStep) -> None:
    """The step goes on when what it waits for comes; in a run that ends it never will."""
    run = draft.run
    if run.ending is not None:
        draft.record(StepCancelled(step_id=command.step_id, attempt=command.attempt))
        return
    if command.kind is WaitKind.CHILD and depth_of(run) >= DEPTH_MAX:
        message = f"a run may have {DEPTH_MAX} runs above it, not more"
        error = StepError(code="DEPTH_EXCEEDED", message=message)
        draft.record(StepFailed(step_id=command.step_id, attempt=command.attempt, error=error))
        return
    is_child = command.kind is WaitKind.CHILD
    draft.record(
        StepWaiting(
            step_id=command.step_id,
            attempt=command.attempt,
            kind=command.kind,
            timer_id=timer_id_of(run, TimerKind.WAIT, command) if command.until else "",
            until=command.until,
            exceeds=command.exceeds,
            on_timeout=command.on_timeout,
            output=command.output,
            name=command.name,
            count=command.count,
            items=command.items,
            width=command.width,
            most=command.most,
            tolerant=command.tolerant,
            workflow_id=command.workflow_id,
            version=command.version,
            input=command.input,
            child_id=child_id(run.id, command.step_id, command.attempt) if is_child else "",
            started_at=command.started_at,
            executor_id=command.executor_id,
        )
    )


def depth_of(run: Run) -> int:
    """How many runs are above this one."""
    parent = run.started.parent if run.started is not None else None
    return 0 if parent is None else parent.depth


def child_id(run_id: str, step_id: str, attempt: int) -> str:
    """The id of the run that an attempt begins; the same however often it is asked for."""
    return derived(run_id, step_id, str(attempt), "child")


def fail(draft: Draft, command: FailStep) -> None:
    """Try again where the policy allows it, else let the failure stand."""
    run = draft.run
    rest_ms = None
    if run.ending is None:
        rest_ms = next_attempt_in_ms(
            policy_of(run, command.step_id),
            command,
            run_id=run.id,
            tries=run.step(command.step_id).tries + 1,
        )
    if rest_ms is None:
        final = StepTimedOut if command.timed_out else StepFailed
        draft.record(
            final(
                step_id=command.step_id,
                attempt=command.attempt,
                error=command.error,
                input=command.input,
                started_at=command.started_at,
                finished_at=command.finished_at,
                executor_id=command.executor_id,
                edges=command.edges,
            )
        )
        return
    draft.record(
        StepRetryScheduled(
            step_id=command.step_id,
            attempt=command.attempt,
            error=command.error,
            timer_id=timer_id_of(run, TimerKind.RETRY, command),
            due_at=draft.at + rest_ms,
            started_at=command.started_at,
            finished_at=command.finished_at,
            executor_id=command.executor_id,
        )
    )


def policy_of(run: Run, step_id: str) -> Retry:
    """How often a step is tried; an evaluation as often as any step that says nothing of it."""
    return RETRY_DEFAULT if "@" in step_id else run.drawn.retry(step_id)


def lose(draft: Draft, command: ReportLost) -> None:
    """Repeat an attempt whose holder is gone; that is no failure of the step, up to a bound."""
    step_id, attempt = command.step_id, command.attempt
    if draft.run.ending is not None:
        draft.record(StepCancelled(step_id=step_id, attempt=attempt))
        return
    losses = draft.run.step(step_id).losses
    bound = RELEASES_MAX if command.reason == "released" else LOSSES_MAX
    if losses >= bound:
        message = f"lost its executor {losses + 1} times, the last time it {command.reason}"
        error = StepError(code="EXECUTOR_LOST", message=message)
        draft.record(StepFailed(step_id=step_id, attempt=attempt, error=error))
        return
    draft.record(StepLost(step_id=step_id, attempt=attempt, reason=command.reason))
    draft.record(StepReady(step_id=step_id, attempt=attempt + 1))


def timer_id_of(run: Run, kind: TimerKind, command: SuspendStep | FailStep) -> str:
    """The id of the timer that an attempt's report begins; the same however often it comes."""
    return derived(run.id, command.step_id, str(command.attempt), kind)
