"""Starting a run: from a request to the decision about it, and to the answer.

The run's id is the request's identity: a repeat under the same Idempotency-Key names the same run,
and the hash in its first event tells whether it is the same request.
"""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from fastapi import Request, Response
from msgspec import Struct
from uuid_utils import uuid7

from penstock.api import beginnings, queries_variables, recorded
from penstock.api.answers import POSITION_HEADER, REPLAYED_HEADER, answered
from penstock.api.auth import Caller
from penstock.api.errors import Problem, detail, invalid
from penstock.api.gates import Entry, gates_at
from penstock.api.histories import RunKey
from penstock.api.idempotency import derived_id, key_of, request_hash
from penstock.api.limits import refuse_payload
from penstock.api.parts import Parts, sender_of
from penstock.api.positions import EVENTS, Position, parse
from penstock.api.registry import now_ms
from penstock.api.runnable import Runnable
from penstock.api.schemas import Execute
from penstock.domain.payload import Payload
from penstock.domain.run.commands import StartRun
from penstock.domain.workflow.graph import Graph
from penstock.infra.gates import Asker
from penstock.infra.nats.direct import ReadUnavailable
from penstock.infra.schemas import check_value
from penstock.messages.envelope import Reply

INPUT_POINTER = "/input"

RECHECK_S = 1.0
"""A word about the run's end that was missed costs this much."""

IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"


class Start(Struct, frozen=True, kw_only=True):
    """A run to be started. request_hash is empty without an Idempotency-Key."""

    run_id: UUID
    request_hash: str
    asked: Execute
    input_pointer: str = INPUT_POINTER


class Begun(NamedTuple):
    """A run that was accepted. position: None while nobody has decided yet."""

    run_id: UUID
    created_at: datetime
    position: str | None
    replayed: bool


def start_of(
    request: Request, caller: Caller, sent: Any, asked: Execute, *, bare_input: bool = False
) -> Start:
    """What a request starts. sent: its body as it came. bare_input: the body is the input."""
    key = key_of(request)
    run_id = repeated_id(request, caller) or UUID(str(uuid7()))
    return Start(
        run_id=run_id,
        request_hash="" if key is None else request_hash(request, key, sent),
        asked=asked,
        input_pointer="" if bare_input else INPUT_POINTER,
    )


def repeated_id(request: Request, caller: Caller) -> UUID | None:
    """The run that the request would repeat, None without an Idempotency-Key."""
    key = key_of(request)
    return None if key is None else derived_id(request, caller.tenant_id, key)


async def begun(
    request: Request, parts: Parts, caller: Caller, start: Start, workflow: str
) -> Begun:
    """The run, accepted now or by an earlier request under the same Idempotency-Key."""
    if start.request_hash:
        earlier = await beginnings.earlier(parts, caller.tenant_id, start.run_id)
        if earlier is not None:
            if earlier["request_hash"] != start.request_hash:
                said = "this idempotency key was used with another request"
                raise Problem(409, said, code=IDEMPOTENCY_CONFLICT)
            position = str(Position(EVENTS, earlier["last_seq"], 0))
            return Begun(start.run_id, earlier["created_at"], position, replayed=True)
    runnable = await parts.runnables.find(caller.tenant_id, workflow, start.asked.version)
    reply = await _sent(request, parts, caller, start, runnable)
    began = datetime.now(UTC)
    if reply is None:
        return Begun(start.run_id, began, None, replayed=False)
    return Begun(start.run_id, began, reply.position, reply.replayed)


