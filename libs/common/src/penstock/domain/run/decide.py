"""The rules: what a command adds to a run's history.

Delivery is at least once, late, and in any order, so every rule answers a command that already
took effect, or whose time has passed, with no event. What a settled step sets in motion follows
from the state alone (`next_consequence`); what does not fit into one decision waits there until
a `ContinueRun` asks for the rest.
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
from penstock.domain.run.events import (
    SINKS_MAX,
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
from penstock.domain.run.retry import next_attempt_in_ms
from penstock.domain.run.state import (
    HELD,
    NOTHING,
    SETTLED,
    Run,
    RunStatus,
    StepStatus,
    Timer,
    TimerKind,
    evolve,
)

CONSEQUENCES_MAX = 500
"""Events that follow from one command in one decision; the rest follows by `ContinueRun`."""

HELD_MAX = 512
"""Steps of one run that executors hold at once; the others wait, ready, in the run."""

LOSSES_MAX = 5
"""How often an attempt is repeated because its executor was lost, before the step fails."""

RELEASES_MAX = 100
"""How often executors may hand an attempt back when they stop, before that counts as lost."""

GRACE_MS = 5_000
"""How long running steps have to answer a cancel before they are abandoned."""


def decide(command: RunCommand, run: Run, *, at: int) -> list[RunEvent]:
    """The events that `command` adds to a run's history; none if there is nothing to add.

    at: the moment of the decision, ms since the epoch. Raises Refused where the caller of a
    `StartRun` or `CancelRun` must hear that it cannot be.
    """
    draft = Draft(run, at)
    accept(draft, command)
    settle(draft)
    return draft.events


def is_owed(run: Run) -> bool:
    """Whether consequences are left that did not fit, so that a `ContinueRun` must follow."""
    if run.ending is not None:
        return run.is_live and (run.unsettled > run.held or run.unsettled == 0)
    return next_consequence(run) is not None


class Draft:
    """The events of one decision as they are found, and the run as it would be after them."""

    def __init__(self, run: Run, at: int) -> None:
        self.run = run
        self.at = at
        self.events: list[RunEvent] = []

    def record(self, event: RunEvent) -> None:
        """One more event."""
        self.events.append(event)
        self.run = evolve(self.run, event)

    @property
    def has_room(self) -> bool:
        """Whether one more consequence fits into the decision."""
        return len(self.events) < CONSEQUENCES_MAX


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
    limit_ms = run.drawn.run_timeout_ms
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


def call_off(draft: Draft, cause: CancelCause, error: RunError, reason: str = "") -> None:
    """From here on nothing new starts, and what runs is told to stop."""
    draft.record(
        RunCancelRequested(
            cause=cause,
            reason=reason,
            error=error,
            timer_id=derived(draft.run.id, TimerKind.GRACE),
            grace_until=draft.at + GRACE_MS,
        )
    )


def fire(draft: Draft, timer_id: str) -> None:
    """Obey a timer that the run still waits for; nobody compares clocks."""
    timer = draft.run.timers.get(timer_id)
    if timer is None or not draft.run.is_live:
        return
    match timer.kind:
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


StepReport = StartStep | CompleteStep | FailStep | SuspendStep | ReportLost | ConfirmCancel


def report(draft: Draft, command: StepReport) -> None:
    """What an executor says about an attempt counts if, and only if, the run awaits it."""
    run = draft.run
    if not run.awaits(command.step_id, command.attempt):
        discard(draft, command)
        return
    match command:
        case StartStep():
            started(draft, command)
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
                )
            )
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


def discard(draft: Draft, command: StepReport) -> None:
    """Put on record, once, that a given-up attempt came to a result after all."""
    step = draft.run.step(command.step_id)
    given_up = command.attempt < step.attempt or step.status is StepStatus.CANCELLED
    late = isinstance(command, CompleteStep) and command.attempt > step.discarded
    if draft.run.is_live and given_up and late:
        reason = f"attempt {command.attempt} had been given up"
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
    """The step goes on when its timer fires; in a run that ends it never will."""
    if draft.run.ending is not None:
        draft.record(StepCancelled(step_id=command.step_id, attempt=command.attempt))
        return
    draft.record(
        StepWaiting(
            step_id=command.step_id,
            attempt=command.attempt,
            timer_id=timer_id_of(draft.run, TimerKind.WAIT, command),
            until=command.until,
            output=command.output,
            started_at=command.started_at,
            executor_id=command.executor_id,
        )
    )


def fail(draft: Draft, command: FailStep) -> None:
    """Try again where the policy allows it, else let the failure stand."""
    run = draft.run
    rest_ms = None
    if run.ending is None:
        rest_ms = next_attempt_in_ms(
            run.drawn.retry(command.step_id),
            command,
            run_id=run.id,
            tries=run.step(command.step_id).tries + 1,
        )
    if rest_ms is None:
        Final = StepTimedOut if command.timed_out else StepFailed
        draft.record(
            Final(
                step_id=command.step_id,
                attempt=command.attempt,
                error=command.error,
                input=command.input,
                started_at=command.started_at,
                finished_at=command.finished_at,
                executor_id=command.executor_id,
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
        if step_id in run.drawn.roots_set or run.arrivals.get(step_id, NOTHING).taken:
            return StepReady(step_id=step_id, attempt=1)
        return StepSkipped(step_id=step_id)
    step_id = run.waiting.head
    if step_id is not None and run.held < HELD_MAX:
        attempt = run.step(step_id).attempt
        return StepDispatched(
            step_id=step_id, attempt=attempt, queue=run.drawn.node(step_id).queue
        )
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


def next_timers(events: list[RunEvent]) -> list[tuple[str, Timer]]:
    """The timers that `events` begin, with their ids: what the shell must have set."""
    found: list[tuple[str, Timer]] = []
    for event in events:
        match event:
            case StepRetryScheduled():
                timer = Timer(TimerKind.RETRY, event.due_at, event.step_id)
            case StepWaiting():
                timer = Timer(TimerKind.WAIT, event.until, event.step_id)
            case RunCancelRequested():
                timer = Timer(TimerKind.GRACE, event.grace_until)
            case RunStarted(timer_id=str(), deadline_at=int()):
                timer = Timer(TimerKind.DEADLINE, event.deadline_at)
            case _:
                continue
        found.append((event.timer_id, timer))
    return found
