"""What the rows of a run should say, by column, from its account."""

from typing import Any

from penstock.domain.run.events import RunSucceeded
from penstock.domain.run.state import StepStatus
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

ABANDONED = ("ABANDONED", "nobody answered the cancel in time", False, None)


def run_columns(account: Account) -> Columns:
    """The row of `runs`. Payloads as their digests, moments in ms."""
    run, started = account.run, account.run.started
    assert started is not None, "an account begins with RunStarted"
    ended = account.ended if isinstance(account.ended, RunSucceeded) else None
    error = error_of(account)
    cause = account.cause
    statuses = [step.status for step in run.steps.values()]
    return {
        "workflow_id": started.workflow_id,
        "workflow_name": _text(started.workflow_name),
        "version": started.version,
        "definition": _text(started.definition),
        "status": str(run.status),
        "trigger": _text(started.trigger),
        "tags": [_text(tag) for tag in started.tags],
        "tag_rows": sorted({_text(tag) for tag in started.tags}),
        "priority": started.priority,
        "created_at": _moment(started.created_at) or account.began_at,
        "started_at": account.began_at,
        "finished_at": _moment(account.ended_at),
        "deadline_at": _moment(started.deadline_at),
        "total": len(account.graph.order),
        **{
            name: sum(status in counted for status in statuses) for name, counted in COUNTED.items()
        },
        "input": digest(started.input),
        "output": digest(ended.output) if ended is not None else None,
        "sinks": None if ended is None else [_text(sink) for sink in ended.sinks],
        "is_keyed": None if ended is None else ended.keyed,
        "error": None if error is None else (error.code, error.message, error.step_id),
        "request_hash": _text(started.request_hash),
        "correlation_id": _text(cause.correlation_id if cause else ""),
        "traceparent": _text(started.traceparent or (cause.traceparent if cause else "")),
        "partition": partition_of(run.id),
        "is_quarantined": account.is_quarantined,
        "last_seq": account.last_seq,
    }


def step_columns(account: Account, step_id: str) -> Columns:
    """The row of `run_steps` of one step that has left `pending`."""
    step = account.step(step_id)
    noted = account.moments.get(step_id) or Moments()
    last = noted.last
    return {
        "status": str(SHOWN.get(step.status, step.status)),
        "attempt": step.attempt,
        "ready_at": _moment(noted.ready_at),
        "started_at": _moment(noted.started_at),
        "attempt_started_at": _moment(last.started_at),
        "finished_at": _moment(noted.settled_at),
        "wake_at": _moment(noted.until),
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
    }


def _moment(at_ms: int | None) -> int | None:
    return at_ms if at_ms is not None and 0 < at_ms < MOMENT_MS_MAX else None


def _text(value: str) -> str:
    return value.replace("\0", "\ufffd")
