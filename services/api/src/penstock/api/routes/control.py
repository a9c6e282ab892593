"""Control over a run that goes on: paused, resumed, signalled; its approvals decided.

Each is answered after the decision, like a cancel: 404 and 409 are the run's own word.
"""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Path, Request, Response

from penstock.api import bodies, queries_runs, starts
from penstock.api.answers import POSITION_HEADER, REPLAYED_HEADER, answered, encode
from penstock.api.auth import Caller, RunsCanceller, RunsStarter
from penstock.api.idempotency import identity, kept_to_one_request, key_of
from penstock.api.limits import refuse_payload
from penstock.api.openapi import gives, takes
from penstock.api.parts import Parts, parts_of, sender_of
from penstock.api.positions import EVENTS, parse
from penstock.api.routes.runs import id_of, is_accepted, unknown
from penstock.api.schemas import Accepted, Decide, Pause, Signal
from penstock.domain.run.commands import (
    DecideApproval,
    PauseRun,
    ResumeRun,
    RunCommand,
    SignalRun,
)
from penstock.domain.run.events import Verdict

STEP_ID_MAX = 600
"""Characters of a path; bodies nest eight deep at the most."""

SIGNAL_NAME_MAX = 200
"""As in the config of `wait_for_signal`."""

SignalName = Annotated[str, Path(min_length=1, max_length=SIGNAL_NAME_MAX)]
StepId = Annotated[str, Path(max_length=STEP_ID_MAX)]

router = APIRouter(prefix="/api/runs/{run_id}", tags=["control"])


@router.post(
    "/pause",
    status_code=202,
    responses=gives(Accepted, status=202),
    openapi_extra=takes(Pause, required=False),
)
async def pause_run(request: Request, run_id: str, caller: RunsCanceller) -> Response:
    """Let nothing new start in a run; what runs goes on to its end."""
    parts = parts_of(request)
    known = await known_id(parts, caller, run_id)
    asked = bodies.fitted(await bodies.value(request, default={}), Pause)
    reason = await parts.seals.texts.closed(caller.tenant_id, asked.reason)
    return await decided(request, caller, known, PauseRun(reason=reason))


@router.post("/resume", status_code=202, responses=gives(Accepted, status=202))
async def resume_run(request: Request, run_id: str, caller: RunsCanceller) -> Response:
    """Let a paused run go on."""
    known = await known_id(parts_of(request), caller, run_id)
    return await decided(request, caller, known, ResumeRun())


@router.post(
    "/signals/{name}",
    status_code=202,
    responses=gives(Accepted, status=202),
    openapi_extra=takes(Signal, required=False),
)
async def signal_run(
    request: Request, run_id: str, name: SignalName, caller: RunsStarter
) -> Response:
    """Signal a run: the step that waits for the name goes on, or the next one that will wait."""
    parts = parts_of(request)
    known = await known_id(parts, caller, run_id)
    asked = bodies.fitted(await bodies.value(request, default={}), Signal)
    made = identity(request, caller.tenant_id, asked.payload)
    await kept_to_one_request(request, caller.tenant_id, caller.actor, made)
    data = msgspec.json.encode(asked.payload)
    limits = await parts.limits.of(caller.tenant_id)
    refuse_payload(limits, data, what="the payload", pointer="/payload")
    payload = await parts.payloads(caller.tenant_id).made(str(known), data)
    command = SignalRun(name=name, signal_id=str(made.id), payload=payload)
    return await decided(request, caller, known, command)


@router.post(
    "/approvals/{step_id}",
    status_code=202,
    responses=gives(Accepted, status=202),
    openapi_extra=takes(Decide),
)
async def decide_approval(
    request: Request, run_id: str, step_id: StepId, caller: RunsStarter
) -> Response:
    """Approve or reject, also before the step asks for it; the first decision stands."""
    parts = parts_of(request)
    known = await known_id(parts, caller, run_id)
    asked = await bodies.model(request, Decide)
    output = {
        "decision": asked.decision,
        "comment": asked.comment or "",
        "decidedBy": caller.actor,
        "decidedAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    said = await parts.seals.sealed(caller.tenant_id, encode(output))
    command = DecideApproval(step_id=step_id, decision=Verdict(asked.decision), output=said)
    return await decided(request, caller, known, command)


async def known_id(parts: Parts, caller: Caller, text: str) -> UUID:
    """The id of a run that is the caller's, before anybody looks at the body. Problem 404."""
    run_id = id_of(text)
    row = await queries_runs.find(parts.engine, caller.tenant_id, run_id)
    if row is None and not await is_accepted(parts, caller, str(run_id)):
        raise unknown()
    return run_id


async def decided(request: Request, caller: Caller, run_id: UUID, command: RunCommand) -> Response:
    """202 after the decision about a command, with the run's status as it is then."""
    parts = parts_of(request)
    sender = sender_of(request, caller.actor)
    reply = await parts.commands.send(
        caller.tenant_id,
        str(run_id),
        command,
        id=f"{run_id}/{type(command).__name__}/{sender.request_id}",
        sender=sender,
    )
    headers = {"Location": f"/api/runs/{run_id}"}
    if reply is not None and reply.replayed and key_of(request) is not None:
        headers[REPLAYED_HEADER] = "true"
    position = reply.position if reply is not None else None
    if position and await parts.checkpoint.reached(EVENTS, parse(position, "").seq):
        headers[POSITION_HEADER] = position
    row = await queries_runs.find(parts.engine, caller.tenant_id, run_id)
    status = row["status"] if row is not None else "queued"
    body: dict[str, Any] = {
        "runId": str(run_id),
        "status": status,
        "links": starts.links(run_id),
    }
    return answered(body, status=202, headers=headers)
