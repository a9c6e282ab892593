"""How a run comes to its start: at once, or through gates, and from another run's state or not."""

from msgspec.structs import replace

from penstock.domain.gate.events import GateUse
from penstock.domain.ids import derived
from penstock.domain.payload import Payload
from penstock.domain.run.commands import AdmitRun, RunCommand, StartRun, TurnAway
from penstock.domain.run.draft import Draft, call_off
from penstock.domain.run.events import (
    CancelCause,
    Origin,
    RunAdmitted,
    RunCancelled,
    RunError,
    RunForked,
    RunQueued,
    RunStarted,
    RunTimedOut,
    StepLost,
    StepReady,
)
from penstock.domain.run.snapshot import orphans
from penstock.domain.run.state import Run, RunStatus, StepStatus, TimerKind
from penstock.domain.workflow.model import Strategy

SKIPPED = "CONCURRENCY_SKIPPED"
DISPLACED = "CONCURRENCY_CANCELLED"
DEADLOCK = "CONCURRENCY_DEADLOCK"
TOO_OFTEN = "RECURSION_RATE_EXCEEDED"
QUEUE_FULL = "QUEUE_FULL"


def queue(draft: Draft, start: RunStarted, command: StartRun) -> None:
    """Let the run wait for its gates, for as long as its definition says at most."""
    limit_ms = draft.run.drawn.definition.queued_timeout_ms
    draft.record(
        RunQueued(
            start=start,
            gates=command.gates,
            state=command.state,
            timer_id="" if limit_ms is None else derived(draft.run.id, TimerKind.QUEUE),
            until=0 if limit_ms is None else draft.at + limit_ms,
        )
    )


def pass_gate(draft: Draft, command: AdmitRun | TurnAway) -> None:
    """Go on to the next gate, or start behind the last one; who is turned away has ended."""
    run = draft.run
    gate = run.gate
    if isinstance(command, TurnAway):
        turned_away(draft, command)
        return
    if run.queued is None or gate is None or gate.gate_id != command.gate_id:
        return
    draft.record(RunAdmitted(gate_id=command.gate_id))
    if draft.run.admitted == len(run.queued.gates):
        begin(draft, run.queued.start, run.queued.state)


def turned_away(draft: Draft, command: TurnAway) -> None:
    """End a run that waits for this gate, or has passed it and is to make way for another run."""
    run = draft.run
    gate = next((each for each in asked(run) if each.gate_id == command.gate_id), None)
    if gate is None or run.is_over:
        return
    if gate is run.gate:
        draft.record(RunCancelled(error=turned_away_because(run, gate, command)))
    elif gate.rule.strategy is not Strategy.CANCEL_RUNNING or command.code:
        return
    elif run.status is RunStatus.QUEUED:
        draft.record(RunCancelled(error=turned_away_because(run, gate, command)))
    elif run.ending is None:
        call_off(draft, CancelCause.USER, turned_away_because(run, gate, command))


def turned_away_because(run: Run, gate: GateUse, command: TurnAway) -> RunError:
    """What the run that is turned away has for an error."""
    about = gate.label or "the workflow"
    if command.code:
        return RunError(code=command.code, message=f"{about}: too many runs wait already")
    parent = None if run.start is None else run.start.parent
    if parent is not None and command.holder in parent.above:
        said = f"{about}: run {command.holder}, which waits for this one, has the place"
        return RunError(code=DEADLOCK, message=said)
    if gate.rule.strategy is not Strategy.SKIP:
        return RunError(code=DISPLACED, message=f"{about}: run {command.holder} takes the place")
    if gate.rule.per_minute is not None:
        said = f"{about}: {gate.rule.per_minute} runs began within a minute"
        return RunError(code=TOO_OFTEN, message=said)
    return RunError(code=SKIPPED, message=f"{about}: run {command.holder} has the place")


def is_beyond(command: RunCommand, run: Run) -> bool:
    """Whether a gate speaks up that this run has not come to yet.

    It speaks to those that have asked it: this is the run as it was some time ago, or before its
    beginning.
    """
    if not isinstance(command, AdmitRun | TurnAway):
        return False
    if run.gate is None or run.queued is None:
        return run.start is None
    return any(each.gate_id == command.gate_id for each in run.queued.gates[run.admitted + 1 :])


def asked(run: Run) -> tuple[GateUse, ...]:
    """The gates that the run has asked to let it through, those included that have."""
    return () if run.queued is None else run.queued.gates[: run.admitted + 1]


def give_up_waiting(draft: Draft) -> None:
    """The run has stood in line for longer than its definition allows."""
    if draft.run.status is RunStatus.QUEUED:
        error = RunError(code="QUEUE_TIMEOUT", message="the run waited too long for its start")
        draft.record(RunTimedOut(error=error))


def begin(draft: Draft, start: RunStarted, state: Payload | None) -> None:
    """Start the run; its time limit counts from now."""
    limit_ms = draft.run.drawn.definition.timeout_ms
    if limit_ms is not None:
        timer_id = derived(draft.run.id, TimerKind.DEADLINE)
        start = replace(start, timer_id=timer_id, deadline_at=draft.at + limit_ms)
    draft.record(start)
    if start.forked_from is not None and state is not None:
        fork(draft, start.forked_from, state)


def fork(draft: Draft, origin: Origin, state: Payload) -> None:
    """Go on from where another run stood; who held its attempts, or was its child, is not ours."""
    draft.record(RunForked(run_id=origin.run_id, position=origin.position, state=state))
    if not draft.run.is_live or draft.run.ending is not None:
        return
    for step_id in sorted(orphans(draft.run)):
        attempt = draft.run.step(step_id).attempt
        draft.record(StepLost(step_id=step_id, attempt=attempt, reason="forked"))
    for step_id in sorted(lost(draft.run)):
        attempt = draft.run.step(step_id).attempt
        draft.record(StepReady(step_id=step_id, attempt=attempt + 1))


def lost(run: Run) -> list[str]:
    """The steps whose last attempt was lost: now, or just before the place that a fork is from."""
    return [
        step_id
        for step_id, step in run.steps.items()
        if step.status is StepStatus.PENDING and step.attempt > 0
    ]
