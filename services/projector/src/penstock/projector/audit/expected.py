"""What the rows of a run should say, by column, from its account."""

from typing import Any

from penstock.domain.run.events import RunSucceeded, WaitKind
from penstock.domain.run.paths import Evaluation, evaluated_for, iteration_of
from penstock.domain.run.state import SETTLED, Run, Step, StepStatus
from penstock.infra.nats.subjects import partition_of
from penstock.projector.audit.accounts import (
    SHOWN,
    Account,
    Moments,
    digest,
    error_of,
    told,
)

Columns = dict[str, Any]

MOMENT_MS_MAX = 1 << 43
"""What is later is nobody's moment; the rows have null there."""

COUNTED = {
    "succeeded": {StepStatus.SUCCEEDED},
    "failed": {StepStatus.FAILED, StepStatus.TIMED_OUT},
    "skipped": {StepStatus.SKIPPED},
    "cancelled": {StepStatus.CANCELLED},
    "running": {StepStatus.RUNNING},
    "waiting": {StepStatus.WAITING},
}
"""Statuses as `shown` has them, under the columns that count them."""

STIRRING = {StepStatus.PENDING, StepStatus.READY, StepStatus.RUNNING, StepStatus.RETRYING}
"""Statuses, as `shown` has them, of steps that get on without anybody else's word."""

ABANDONED = ("ABANDONED", "nobody answered the cancel in time", False, None)


def run_columns(account: Account) -> Columns:
    """The row of `runs`. Payloads as their digests, moments in ms."""
    run, started = account.run, account.run.start
    assert started is not None, "an account begins with what the run starts with"
    ended = account.ended if isinstance(account.ended, RunSucceeded) else None
    error = error_of(account)
    cause = account.cause
    statuses = [shown(run.steps[step_id]) for step_id in steps_of(account)]
    owed = owed_evaluations(run)
    others = sum(loop_id == "" for loop_id, _ in owed)
    return {
        "workflow_id": started.workflow_id,
        "workflow_name": _text(started.workflow_name),
        "version": started.version,
        "definition": _text(started.definition),
        "status": status_of(account, statuses, len(owed)),
        "trigger": _text(started.trigger),
        "tags": [_text(tag) for tag in started.tags],
        "tag_rows": sorted({_text(tag) for tag in started.tags}),
        "priority": started.priority,
        "created_at": stored_moment(started.created_at) or account.recorded_at,
        "started_at": account.began_at or None,
        "finished_at": stored_moment(account.ended_at),
        "deadline_at": stored_moment(None if run.started is None else run.started.deadline_at),
        "total": total_of(account),
        "evaluating": others,
        **{
            name: sum(status in counted for status in statuses) for name, counted in COUNTED.items()
        },
        "input": digest(started.input),
        "output": digest(ended.output) if ended is not None else None,
        "sinks": None if ended is None else [_text(sink) for sink in ended.sinks],
        "is_keyed": None if ended is None else ended.keyed,
        "error": None if error is None else (error.code, error.message, error.step_id),
        "parent_run_id": None if started.parent is None else started.parent.run_id,
        "parent_step_id": None if started.parent is None else _text(started.parent.step_id),
        "forked_from": (
            None
            if started.forked_from is None
            else (started.forked_from.run_id, started.forked_from.position)
        ),
        "request_hash": _text(started.request_hash),
        "correlation_id": _text(cause.correlation_id if cause else ""),
        "traceparent": _text(started.traceparent or (cause.traceparent if cause else "")),
        "partition": partition_of(run.id),
        "is_quarantined": account.is_quarantined,
        "last_seq": account.last_seq,
    }


def step_columns(account: Account, step_id: str, owed: dict[str, str]) -> Columns:
    """The row of `run_steps` of one step that has left `pending`; owed: evaluations, by loop."""
    step = account.step(step_id)
    noted = account.moments.get(step_id) or Moments()
    last = noted.last
    return {
        "status": str(shown(step)),
        "attempt": step.attempt,
        "ready_at": stored_moment(noted.ready_at),
        "started_at": stored_moment(noted.started_at),
        "attempt_started_at": stored_moment(last.started_at),
        "finished_at": stored_moment(noted.settled_at),
        "wake_at": stored_moment(noted.until),
        "executor_id": _text(last.executor_id) or None,
        "branch": None if step.branch is None else _text(step.branch),
        "input": digest(step.input),
        "output": digest(step.output),
        "error": ABANDONED if noted.abandoned else told(step.error),
        "attempts": [
            (
                each.number,
                each.outcome,
                each.executor_id or None,
                each.started_at or None,
                each.finished_at,
            )
            for each in noted.attempts
            if each.outcome
        ],
        "edges": noted.edges,
        "items": digest(account.begun.get(step_id)),
        "loop": loop_of(account, step_id, owed),
    }


def steps_of(account: Account) -> list[str]:
    """The steps that clients see: all that something has happened to, but for evaluations."""
    return [
        step_id
        for step_id, step in account.run.steps.items()
        if "@" not in step_id and (step.attempt or step.status is not StepStatus.PENDING)
    ]


def is_loop(step: Step) -> bool:
    """Whether a step is a loop that goes on."""
    return step.wait is not None and step.wait.kind is WaitKind.LOOP


def shown(step: Step) -> StepStatus:
    """A step's status under the name that clients know; the iterations of a loop run."""
    return StepStatus.RUNNING if is_loop(step) else SHOWN.get(step.status, step.status)


def status_of(account: Account, statuses: list[StepStatus], owed: int) -> str:
    """A run's: it waits where some of its steps do, and nothing else is owed.

    owed: how many evaluations are.
    """
    run = account.run
    if not run.is_live:
        return str(run.status)
    is_told = run.ending is not None and run.ending.told
    if run.paused and not is_told:
        return "paused"
    loops = sum(map(is_loop, run.steps.values()))
    stirring = sum(status in STIRRING for status in statuses) - loops + owed
    return "waiting" if stirring == 0 and StepStatus.WAITING in statuses else "running"


def owed_evaluations(run: Run) -> list[tuple[str, str]]:
    """Evaluations that were asked for and are needed: the loop that asks, or nothing; and why."""
    found = []
    for path, step in run.steps.items():
        owner, purpose = evaluated_for(path) or ("", None)
        if purpose is None or step.attempt == 0 or step.status in SETTLED:
            continue
        if purpose in (Evaluation.EDGES, Evaluation.OUTPUT):
            found.append(("", str(purpose)))
            continue
        loop_id = iteration_of(owner)[0] if purpose is Evaluation.WHILE else owner
        if is_loop(run.step(loop_id)):
            found.append((loop_id, str(purpose)))
    return found


def total_of(account: Account) -> int:
    """The steps of the definition, and of the iterations that were opened."""
    graph, inside = account.graph, 0
    for scope in account.scopes:
        around, loop = graph.scope(iteration_of(scope)[0])
        inside += len(around.bodies[loop].order)
    return len(graph.order) + inside


def loop_of(account: Account, step_id: str, owed: dict[str, str]) -> tuple[int, str | None] | None:
    """How far a loop is: its iterations, and what is owed to itself."""
    if step_id not in account.begun:
        return None
    return account.opened.get(step_id, 0), owed.get(step_id)


def stored_moment(at_ms: int | None) -> int | None:
    """A moment as rows have it: none for what is none."""
    return at_ms if at_ms is not None and 0 < at_ms < MOMENT_MS_MAX else None


def _text(value: str) -> str:
    return value.replace("\0", "\ufffd")
