"""Connections of a tenant: how steps reach servers of others, and as whom.

What is secret about one is sent and never answered. A change says all of it anew: whoever could
keep a password and change the host would have the password sent there.
"""

from typing import Any

from fastapi import APIRouter, Request, Response

from penstock.api import bodies, named, pages
from penstock.api.answers import answered, moment, moment_of_ms
from penstock.api.auth import Caller, ConnectionsManager, ConnectionsReader
from penstock.api.connection_configs import asked_of
from penstock.api.etags import etag, may_change
from penstock.api.idempotency import kept_to_one_request
from penstock.api.named import CONNECTIONS, known, refuse_full, refuse_rename
from penstock.api.openapi import gives, gives_page_of, if_match, takes
from penstock.api.pages import Cursor, Limit
from penstock.api.parts import Parts, parts_of, sender_of
from penstock.api.payloads import Allowance
from penstock.api.schemas_secrets import (
    ConnectionChange,
    ConnectionShown,
    ConnectionTypeShown,
    NewConnection,
)
from penstock.api.secret_writes import identity_of
from penstock.api.writes import read_after, settled
from penstock.domain.connection.commands import (
    CreateConnection,
    RemoveConnection,
    ReplaceConnection,
)
from penstock.domain.connection.state import Connection
from penstock.domain.connection.types import CONNECTION_TYPES
from penstock.domain.ids import derived
from penstock.infra.postgres.engine import Row
from penstock.infra.secrets import Kind, Name

router = APIRouter(prefix="/api", tags=["connections"])


@router.get("/connection-types", responses=gives_page_of(ConnectionTypeShown))
async def list_connection_types(request: Request, caller: ConnectionsReader) -> Response:
    """Every type of connection, with the JSON Schema of its config."""
    types = [
        {"type": kind.name, "description": kind.description, "configSchema": kind.config_schema}
        for kind in CONNECTION_TYPES.values()
    ]
    return answered({"items": types, "nextCursor": None})