async def _sent(
    request: Request, parts: Parts, caller: Caller, start: Start, runnable: Runnable
) -> Reply | None:
    limits = await beginnings.open_for(parts, caller.tenant_id)
    graph = await parts.definitions.graph(caller.tenant_id, runnable.content_hash)
    schema = graph.definition.input_schema
    if schema is not None:
        _refuse_input(start, schema)
    asked = start.asked
    given = msgspec.json.encode(asked.input)
    refuse_payload(limits, given, what="the input", pointer=start.input_pointer)
    payloads = parts.payloads(caller.tenant_id)
    payload = await payloads.made(str(start.run_id), given)
    sender = sender_of(request, caller.actor)
    read = await variables_read(parts, caller.tenant_id, start.run_id, graph)
    run_id = str(start.run_id)
    asker = Asker(caller.tenant_id, runnable.workflow_id, runnable.workflow_name)
    entry = Entry(run_id, payload, read, start.input_pointer)
    command = StartRun(
        workflow_id=runnable.workflow_id,
        workflow_name=runnable.workflow_name,
        version=runnable.version,
        definition=runnable.content_hash,
        input=payload,
        created_at=now_ms(),
        vars=read,
        tags=await payloads.marked(asked.tags),
        priority=asked.priority,
        request_hash=start.request_hash,
        traceparent=sender.traceparent,
        gates=await gates_at(payloads, graph.definition, asker, entry, limits),
    )
    return await beginnings.sent(parts, caller.tenant_id, start.run_id, command, sender)


async def variables_read(
    parts: Parts, tenant_id: str, run_id: UUID, graph: Graph
) -> Payload | None:
    """The tenant's variables that the definition reads, as they are now; None for none.

    The run keeps them: whatever becomes of the variables, it reads these, and so does a replay.
    """
    if not graph.vars:
        return None
    payloads = parts.payloads(tenant_id)
    found = await queries_variables.named(parts.engine, tenant_id, graph.vars, payloads)
    return await payloads.made(str(run_id), found)


def _refuse_input(start: Start, schema: dict[str, Any] | bool) -> None:
    """Raise Problem 400 unless the input is what the definition asks for."""
    findings = check_value(schema, start.asked.input)
    if findings:
        faults = [
            detail(start.input_pointer + pointer, "SCHEMA_INVALID", said)
            for pointer, said in findings
        ]
        raise invalid("the input does not fit the workflow's inputSchema", *faults)


async def accepted(parts: Parts, run: Begun) -> Response:
    """202: the run goes on by itself. Its position is told once the read models have it."""
    headers = headers_of(run)
    if run.position is not None:
        position = parse(run.position, "")
        if await parts.checkpoint.reached(EVENTS, position.seq):
            headers[POSITION_HEADER] = run.position
    return answered(accepted_body(run.run_id), status=202, headers=headers)


async def ended(parts: Parts, caller: Caller, run: Begun, timeout_s: float) -> str | None:
    """The position of the run's last event, once the read models have it.

    None when the time is over before, when the API stops, or when the log cannot be read: the run
    is accepted all the same.
    """
    key = RunKey(caller.tenant_id, str(run.run_id), run.created_at)
    try:
        async with asyncio.timeout(timeout_s):
            position = await _last_position(parts, key)
    except (TimeoutError, ReadUnavailable):
        return None
    if position is None or not await parts.checkpoint.reached(EVENTS, position.seq):
        return None
    return str(position)


async def _last_position(parts: Parts, run: RunKey) -> Position | None:
    async with aclosing(parts.histories.follow(run, 0, idle_s=RECHECK_S)) as history:
        async for told in history:
            position = recorded.end(told) if told is not None else None
            if position is not None:
                return position
    return None


def accepted_body(run_id: UUID) -> dict[str, Any]:
    """What the 202 of an execute says; the same for every repeat of it."""
    return {"runId": str(run_id), "status": "queued", "links": links(run_id)}


def links(run_id: UUID) -> dict[str, str]:
    """Where to go on from a run."""
    at = f"/api/runs/{run_id}"
    return {
        "self": at,
        "steps": f"{at}/steps",
        "events": f"{at}/events",
        "stream": f"{at}/stream",
        "cancel": f"{at}/cancel",
    }


def headers_of(run: Begun) -> dict[str, str]:
    """The headers of any answer to an execute."""
    headers = {"Location": f"/api/runs/{run.run_id}"}
    if run.replayed:
        headers[REPLAYED_HEADER] = "true"
    return headers
