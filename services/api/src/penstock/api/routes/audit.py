"""Who did what: the tenant's part of both logs, in one order, with the hashes that prove it."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from penstock.api.answers import answered
from penstock.api.audit import verifying
from penstock.api.audit.acts import noted
from penstock.api.audit.order import Wanted
from penstock.api.audit.reading import Reader
from penstock.api.audit.telling import Teller
from penstock.api.auth import AuditReader
from penstock.api.errors import detail, invalid
from penstock.api.openapi import gives, gives_page_of, problem
from penstock.api.pages import LIMIT_DEFAULT, Limit
from penstock.api.parts import parts_of
from penstock.api.positions import START, Position, parse
from penstock.api.schemas_audit import AuditEventShown, VerdictShown
from penstock.api.writes import read_after
from penstock.domain.access.events import DataExported
from penstock.infra.postgres.tenant import tenant_session
from penstock.messages.catalogue import EVENT_TYPES

NDJSON = "application/x-ndjson"
FILTERS_MAX = 20
ACTOR_MAX = 128
EXPORT: dict[int | str, dict[str, Any]] = {
    200: {"description": "A JSON object a line", "content": {NDJSON: {}}},
    "default": problem(),
}

After = Annotated[
    str | None, Query(max_length=40, description="a position of either log, exclusive")
]
Types = Annotated[
    list[str], Query(alias="type", max_length=FILTERS_MAX, description="of events; may be repeated")
]
Actor = Annotated[str, Query(max_length=ACTOR_MAX)]
Actors = Annotated[
    list[Actor],
    Query(alias="actor", max_length=FILTERS_MAX, description="`<kind>:<id>`; may be repeated"),
]

router = APIRouter(prefix="/api/audit", tags=["audit"])


@router.get("/events", responses=gives_page_of(AuditEventShown))
async def list_audit_events(
    request: Request,
    caller: AuditReader,
    after: After = None,
    types: Types = [],  # noqa: B006 - the framework copies it
    actors: Actors = [],  # noqa: B006 - the framework copies it
    limit: Limit = LIMIT_DEFAULT,
) -> Response:
    """Everything that happened in the tenant, over both logs, in order.

    `nextCursor` is the last event's position, or, where nothing matched, how far was looked; there
    is nothing more for now where it is the same as `after`.
    """
    parts = parts_of(request)
    start = start_of(after)
    wanted = wanted_of(types, actors)
    await read_after(request, parts)
    teller = Teller(parts.seals, caller.tenant_id, wanted)
    page = await Reader(parts.engine, teller, caller.tenant_id, wanted).page(start, limit)
    return answered({"items": page.events, "nextCursor": page.next or after})


@router.get("/verify", responses=gives(VerdictShown))
async def verify_audit(request: Request, caller: AuditReader, after: After = None) -> Response:
    """Follow the tenant's chains for a few seconds; `through` says where to go on, null at the end.

    The registry comes first, then the events. `head` names the ends of both chains: whoever keeps
    it can tell later that nothing before it was changed.
    """
    parts = parts_of(request)
    start = start_of(after)
    await read_after(request, parts)
    proof = verifying.Proof(parts.engine, caller.tenant_id)
    return answered(verifying.told(await proof.verdict(start)))


@router.get("/export", responses=EXPORT, response_class=StreamingResponse)
async def export_audit(request: Request, caller: AuditReader, after: After = None) -> Response:
    """All events up to now, one a line; the first of each decision has its bytes as `body`."""
    parts = parts_of(request)
    start = start_of(after)
    await read_after(request, parts)
    noted(request, DataExported, caller.tenant_id, caller.actor)
    async with tenant_session(parts.engine, caller.tenant_id) as session:
        heads = await verifying.heads_of(session, caller.tenant_id)
    teller = Teller(parts.seals, caller.tenant_id, Wanted(), has_bodies=True)
    reader = Reader(parts.engine, teller, caller.tenant_id, Wanted())
    ends = {log: head.seq for log, head in heads.items()}
    named = f'attachment; filename="audit-{caller.tenant_id}.ndjson"'
    return StreamingResponse(
        lines(reader.all(start, ends)),
        media_type=NDJSON,
        headers={"Content-Disposition": named},
    )


async def lines(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[bytes]:
    """Events as lines of JSON."""
    async for page in pages:
        yield b"".join(msgspec.json.encode(event) + b"\n" for event in page)


def start_of(after: str | None) -> Position:
    """The place behind which to begin. Raises Problem 400."""
    return START if after is None else parse(after, "/query/after")


def wanted_of(types: list[str], actors: list[str]) -> Wanted:
    """What is asked for. Raises Problem 400 that names a type which there is not."""
    kinds = {kind for kind, name in EVENT_TYPES.types if name in types}
    known = {name for _, name in EVENT_TYPES.types}
    unknown = sorted(set(types) - known)
    if unknown:
        faults = [detail("/query/type", "SCHEMA_INVALID", f"no type: {name}") for name in unknown]
        raise invalid("there is no such type of events", *faults)
    return Wanted(tuple(types), tuple(actors), tuple(sorted(kinds)))
