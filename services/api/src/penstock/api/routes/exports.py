"""Definitions as files: workflows exported, imported, and their versions compared."""

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response

from penstock.api import bodies, drawings, queries_registry
from penstock.api.answers import answered
from penstock.api.audit.acts import noted
from penstock.api.auth import Caller, WorkflowsReader, WorkflowsWriter
from penstock.api.errors import Problem, detail, invalid
from penstock.api.etags import etag
from penstock.api.idempotency import Identity, identity, kept_to_one_request
from penstock.api.openapi import gives, if_it_stands_so
from penstock.api.parts import Parts, parts_of, sender_of
from penstock.api.public_reads import readable, readable_version
from penstock.api.registry import Written
from penstock.api.routes.workflows import KEY_TAKEN, created, shown, slug
from penstock.api.schemas_registry import DifferenceShown, ImportShown
from penstock.api.writes import read_after, settled
from penstock.domain.access.events import DataExported
from penstock.domain.errors import Conflict, NotFound
from penstock.domain.ids import derived
from penstock.domain.workflow.commands import ChangeWorkflow, CreateWorkflow
from penstock.domain.workflow.difference import difference
from penstock.domain.workflow.events import (
    WorkflowCreated,
    WorkflowRecreated,
    WorkflowVersionCreated,
)
from penstock.domain.workflow.model import Definition, to_wire
from penstock.domain.workflow.state import Workflow
from penstock.infra.documents import DocumentInvalid, json_text, yaml_text, yaml_value
from penstock.infra.postgres.engine import Row

JSON = "application/json"
YAML = "application/yaml"
YAML_TYPES = frozenset({YAML, "application/x-yaml", "text/yaml", "text/x-yaml", "text/vnd.yaml"})
BARE_TYPES = frozenset({"", "text/plain", "application/octet-stream"})
"""Types that do not say whether it is JSON or YAML; then the text itself does."""
RACES_MAX = 3
"""An import meets a workflow that is made or deleted meanwhile; nobody does that all the time."""

EXPORT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The definition", "content": {JSON: {"schema": {}}, YAML: {"schema": {}}}},
    **if_it_stands_so(),
}
IMPORT: dict[str, Any] = {
    "requestBody": {"required": True, "content": {JSON: {"schema": {}}, YAML: {"schema": {}}}}
}

Format = Annotated[Literal["json", "yaml"], Query(description="of the answer")]
MaybeRef = Annotated[
    str | None, Query(max_length=64, description="a version's number or id; else the newest")
]
From = Annotated[str, Query(alias="from", max_length=64, description="a version's number or id")]

router = APIRouter(prefix="/api/workflows", tags=["workflows"])


@router.get("/{workflow_id}/diff", responses=gives(DifferenceShown))
async def compare_versions(
    request: Request, workflow_id: str, caller: WorkflowsReader, older: From, to: MaybeRef = None
) -> Response:
    """How one version differs from another: settings, nodes, edges, each with its pointer."""
    parts = parts_of(request)
    await read_after(request, parts)
    workflow = await readable(parts, caller.tenant_id, workflow_id)
    first = await readable_version(parts, caller.tenant_id, workflow, older)
    second = await readable_version(
        parts, caller.tenant_id, workflow, to or str(workflow["latest_number"])
    )
    found = difference(await drawn(parts, first), await drawn(parts, second))
    body = {
        "from": side(first),
        "to": side(second),
        "identical": found.is_empty,
        **msgspec.structs.asdict(found),
    }
    return answered(body)


@router.get("/{workflow_id}/export", responses=EXPORT)
async def export_workflow(
    request: Request,
    workflow_id: str,
    caller: WorkflowsReader,
    format: Format = "json",  # noqa: A002 - the contract's word
    version: MaybeRef = None,
) -> Response:
    """The newest published version, or the one that is named, as a file to be imported again."""
    parts = parts_of(request)
    await read_after(request, parts)
    workflow = await readable(parts, caller.tenant_id, workflow_id)
    ref = version or workflow["published_number"]
    if ref is None:
        raise Problem(409, "the workflow has no published version", code="NO_VERSION")
    row = await readable_version(parts, caller.tenant_id, workflow, str(ref))
    document = {"id": workflow["key"], **to_wire(await drawn(parts, row))}
    noted(request, DataExported, caller.tenant_id, caller.actor)
    text = json_text(document) if format == "json" else yaml_text(document)
    named = f'attachment; filename="{workflow["key"]}.{format}"'
    return Response(
        text,
        media_type=JSON if format == "json" else YAML,
        headers={"Content-Disposition": named},
    )


