"""Workflows: made, changed, read, judged."""

import re
from typing import Any

from fastapi import APIRouter, Request, Response
from msgspec.structs import replace

from penstock.api import bodies, drawings, pages, queries_registry
from penstock.api.answers import answered, moment_of_ms
from penstock.api.auth import Caller, WorkflowsReader, WorkflowsWriter
from penstock.api.errors import Problem, detail, invalid
from penstock.api.etags import etag, is_known, may_change
from penstock.api.idempotency import Identity, identity, kept_to_one_request
from penstock.api.openapi import gives, gives_page_of, if_match, if_none_match, takes
from penstock.api.pages import Cursor, Limit
from penstock.api.parts import Parts, parts_of, sender_of
from penstock.api.payloads import Allowance
from penstock.api.public_reads import is_own, readable
from penstock.api.registry import Written
from penstock.api.schemas_registry import (
    DefinitionOnly,
    Judgement,
    NewWorkflow,
    WorkflowChange,
    WorkflowShown,
)
from penstock.api.unsealing import rows_opened
from penstock.api.writes import read_after, settled
from penstock.domain.errors import Conflict, Refused
from penstock.domain.ids import derived
from penstock.domain.workflow.commands import (
    ChangeWorkflow,
    CreateWorkflow,
    DeleteWorkflow,
)
from penstock.domain.workflow.model import Definition, to_wire
from penstock.domain.workflow.state import Workflow, newest_published
from penstock.infra.postgres.engine import Row

KEY_MAX = 56
"""A key made from a name; with its number it stays within the 64 characters of any key."""
NUMBERED_MAX = 1000
"""Workflows of one name; the next one has to say its own key."""
KEY_TAKEN = "KEY_TAKEN"

router = APIRouter(prefix="/api/workflows", tags=["workflows"])


