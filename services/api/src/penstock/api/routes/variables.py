"""Variables of a tenant: named values that its workflows read as `vars.<name>`."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from penstock.api import bodies, named, pages, queries_variables
from penstock.api.answers import answered, moment_of_ms
from penstock.api.auth import Caller, VariablesReader, VariablesWriter
from penstock.api.errors import detail, invalid
from penstock.api.etags import etag, is_known, may_change
from penstock.api.idempotency import identity, kept_to_one_request
from penstock.api.limits import refuse_payload
from penstock.api.named import VARIABLES, known, refuse_full, refuse_rename
from penstock.api.openapi import gives, gives_page_of, if_match, if_none_match, takes
from penstock.api.pages import Cursor, Limit
from penstock.api.parts import Parts, parts_of, sender_of
from penstock.api.payloads import Allowance
from penstock.api.schemas_registry import NewVariable, VariableChange, VariableShown
from penstock.api.writes import read_after, settled
from penstock.domain.ids import derived
from penstock.domain.payload import INLINE_MAX_BYTES, Payload
from penstock.domain.variable.commands import ChangeVariable, CreateVariable, DeleteVariable
from penstock.domain.variable.state import Variable

router = APIRouter(prefix="/api/variables", tags=["variables"])


@router.get("", responses=gives_page_of(VariableShown))
async def list_variables(
    request: Request,
    caller: VariablesReader,
    limit: Limit = pages.LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """The tenant's variables, newest first."""
    parts = parts_of(request)
    await read_after(request, parts)
    of = pages.listing(request)
    after = pages.after(cursor, of)
    rows = await named.listed(
        parts.engine, VARIABLES, caller.tenant_id, after=after, limit=limit + 1
    )
    shown = await queries_variables.shown_variables(rows[:limit], parts.payloads(caller.tenant_id))
    page = pages.page(rows, limit, lambda row: row, of=of)
    return answered({**page, "items": shown})


@router.post(
    "",
    status_code=201,
    responses=gives(VariableShown, status=201),
    openapi_extra=takes(NewVariable),
)
async def create_variable(request: Request, caller: VariablesWriter) -> Response:
    """Make a variable; runs that begin from now on read it."""
    parts = parts_of(request)
    sent = await bodies.value(request)
    asked = bodies.fitted(sent, NewVariable)
    value = await payload_of(parts, caller, asked.value)
    made = identity(request, caller.tenant_id, sent)
    await kept_to_one_request(request, caller.tenant_id, caller.actor, made)
    await refuse_full(parts.engine, VARIABLES, caller.tenant_id)
    variable_id = id_of(caller.tenant_id, asked.name)
    command = CreateVariable(
        name=asked.name,
        value=value,
        description=await described(parts, caller, asked.description),
        created_by=caller.actor,
        request_hash=made.request_hash,
    )
    sender = sender_of(request, caller.actor)
    written = await parts.registry.variable(caller.tenant_id, variable_id, command, sender)
    headers = {
        "Location": f"/api/variables/{asked.name}",
        "ETag": etag(written.state.revision),
    }
    body = await shown(parts, caller, variable_id, written.state)
    return await settled(parts, written, body, status=201, headers=headers)


@router.get("/{variable}", responses=gives(VariableShown) | if_none_match())
async def get_variable(request: Request, variable: str, caller: VariablesReader) -> Response:
    """One variable by name or id."""
    parts = parts_of(request)
    await read_after(request, parts)
    row = await known(parts.engine, VARIABLES, caller.tenant_id, variable)
    headers = {"ETag": etag(row["revision"])}
    if is_known(request, row["revision"]):
        return Response(status_code=304, headers=headers)
    (body,) = await queries_variables.shown_variables([row], parts.payloads(caller.tenant_id))
    return answered(body, headers=headers)


@router.put(
    "/{variable}", responses=gives(VariableShown) | if_match(), openapi_extra=takes(VariableChange)
)
async def change_variable(request: Request, variable: str, caller: VariablesWriter) -> Response:
    """Give it another value and description; runs that have begun keep what they began with."""
    parts = parts_of(request)
    row = await known(parts.engine, VARIABLES, caller.tenant_id, variable)
    revisions = may_change(request)
    asked = await bodies.model(request, VariableChange)
    refuse_rename(asked.name, row)
    value = await payload_of(parts, caller, asked.value)
    description = await described(parts, caller, asked.description)
    command = ChangeVariable(value=value, description=description, revisions=revisions)
    found = str(row["id"])
    sender = sender_of(request, caller.actor)
    written = await parts.registry.variable(caller.tenant_id, found, command, sender)
    headers = {"ETag": etag(written.state.revision)}
    body = await shown(parts, caller, found, written.state)
    return await settled(parts, written, body, headers=headers)


@router.delete("/{variable}", status_code=204, responses=gives(None, status=204) | if_match())
async def delete_variable(request: Request, variable: str, caller: VariablesWriter) -> Response:
    """Let no run that begins from now on read it."""
    parts = parts_of(request)
    row = await known(parts.engine, VARIABLES, caller.tenant_id, variable)
    command = DeleteVariable(revisions=may_change(request))
    sender = sender_of(request, caller.actor)
    written = await parts.registry.variable(caller.tenant_id, str(row["id"]), command, sender)
    return await settled(parts, written, None, status=204)


def id_of(tenant_id: str, name: str) -> str:
    """A variable's id: its subject makes the name unique."""
    return derived(tenant_id, "variable", name)


async def payload_of(parts: Parts, caller: Caller, value: Any) -> Payload:
    """A value as events hold it, sealed. Raises Problem 400 or 413 for one that is too large."""
    limits = await parts.limits.of(caller.tenant_id)
    text = msgspec.json.encode(value)
    refuse_payload(limits, text, what="the value", pointer="/value")
    if len(text) > INLINE_MAX_BYTES:
        said = f"has {len(text)} bytes as JSON, more than {INLINE_MAX_BYTES}"
        raise invalid("the body is not valid", detail("/value", "LIMIT_EXCEEDED", said))
    return await parts.seals.sealed(caller.tenant_id, text)


async def described(parts: Parts, caller: Caller, text: str) -> str:
    """What is said of a variable, closed; the same for the same text."""
    return text and (await parts.seals.texts.marks(caller.tenant_id)).closed(text)


async def shown(
    parts: Parts, caller: Caller, variable_id: str, variable: Variable
) -> dict[str, Any]:
    """A variable as clients see it, from what the write left behind."""
    payloads = parts.payloads(caller.tenant_id)
    value = await payloads.text(variable.value, Allowance())
    return {
        "id": variable_id,
        "name": variable.name,
        "value": value,
        "description": await payloads.words(variable.description),
        "createdBy": variable.created_by,
        "createdAt": moment_of_ms(variable.created_at),
        "updatedAt": moment_of_ms(variable.updated_at),
    }
