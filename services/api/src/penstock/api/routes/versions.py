"""Versions of a workflow: drafted, published, pinned; none ever changes."""

from fastapi import APIRouter, Request, Response

from penstock.api import bodies, drawings, pages, queries_registry
from penstock.api.answers import answered, moment_of_ms
from penstock.api.auth import Caller, WorkflowsReader, WorkflowsWriter
from penstock.api.etags import etag, may_change
from penstock.api.idempotency import identity, kept_to_one_request
from penstock.api.openapi import gives, gives_page_of, if_match, takes
from penstock.api.pages import Cursor, Limit
from penstock.api.parts import Parts, parts_of, sender_of
from penstock.api.payloads import Allowance
from penstock.api.public_reads import readable, readable_version, readable_versions
from penstock.api.routes.workflows import known, published, shown
from penstock.api.schemas_registry import DefinitionOnly, VersionShown, WorkflowShown
from penstock.api.writes import read_after, settled
from penstock.domain.workflow.commands import (
    DraftVersion,
    PinVersion,
    PublishVersion,
    UnpinVersion,
    WorkflowCommand,
)
from penstock.domain.workflow.model import to_wire
from penstock.infra.postgres.engine import Row

router = APIRouter(prefix="/api/workflows/{workflow_id}", tags=["workflows"])


@router.get("/versions", responses=gives_page_of(VersionShown))
async def list_versions(
    request: Request,
    workflow_id: str,
    caller: WorkflowsReader,
    limit: Limit = pages.LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """Versions, newest first, without their definitions."""
    parts = parts_of(request)
    await read_after(request, parts)
    workflow = await readable(parts, caller.tenant_id, workflow_id)
    of = pages.listing(request)
    below = numbered(cursor, of)
    rows = await readable_versions(parts, caller.tenant_id, workflow, below=below, limit=limit + 1)
    items = [queries_registry.shown_version(row) for row in rows[:limit]]
    following = pages.sealed([items[-1]["number"]], of) if len(rows) > limit else None
    return answered({"items": items, "nextCursor": following})


@router.post(
    "/versions",
    status_code=201,
    responses=gives(VersionShown, status=201) | if_match(),
    openapi_extra=takes(DefinitionOnly),
)
async def draft_version(request: Request, workflow_id: str, caller: WorkflowsWriter) -> Response:
    """Keep a definition as a draft."""
    parts = parts_of(request)
    workflow = await known(parts, caller, workflow_id)
    sent = await bodies.value(request)
    asked = bodies.fitted(sent, DefinitionOnly)
    definition = drawings.accepted_for(asked.definition, workflow).definition
    made = identity(request, caller.tenant_id, sent)
    await kept_to_one_request(request, caller.tenant_id, caller.actor, made)
    version = await drawings.stored(parts, caller.tenant_id, definition, version_id=str(made.id))
    found = str(workflow["id"])
    command = DraftVersion(created_by=caller.actor, version=version, revisions=may_change(request))
    sender = sender_of(request, caller.actor)
    written = await parts.registry.workflow(caller.tenant_id, found, command, sender)
    parts.runnables.changed(found, written.seq)
    drafted = written.events[-1]
    body = {
        "id": drafted.version_id,
        "number": drafted.number,
        "status": "draft",
        "contentHash": drafted.content_hash,
        "createdAt": moment_of_ms(drafted.created_at),
        "createdBy": drafted.created_by,
        "definition": to_wire(definition),
    }
    headers = {"Location": f"/api/workflows/{found}/versions/{drafted.number}"}
    return await settled(parts, written, body, status=201, headers=headers)


@router.get("/versions/{version}", responses=gives(VersionShown))
async def get_version(
    request: Request, workflow_id: str, version: str, caller: WorkflowsReader
) -> Response:
    """One version by number or id."""
    parts = parts_of(request)
    await read_after(request, parts)
    workflow = await readable(parts, caller.tenant_id, workflow_id)
    row = await readable_version(parts, caller.tenant_id, workflow, version)
    payloads = parts.payloads(str(row["tenant_id"]))
    definition = await payloads.opened(row["definition"], Allowance())
    return answered({**queries_registry.shown_version(row), "definition": definition})


@router.post("/versions/{version}/publish", responses=gives(WorkflowShown) | if_match())
async def publish_version(
    request: Request, workflow_id: str, version: str, caller: WorkflowsWriter
) -> Response:
    """Let a draft be run."""
    parts = parts_of(request)
    workflow = await known(parts, caller, workflow_id)
    row = await readable_version(parts, caller.tenant_id, workflow, version)
    return await changed(
        request, parts, caller, workflow, PublishVersion(row["number"], may_change(request))
    )


@router.put("/versions/{version}/pin", responses=gives(WorkflowShown) | if_match())
async def pin_version(
    request: Request, workflow_id: str, version: str, caller: WorkflowsWriter
) -> Response:
    """Run this version by default."""
    parts = parts_of(request)
    workflow = await known(parts, caller, workflow_id)
    row = await readable_version(parts, caller.tenant_id, workflow, version)
    return await changed(
        request, parts, caller, workflow, PinVersion(row["number"], may_change(request))
    )


@router.delete("/pin", responses=gives(WorkflowShown) | if_match())
async def unpin(request: Request, workflow_id: str, caller: WorkflowsWriter) -> Response:
    """Run the newest published version by default again."""
    parts = parts_of(request)
    workflow = await known(parts, caller, workflow_id)
    return await changed(request, parts, caller, workflow, UnpinVersion(may_change(request)))


async def changed(
    request: Request, parts: Parts, caller: Caller, workflow: Row, command: WorkflowCommand
) -> Response:
    """The workflow after `command`."""
    found = str(workflow["id"])
    sender = sender_of(request, caller.actor)
    written = await parts.registry.workflow(caller.tenant_id, found, command, sender)
    parts.runnables.changed(found, written.seq)
    definition = await published(parts, caller, written.state)
    headers = {"ETag": etag(written.state.revision)}
    body = await shown(parts, caller, found, written.state, definition)
    return await settled(parts, written, body, headers=headers)


def numbered(cursor: str | None, of: str) -> int | None:
    """The number that a cursor of the list `of` holds. Raises Problem 400."""
    if cursor is None:
        return None
    match pages.opened(cursor, of):
        case [int(number)] if 0 < number <= queries_registry.NUMBER_MAX:
            return number
        case _:
            raise pages.bad_cursor()
