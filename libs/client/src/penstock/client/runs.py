"""Calls about runs: start, read, cancel."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import UNSET, Struct, UnsetType

from penstock.client.calls import Call, get, given, json_body, nothing, reading, segment
from penstock.client.models import (
    Accepted,
    BulkTold,
    Event,
    Explanation,
    Page,
    Run,
    RunStatus,
    Step,
)


class Start(Struct, omit_defaults=True):
    """The body of an execute; what is UNSET is not sent."""

    input: Any | UnsetType = UNSET
    version: int | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET


def start(
    workflow: str,
    input: Any | UnsetType = UNSET,  # noqa: A002 - the word of the workflow language
    *,
    version: int | UnsetType = UNSET,
    priority: int | UnsetType = UNSET,
    tags: Sequence[str] = (),
    idempotency_key: str | None = None,
) -> Call[Accepted]:
    """Start a run of a workflow (its id or key); answered as soon as the run is on record.

    input: anything JSON can say; left out, the run has none. Without an `idempotency_key` one is
    made, so that trying again never starts a second run.
    Raises Invalid (input against the workflow's schema), NotFound, Conflict (`NO_VERSION`).
    """
    sent = Start(input, version, priority, list(tags) or UNSET)
    return Call(
        method="POST",
        path=f"/api/workflows/{segment(workflow)}/execute",
        read=reading(Accepted),
        params={"mode": "async"},
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key or uuid4().hex,
        },
        body=msgspec.json.encode(sent),
        repeatable=True,
    )


def get_run(run_id: str, *, read_after: str | None = None) -> Call[Run]:
    """One run with its first 1,000 steps. Raises NotFound.

    read_after: a position that the answer is not to be older than; Unavailable if it would be.
    """
    call = get(f"/api/runs/{segment(run_id)}", Run)
    return call if read_after is None else replace(call, headers={"X-Read-After": read_after})


def state(run_id: str, *, at: str | datetime | None = None) -> Call[Run]:
    """The run as it stood at a position or a time, that one included; as it stands without one.

    Raises NotFound (unknown, or not begun by then), Invalid.
    """
    return get(f"/api/runs/{segment(run_id)}/state", Run, at=at)


def explain(run_id: str) -> Call[Explanation]:
    """What each part of a run waits for, and every millisecond of its time by cause.

    Raises NotFound.
    """
    return get(f"/api/runs/{segment(run_id)}/explain", Explanation)


def list_runs(
    *,
    status: RunStatus | str | None = None,
    workflow: str | None = None,
    tag: str | None = None,
    trigger: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[Run]]:
    """A page of runs without their steps, newest first. limit: 1 to 200."""
    return get(
        "/api/runs",
        Page[Run],
        status=status,
        workflowId=workflow,
        tag=tag,
        trigger=trigger,
        limit=limit,
        cursor=cursor,
    )


def steps(run_id: str, *, limit: int | None = None, cursor: str | None = None) -> Call[Page[Step]]:
    """A page of a run's steps. Raises NotFound."""
    return get(f"/api/runs/{segment(run_id)}/steps", Page[Step], limit=limit, cursor=cursor)


def events(run_id: str, *, after: str | None = None, limit: int | None = None) -> Call[Page[Event]]:
    """A page of a run's history, oldest first, of what came after a position. Raises NotFound."""
    return get(f"/api/runs/{segment(run_id)}/events", Page[Event], after=after, limit=limit)


def cancel(run_id: str, *, reason: str | None = None) -> Call[None]:
    """Ask a run to stop; its steps have a grace to do so. Raises NotFound, Conflict (it ended)."""
    path = f"/api/runs/{segment(run_id)}/cancel"
    body, headers = json_body(reason=reason)
    return Call(method="POST", path=path, read=nothing, body=body, headers=headers)


def cancel_all(
    *,
    status: RunStatus | str | None = None,
    workflow: str | None = None,
    tag: str | None = None,
    trigger: str | None = None,
    reason: str | None = None,
) -> Call[BulkTold]:
    """Ask every run to stop that matches and has not ended; without a filter, all of them.

    One request tells 10,000 runs; ask again while the answer says `more`.
    """
    filters = given(status=status, workflowId=workflow, tag=tag, trigger=trigger)
    body, headers = json_body(filter=filters, action="cancel", reason=reason)
    return Call(
        method="POST",
        path="/api/runs/bulk",
        read=reading(BulkTold),
        body=body,
        headers=headers,
        repeatable=True,
    )


def open_stream(run_id: str, *, after: str | None = None) -> Call[None]:
    """The stream of a run's events: history after a position first, then what happens."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if after is not None:
        headers["Last-Event-ID"] = after
    path = f"/api/runs/{segment(run_id)}/stream"
    return Call(method="GET", path=path, read=nothing, headers=headers, repeatable=True)