@router.get("", responses=gives_page_of(WorkflowShown))
async def list_workflows(
    request: Request,
    caller: WorkflowsReader,
    limit: Limit = pages.LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """The tenant's workflows, newest first, without their definitions."""
    parts = parts_of(request)
    await read_after(request, parts)
    of = pages.listing(request)
    after = pages.after(cursor, of)
    rows = await queries_registry.workflows(
        parts.engine, caller.tenant_id, after=after, limit=limit + 1
    )
    rows = await rows_opened(parts.seals, rows, "name")
    return answered(pages.page(rows, limit, queries_registry.shown_workflow, of=of))


@router.post(
    "",
    status_code=201,
    responses=gives(WorkflowShown, status=201),
    openapi_extra=takes(NewWorkflow),
)
async def create_workflow(request: Request, caller: WorkflowsWriter) -> Response:
    """Make a workflow; its definition, if it has one, becomes version 1 and is published."""
    parts = parts_of(request)
    sent = await bodies.value(request)
    asked = bodies.fitted(sent, NewWorkflow)
    drawn = None
    if asked.definition is not None:
        drawn = drawings.accepted(asked.definition, name=asked.name)
    name = asked.name or (drawn.definition.name if drawn else None)
    if name is None:
        fault = detail("/name", "SCHEMA_INVALID", "is needed without a definition")
        raise invalid("the body is not valid", fault)
    made = identity(request, caller.tenant_id, sent)
    await kept_to_one_request(request, caller.tenant_id, caller.actor, made)
    key = drawn.key if drawn else None
    definition = drawn.definition if drawn else None
    version = await drawings.stored(parts, caller.tenant_id, definition) if definition else None
    command = CreateWorkflow(
        key=key or slug(name),
        name=(await parts.seals.texts.marks(caller.tenant_id)).closed(name),
        created_by=caller.actor,
        visibility=asked.visibility,
        version=version,
        request_hash=made.request_hash,
        again=key is not None,
    )
    if key is not None:
        written = await created(request, parts, caller, command)
    else:
        written = await created_under_free_key(request, parts, caller, command, made)
    workflow_id = derived(caller.tenant_id, written.state.key)
    parts.runnables.changed(workflow_id, written.seq)
    headers = {
        "Location": f"/api/workflows/{workflow_id}",
        "ETag": etag(written.state.revision),
    }
    body = await shown(parts, caller, workflow_id, written.state, definition)
    return await settled(parts, written, body, status=201, headers=headers)


@router.post("/validate", responses=gives(Judgement), openapi_extra=takes(DefinitionOnly))
async def validate_definition(request: Request, _: WorkflowsReader) -> Response:
    """What is wrong with a definition, and the layers in which its nodes would run."""
    asked = await bodies.model(request, DefinitionOnly)
    verdict = drawings.judged(asked.definition)
    return answered(
        {
            "valid": not verdict.problems,
            "problems": verdict.problems,
            "plan": verdict.plan,
        }
    )


@router.get("/{workflow_id}", responses=gives(WorkflowShown) | if_none_match())
async def get_workflow(request: Request, workflow_id: str, caller: WorkflowsReader) -> Response:
    """One workflow with the definition of its newest published version.

    Another tenant's that is `public-read` is found by its id. It has no ETag and no `createdBy`,
    and its drafts and its pin are not shown.
    """
    parts = parts_of(request)
    await read_after(request, parts)
    row = await readable(parts, caller.tenant_id, workflow_id)
    headers = {}
    if is_own(caller.tenant_id, row):
        headers = {"ETag": etag(row["revision"])}
        if is_known(request, row["revision"]):
            return Response(status_code=304, headers=headers)
    definition = None
    if row["definition"] is not None:
        payloads = parts.payloads(str(row["tenant_id"]))
        definition = await payloads.opened(row["definition"], Allowance())
    body = {**queries_registry.shown_workflow(row), "definition": definition}
    return answered(body, headers=headers)


@router.put(
    "/{workflow_id}",
    responses=gives(WorkflowShown) | if_match(),
    openapi_extra=takes(WorkflowChange),
)
async def change_workflow(request: Request, workflow_id: str, caller: WorkflowsWriter) -> Response:
    """Rename, show or hide; with a definition, make and publish a new version. A pin stays.

    A definition that says its name renames the workflow, unless the body says another one.
    """
    parts = parts_of(request)
    row = await known(parts, caller, workflow_id)
    revisions = may_change(request)
    asked = await bodies.model(request, WorkflowChange)
    name, definition, version = asked.name, None, None
    if asked.definition is not None:
        definition, _, own_name = drawings.accepted_for(asked.definition, row)
        name = name or own_name
        version = await drawings.stored(parts, caller.tenant_id, definition)
    if name is not None:
        name = (await parts.seals.texts.marks(caller.tenant_id)).closed(name)
    command = ChangeWorkflow(
        changed_by=caller.actor,
        name=name,
        visibility=asked.visibility,
        version=version,
        revisions=revisions,
    )
    found = str(row["id"])
    sender = sender_of(request, caller.actor)
    written = await parts.registry.workflow(caller.tenant_id, found, command, sender)
    parts.runnables.changed(found, written.seq)
    if definition is None:
        definition = await published(parts, caller, written.state)
    headers = {"ETag": etag(written.state.revision)}
    body = await shown(parts, caller, found, written.state, definition)
    return await settled(parts, written, body, headers=headers)


@router.delete("/{workflow_id}", status_code=204, responses=gives(None, status=204) | if_match())
async def delete_workflow(request: Request, workflow_id: str, caller: WorkflowsWriter) -> Response:
    """Let nobody run it any more; its runs stay readable, live ones go on."""
    parts = parts_of(request)
    row = await known(parts, caller, workflow_id)
    command = DeleteWorkflow(revisions=may_change(request))
    found = str(row["id"])
    sender = sender_of(request, caller.actor)
    written = await parts.registry.workflow(caller.tenant_id, found, command, sender)
    parts.runnables.changed(found, written.seq)
    await parts.places.leave(caller.tenant_id, found)
    return await settled(parts, written, None, status=204)


async def created(
    request: Request, parts: Parts, caller: Caller, command: CreateWorkflow
) -> Written[Workflow]:
    """The workflow under the command's key. Raises Conflict when that is taken.

    Problem 409 where the tenant has as many as it may.
    """
    workflow_id = derived(caller.tenant_id, command.key)
    sender = sender_of(request, caller.actor)
    most = (await parts.limits.of(caller.tenant_id)).max_workflows
    is_new = await parts.places.take(caller.tenant_id, workflow_id, most)
    try:
        return await parts.registry.workflow(caller.tenant_id, workflow_id, command, sender)
    except Refused:
        if is_new:
            await parts.places.leave(caller.tenant_id, workflow_id)
        raise


async def created_under_free_key(
    request: Request, parts: Parts, caller: Caller, command: CreateWorkflow, made: Identity
) -> Written[Workflow]:
    """The workflow under the first free one of `key`, `key-2`, `key-3`, …

    A request with an Idempotency-Key tries each, for one of them may be its own from before.
    """
    taken: set[str] = set()
    if not made.request_hash:
        taken = await queries_registry.keys_like(parts.engine, caller.tenant_id, command.key)
    for number in range(1, NUMBERED_MAX + 1):
        key = command.key if number == 1 else f"{command.key}-{number}"
        if key in taken:
            continue
        try:
            return await created(request, parts, caller, replace(command, key=key))
        except Conflict as conflict:
            if conflict.code != KEY_TAKEN:
                raise
    raise Conflict(f"there are {NUMBERED_MAX} workflows of this name", code=KEY_TAKEN)


def slug(name: str) -> str:
    """A key that looks like the name."""
    text = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")[:KEY_MAX].strip("-")
    return text or "workflow"


async def known(parts: Parts, caller: Caller, ref: str) -> Row:
    """The row of a living workflow of the caller's tenant, by id or key, its name opened.

    Raises Problem 404.
    """
    row = await queries_registry.workflow(parts.engine, caller.tenant_id, ref)
    if row is None:
        raise Problem(404, "there is no such workflow")
    (found,) = await rows_opened(parts.seals, [row], "name")
    return found


async def published(parts: Parts, caller: Caller, workflow: Workflow) -> Definition | None:
    """The definition of the newest published version."""
    number = newest_published(workflow)
    if number is None:
        return None
    content_hash = workflow.versions[number - 1].content_hash
    return await parts.definitions.definition(caller.tenant_id, content_hash)


async def shown(
    parts: Parts,
    caller: Caller,
    workflow_id: str,
    workflow: Workflow,
    definition: Definition | None,
) -> dict[str, Any]:
    """A workflow as clients see it, from what the write left behind."""
    return {
        "id": workflow_id,
        "key": workflow.key,
        "name": await parts.seals.texts.opened(caller.tenant_id, workflow.name),
        "version": newest_published(workflow),
        "latestVersion": len(workflow.versions) or None,
        "pinnedVersion": workflow.pinned,
        "visibility": workflow.visibility,
        "createdBy": workflow.created_by,
        "createdAt": moment_of_ms(workflow.created_at),
        "definition": to_wire(definition) if definition else None,
    }
