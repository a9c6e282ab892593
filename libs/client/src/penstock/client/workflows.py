"""Calls about workflows and their versions; `workflow` is a workflow's id or its key."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from penstock.client.calls import (
    Answer,
    Call,
    delete,
    get,
    json_body,
    reading,
    segment,
)
from penstock.client.models import Page, Validation, Version, Workflow

Definition = Mapping[str, Any]


def create(
    *, definition: Definition | None = None, name: str | None = None, visibility: str | None = None
) -> Call[Workflow]:
    """Make a workflow; its definition, if given, becomes version 1, published.

    Raises Invalid (every fault of the definition), Conflict (the key is taken).
    """
    body, headers = json_body(name=name, definition=definition, visibility=visibility)
    return Call(
        method="POST",
        path="/api/workflows",
        read=read_workflow,
        headers={**headers, "Idempotency-Key": uuid4().hex},
        body=body,
        repeatable=True,
    )


def get_workflow(workflow: str) -> Call[Workflow]:
    """One workflow with its definition and `etag`. Raises NotFound."""
    path = f"/api/workflows/{segment(workflow)}"
    return Call(method="GET", path=path, read=read_workflow, repeatable=True)


def list_workflows(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Workflow]]:
    """A page of workflows. limit: 1 to 200."""
    return get("/api/workflows", Page[Workflow], limit=limit, cursor=cursor)


def update(
    workflow: str,
    *,
    definition: Definition | None = None,
    name: str | None = None,
    if_match: str | None = None,
) -> Call[Workflow]:
    """Rename a workflow, or make and publish a new version; a pin stays where it is.

    if_match: an etag; raises PreconditionFailed if the workflow is not that any more.
    Raises Invalid (every fault of the definition), NotFound.
    """
    body, headers = json_body(name=name, definition=definition)
    if if_match is not None:
        headers["If-Match"] = if_match
    return Call(
        method="PUT",
        path=f"/api/workflows/{segment(workflow)}",
        read=read_workflow,
        headers=headers,
        body=body,
    )


def delete_workflow(workflow: str) -> Call[None]:
    """Let nobody run the workflow any more; its runs stay readable. Raises NotFound."""
    return delete(f"/api/workflows/{segment(workflow)}")


def validate(definition: Definition) -> Call[Validation]:
    """What is wrong with a definition, all at once; else the order in which it would run."""
    body, headers = json_body(definition=definition)
    return Call(
        method="POST",
        path="/api/workflows/validate",
        read=reading(Validation),
        headers=headers,
        body=body,
        repeatable=True,
    )


def versions(
    workflow: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[Version]]:
    """A page of a workflow's versions. Raises NotFound."""
    path = f"/api/workflows/{segment(workflow)}/versions"
    return get(path, Page[Version], limit=limit, cursor=cursor)


def version(workflow: str, number: int | str) -> Call[Version]:
    """One version, by its number or id. Raises NotFound."""
    return get(f"/api/workflows/{segment(workflow)}/versions/{segment(str(number))}", Version)


def read_workflow(answer: Answer) -> Workflow:
    """The workflow in an answer, with the etag of its header."""
    found = reading(Workflow)(answer)
    return replace(found, etag=answer.headers.get("etag"))
