"""Calls that control a run which goes on: pause, resume, signal, decide about approvals."""

from typing import Any
from uuid import uuid4

from penstock.client.calls import Call, encoded, json_body, nothing, segment


def pause(run_id: str, *, reason: str | None = None) -> Call[None]:
    """Let nothing new start in a run; what runs goes on to its end.

    Raises NotFound, Conflict (it ended, or is ending).
    """
    body, headers = json_body(reason=reason)
    return Call(
        method="POST", path=path_of(run_id, "pause"), read=nothing, body=body, headers=headers
    )


def resume(run_id: str) -> Call[None]:
    """Let a paused run go on. Raises NotFound, Conflict (`NOT_PAUSED`, or it ended)."""
    return Call(method="POST", path=path_of(run_id, "resume"), read=nothing)


def signal(
    run_id: str, name: str, payload: Any = None, *, idempotency_key: str | None = None
) -> Call[None]:
    """Signal a run: the step that waits for the name goes on with the payload, or the next one.

    payload: anything JSON can say. Without an `idempotency_key` one is made, so that trying again
    never signals twice. Raises NotFound, Conflict (it ended, or is ending).
    """
    body, headers = encoded({"payload": payload})
    return Call(
        method="POST",
        path=path_of(run_id, f"signals/{segment(name)}"),
        read=nothing,
        body=body,
        headers=headers | {"Idempotency-Key": idempotency_key or uuid4().hex},
        repeatable=True,
    )


def approve(run_id: str, step_id: str, *, comment: str | None = None) -> Call[None]:
    """Approve what a step asks for, or will.

    Raises NotFound, Conflict (`ALREADY_DECIDED`, `STEP_SETTLED`, or the run ended).
    """
    return decide(run_id, step_id, "approve", comment)


def reject(run_id: str, step_id: str, *, comment: str | None = None) -> Call[None]:
    """Reject what a step asks for, or will; raises as `approve`."""
    return decide(run_id, step_id, "reject", comment)


def decide(run_id: str, step_id: str, decision: str, comment: str | None) -> Call[None]:
    """The call that decides; the same decision again changes nothing."""
    body, headers = json_body(decision=decision, comment=comment)
    return Call(
        method="POST",
        path=path_of(run_id, f"approvals/{segment(step_id)}"),
        read=nothing,
        body=body,
        headers=headers,
        repeatable=True,
    )


def path_of(run_id: str, what: str) -> str:
    """Where a run takes a control."""
    return f"/api/runs/{segment(run_id)}/{what}"