@router.post(
    "/import",
    responses=gives(ImportShown) | {201: gives(ImportShown)[200]},
    openapi_extra=IMPORT,
)
async def import_workflow(request: Request, caller: WorkflowsWriter) -> Response:
    """Make the workflow of a definition, JSON or YAML, or publish it as a new version.

    Its key is the definition's `id`, else made from its name. A definition that is the newest
    published version already changes nothing.
    """
    parts = parts_of(request)
    sent = await document(request)
    is_wrapped = isinstance(sent, dict) and sent.keys() == {"definition"}
    found = drawings.accepted(
        sent["definition"] if is_wrapped else sent, at=drawings.POINTER if is_wrapped else ""
    )
    made = identity(request, caller.tenant_id, sent)
    await kept_to_one_request(request, caller.tenant_id, caller.actor, made)
    key = found.key or slug(found.definition.name)
    written = await imported(request, parts, caller, key, found.definition, made)
    workflow_id = derived(caller.tenant_id, written.state.key)
    parts.runnables.changed(workflow_id, written.seq)
    change = change_of(written)
    body = await shown(parts, caller, workflow_id, written.state, found.definition)
    body["change"] = change
    headers = {"ETag": etag(written.state.revision), "Location": f"/api/workflows/{workflow_id}"}
    status = 201 if change == "created" else 200
    return await settled(parts, written, body, status=status, headers=headers)


async def imported(
    request: Request,
    parts: Parts,
    caller: Caller,
    key: str,
    definition: Definition,
    made: Identity,
) -> Written[Workflow]:
    """The workflow under the key, made or changed so that this is its newest definition."""
    version = await drawings.stored(parts, caller.tenant_id, definition, version_id=str(made.id))
    name = (await parts.seals.texts.marks(caller.tenant_id)).closed(definition.name)
    making = CreateWorkflow(
        key=key,
        name=name,
        created_by=caller.actor,
        version=version,
        request_hash=made.request_hash,
        again=True,
    )
    changing = ChangeWorkflow(changed_by=caller.actor, name=name, version=version, if_new=True)
    for _ in range(RACES_MAX):
        try:
            return await created(request, parts, caller, making)
        except Conflict as conflict:
            if conflict.code != KEY_TAKEN:
                raise
        sender = sender_of(request, caller.actor)
        workflow_id = derived(caller.tenant_id, key)
        try:
            return await parts.registry.workflow(caller.tenant_id, workflow_id, changing, sender)
        except NotFound:
            continue
    raise Conflict(f"the workflow {key} is being made and deleted all the time")


def change_of(written: Written[Workflow]) -> str:
    """What an import came to, by what it added."""
    for event in written.events:
        match event:
            case WorkflowCreated() | WorkflowRecreated():
                return "created"
            case WorkflowVersionCreated():
                return "updated"
            case _:
                pass
    return "unchanged"


async def document(request: Request) -> Any:
    """The body, as JSON or YAML by its type, or by its text. Raises Problem 400, 413, 415."""
    body = await bodies.read(request)
    media_type = bodies.media_type_of(request)
    if media_type == JSON or media_type.endswith("+json"):
        return bodies.parsed(body)
    if media_type in BARE_TYPES:
        if body.lstrip()[:1] == b"{":
            return bodies.parsed(body)
    elif media_type not in YAML_TYPES and not media_type.endswith("+yaml"):
        raise Problem(415, "send the definition as application/json or application/yaml")
    try:
        return await asyncio.to_thread(yaml_value, body.decode("utf-8-sig"))
    except (DocumentInvalid, UnicodeDecodeError) as error:
        said = str(error) if isinstance(error, DocumentInvalid) else "this is not UTF-8 text"
        fault = detail("", "MALFORMED_YAML", said)
        raise invalid("the body is not valid YAML", fault) from None


async def drawn(parts: Parts, version: Row) -> Definition:
    """A version's definition, whosever it is."""
    return await parts.definitions.definition(str(version["tenant_id"]), version["content_hash"])


def side(version: Row) -> dict[str, Any]:
    """One of the versions that are compared."""
    found = queries_registry.shown_version(version)
    return {name: found[name] for name in ("id", "number", "status", "contentHash")}