@router.get("/connections", responses=gives_page_of(ConnectionShown))
async def list_connections(
    request: Request,
    caller: ConnectionsReader,
    limit: Limit = pages.LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """The tenant's connections, newest first."""
    parts = parts_of(request)
    await read_after(request, parts)
    of = pages.listing(request)
    after = pages.after(cursor, of)
    rows = await named.listed(
        parts.engine, CONNECTIONS, caller.tenant_id, after=after, limit=limit + 1
    )
    items = await shown_rows(parts, caller, rows[:limit])
    page = pages.page(rows, limit, lambda row: row, of=of)
    return answered({**page, "items": items})


@router.post(
    "/connections",
    status_code=201,
    responses=gives(ConnectionShown, status=201),
    openapi_extra=takes(NewConnection),
)
async def create_connection(request: Request, caller: ConnectionsManager) -> Response:
    """Make a connection; steps that begin a few seconds from now can use it."""
    parts = parts_of(request)
    sent = await bodies.value(request)
    body = bodies.fitted(sent, NewConnection)
    asked = asked_of(body.type, body.config)
    made = identity_of(request, parts, caller.tenant_id, sent)
    await kept_to_one_request(request, caller.tenant_id, caller.actor, made)
    await refuse_full(parts.engine, CONNECTIONS, caller.tenant_id)
    connection_id = derived(caller.tenant_id, "connection", body.name)
    command = CreateConnection(
        name=body.name,
        type=asked.kind.name,
        config=await parts.seals.sealed(caller.tenant_id, asked.public),
        by=caller.actor,
        request_hash=made.request_hash,
    )
    sender = sender_of(request, caller.actor)
    written = await parts.registry.connection(caller.tenant_id, connection_id, command, sender)
    name = Name(Kind.CONNECTION, body.name)
    await parts.vault.keep(caller.tenant_id, name, asked.sealed, seq=written.seq)
    headers = {"Location": f"/api/connections/{body.name}", "ETag": etag(written.state.revision)}
    answer = await shown(parts, caller, connection_id, written.state)
    return await settled(parts, written, answer, status=201, headers=headers)


@router.get("/connections/{connection}", responses=gives(ConnectionShown))
async def get_connection(request: Request, connection: str, caller: ConnectionsReader) -> Response:
    """One connection by name or id, without what is secret about it."""
    parts = parts_of(request)
    await read_after(request, parts)
    row = await known(parts.engine, CONNECTIONS, caller.tenant_id, connection)
    (body,) = await shown_rows(parts, caller, [row])
    return answered(body, headers={"ETag": etag(row["revision"])})


@router.put(
    "/connections/{connection}",
    responses=gives(ConnectionShown) | if_match(),
    openapi_extra=takes(ConnectionChange),
)
async def change_connection(
    request: Request, connection: str, caller: ConnectionsManager
) -> Response:
    """Have it be otherwise, all of it: secret fields are sent again."""
    parts = parts_of(request)
    row = await known(parts.engine, CONNECTIONS, caller.tenant_id, connection)
    revisions = may_change(request)
    body = await bodies.model(request, ConnectionChange)
    refuse_rename(body.name, row)
    asked = asked_of(body.type, body.config)
    command = ReplaceConnection(
        type=asked.kind.name,
        config=await parts.seals.sealed(caller.tenant_id, asked.public),
        by=caller.actor,
        revisions=revisions,
    )
    sender = sender_of(request, caller.actor)
    connection_id = str(row["id"])
    written = await parts.registry.connection(caller.tenant_id, connection_id, command, sender)
    name = Name(Kind.CONNECTION, row["name"])
    await parts.vault.keep(caller.tenant_id, name, asked.sealed, seq=written.seq)
    headers = {"ETag": etag(written.state.revision)}
    answer = await shown(parts, caller, connection_id, written.state)
    return await settled(parts, written, answer, headers=headers)


@router.delete(
    "/connections/{connection}", status_code=204, responses=gives(None, status=204) | if_match()
)
async def remove_connection(
    request: Request, connection: str, caller: ConnectionsManager
) -> Response:
    """Let no step use it any more."""
    parts = parts_of(request)
    row = await known(parts.engine, CONNECTIONS, caller.tenant_id, connection)
    command = RemoveConnection(by=caller.actor, revisions=may_change(request))
    sender = sender_of(request, caller.actor)
    written = await parts.registry.connection(caller.tenant_id, str(row["id"]), command, sender)
    name = Name(Kind.CONNECTION, row["name"])
    await parts.vault.remove(caller.tenant_id, name, seq=written.seq)
    return await settled(parts, written, None, status=204)


async def shown(
    parts: Parts, caller: Caller, connection_id: str, connection: Connection
) -> dict[str, Any]:
    """A connection as clients see it, from what the write left behind."""
    config = await parts.payloads(caller.tenant_id).text(connection.config, Allowance())
    return {
        "id": connection_id,
        "name": connection.name,
        "type": connection.kind,
        "config": config,
        "secretFields": list(CONNECTION_TYPES[connection.kind].secret_fields),
        "createdBy": connection.created_by,
        "createdAt": moment_of_ms(connection.created_at),
        "updatedBy": connection.updated_by,
        "updatedAt": moment_of_ms(connection.updated_at),
    }


async def shown_rows(parts: Parts, caller: Caller, rows: list[Row]) -> list[dict[str, Any]]:
    """Connections as clients see them."""
    payloads, allowance = parts.payloads(caller.tenant_id), Allowance()
    return [
        {
            "id": str(row["id"]),
            "name": row["name"],
            "type": row["type"],
            "config": await payloads.opened(row["config"], allowance),
            "secretFields": list(CONNECTION_TYPES[row["type"]].secret_fields),
            "createdBy": row["created_by"],
            "createdAt": moment(row["created_at"]),
            "updatedBy": row["updated_by"],
            "updatedAt": moment(row["updated_at"]),
        }
        for row in rows
    ]
