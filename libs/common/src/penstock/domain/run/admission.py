"""How a run comes to its start: at once, or through gates, and from another run's state or not."""

from msgspec.structs import replace

from penstock.domain.ids import derived
from penstock.domain.payload import Payload
from penstock.domain.run.commands import AdmitRun, StartRun, TurnAway
from penstock.domain.run.draft import Draft
from penstock.domain.run.events import (
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
from penstock.domain.run.state import RunStatus, TimerKind
from penstock.domain.workflow.model import Strategy

SKIPPED = "CONCURRENCY_SKIPPED"
DISPLACED = "CONCURRENCY_CANCELLED"


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
    if run.queued is None or gate is None or gate.gate_id != command.gate_id:
        return
    if isinstance(command, TurnAway):
        code = SKIPPED if gate.rule.strategy is Strategy.SKIP else DISPLACED
        message = f"{gate.label or 'the workflow'}: run {command.holder} has the place"
        draft.record(RunCancelled(error=RunError(code=code, message=message)))
        return
    draft.record(RunAdmitted(gate_id=command.gate_id))
    if draft.run.admitted == len(run.queued.gates):
        begin(draft, run.queued.start, run.queued.state)


def give_up_waiting(draft: Draft) -> None:
    """The run has stood in line for longer than its definition allows."""
    if draft.run.status is RunStatus.QUEUED:
        error = RunError(code="QUEUE_TIMEOUT", message="the run waited for too long to start")
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
        draft.record(StepReady(step_id=step_id, attempt=attempt + 1))
