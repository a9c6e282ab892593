"""Calls that begin new runs from old ones: retry, fork, and the retry of many."""

from typing import Any
from uuid import uuid4

import msgspec
from msgspec import UNSET, Struct, UnsetType

from penstock.client.calls import Call, encoded, given, reading, segment
from penstock.client.models import BulkTold, ForkedRun, ForkPlan, RunStatus

RETRY = "retry"
FORK = "fork"
KEY = "Idempotency-Key"


class Fork(Struct, omit_defaults=True, rename="camel"):
    """The body of a fork; what is UNSET is not sent."""

    from_step: str | UnsetType = UNSET
    at: str | UnsetType = UNSET
    input: Any | UnsetType = UNSET
    definition: dict[str, Any] | UnsetType = UNSET


def retry(run_id: str, *, idempotency_key: str | None = None) -> Call[ForkedRun]:
    """Begin a new run with what succeeded in one that did not; all else has its turn again.

    Without an `idempotency_key` one is made, so that trying again never begins a second run.
    Raises NotFound, Conflict (`RUN_NOT_FINISHED`, `RUN_QUEUED`, `RUN_SUCCEEDED`,
    `RUN_NOT_STARTED`).
    """
    return begins(run_id, RETRY, None, idempotency_key)


def plan_retry(run_id: str) -> Call[ForkPlan]:
    """What a retry of the run would do; nothing is done. Raises as `retry`."""
    return plans(run_id, RETRY, None)


def fork(
    run_id: str,
    *,
    from_step: str | None = None,
    at: str | None = None,
    input: Any | UnsetType = UNSET,  # noqa: A002 - the word of the workflow language
    definition: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> Call[ForkedRun]:
    """Begin a new run that shares the history of another one up to a step or a place.

    from_step: a step's path; it and all behind it have their turn again. at: a position or a time,
    that one included. Without either, all that succeeded is kept. input, definition: other ones.
    Raises NotFound (run, step or place), Invalid, Conflict (`RUN_FINISHED`, `RUN_NOT_STARTED`).
    """
    return begins(run_id, FORK, asked(from_step, at, input, definition), idempotency_key)


def plan_fork(
    run_id: str,
    *,
    from_step: str | None = None,
    at: str | None = None,
    input: Any | UnsetType = UNSET,  # noqa: A002 - the word of the workflow language
    definition: dict[str, Any] | None = None,
) -> Call[ForkPlan]:
    """What a fork of the run would do; nothing is done. Arguments and errors as of `fork`."""
    return plans(run_id, FORK, asked(from_step, at, input, definition))


def retry_all(
    *,
    status: RunStatus | str | None = None,
    workflow: str | None = None,
    tag: str | None = None,
    trigger: str | None = None,
    cursor: str | None = None,
    idempotency_key: str | None = None,
) -> Call[BulkTold]:
    """Retry the runs that match: failed and timed out ones, or those of one such status.

    One request looks at 500 runs, newest first; give its `next_cursor` and the same
    `idempotency_key` to the next one. A run that has been retried before is skipped.
    """
    filters = given(status=status, workflowId=workflow, tag=tag, trigger=trigger)
    wanted: dict[str, Any] = {"filter": filters, "action": RETRY}
    body, headers = encoded(wanted if cursor is None else wanted | {"cursor": cursor})
    return Call(
        method="POST",
        path="/api/runs/bulk",
        read=reading(BulkTold),
        body=body,
        headers=headers | {KEY: idempotency_key or uuid4().hex},
        repeatable=True,
    )


def asked(
    from_step: str | None,
    at: str | None,
    value: Any | UnsetType,
    definition: dict[str, Any] | None,
) -> bytes:
    """The body of a fork."""
    return msgspec.json.encode(Fork(from_step or UNSET, at or UNSET, value, definition or UNSET))


def begins(run_id: str, what: str, body: bytes | None, key: str | None) -> Call[ForkedRun]:
    """The call that begins the new run."""
    return Call(
        method="POST",
        path=f"/api/runs/{segment(run_id)}/{what}",
        read=reading(ForkedRun),
        headers=typed(body) | {KEY: key or uuid4().hex},
        body=body,
        repeatable=True,
    )


def plans(run_id: str, what: str, body: bytes | None) -> Call[ForkPlan]:
    """The call that only asks what the new run would be."""
    return Call(
        method="POST",
        path=f"/api/runs/{segment(run_id)}/{what}",
        read=reading(ForkPlan),
        params={"dryRun": "true"},
        headers=typed(body),
        body=body,
        repeatable=True,
    )


def typed(body: bytes | None) -> dict[str, str]:
    """The header that says what a body is."""
    return {} if body is None else {"Content-Type": "application/json"}
