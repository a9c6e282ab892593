"""Calls about workflows and their versions; `workflow` is a workflow's id or its key."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from penstock.client.calls import (
    Answer,
    Call,
    delete,
    encoded,
    get,
    given,
    json_body,
    reading,
    segment,
)
from penstock.client.models import Comparison, Imported, Page, Validation, Version, Workflow

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
    visibility: str | None = None,
    if_match: str | None = None,
) -> Call[Workflow]:
    """Rename a workflow, or make and publish a new version; a pin stays where it is.

    visibility: `tenant`, or `public-read` for whoever has a credential and knows the id.
    if_match: an etag; raises PreconditionFailed if the workflow is not that any more.
    Raises Invalid (every fault of the definition), NotFound.
    """
    body, headers = json_body(name=name, definition=definition, visibility=visibility)
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
    return get(version_path(workflow, number), Version)


def draft_version(workflow: str, definition: Definition) -> Call[Version]:
    """Keep a definition as a draft. Raises Invalid (every fault of the definition), NotFound."""
    body, headers = json_body(definition=definition)
    return Call(
        method="POST",
        path=f"/api/workflows/{segment(workflow)}/versions",
        read=reading(Version),
        headers={**headers, "Idempotency-Key": uuid4().hex},
        body=body,
        repeatable=True,
    )


def publish(workflow: str, version: int | str) -> Call[Workflow]:
    """Let a draft be run; the newest published version is run by default. Raises NotFound."""
    return changing("POST", f"{version_path(workflow, version)}/publish")


def pin(workflow: str, version: int | str) -> Call[Workflow]:
    """Run this version by default, whatever is published later.

    Raises NotFound, Conflict (it is a draft).
    """
    return changing("PUT", f"{version_path(workflow, version)}/pin")


def unpin(workflow: str) -> Call[Workflow]:
    """Run the newest published version by default again. Raises NotFound."""
    return changing("DELETE", f"/api/workflows/{segment(workflow)}/pin")


def compare(workflow: str, older: int | str, newer: int | str | None = None) -> Call[Comparison]:
    """How one version differs from another, by default the newest. Raises NotFound."""
    path = f"/api/workflows/{segment(workflow)}/diff"
    asked = {"from": str(older)} | ({} if newer is None else {"to": str(newer)})
    return Call(method="GET", path=path, read=reading(Comparison), params=asked, repeatable=True)


def export_workflow(
    workflow: str,
    *,
    format: str = "json",  # noqa: A002 - the parameter's name
    version: int | str | None = None,
) -> Call[str]:
    """A version, by default the newest published one, as the text of a file.

    format: `json` or `yaml`. Raises NotFound, Conflict (no version is published).
    """
    return Call(
        method="GET",
        path=f"/api/workflows/{segment(workflow)}/export",
        read=text_of,
        params=given(format=format, version=version),
        repeatable=True,
    )


def import_workflow(definition: Definition | str) -> Call[Imported]:
    """Make the workflow that a definition names, or publish it as its new version.

    definition: a document, or the text of a file, JSON or YAML. One that is published already
    changes nothing. Raises Invalid (every fault of the definition).
    """
    if isinstance(definition, str):
        body, headers = definition.encode(), {"Content-Type": "text/plain; charset=utf-8"}
    else:
        body, headers = encoded(definition)
    return Call(
        method="POST",
        path="/api/workflows/import",
        read=reading(Imported),
        headers={**headers, "Idempotency-Key": uuid4().hex},
        body=body,
        repeatable=True,
    )


def version_path(workflow: str, version: int | str) -> str:
    """Where a version is, by its number or id."""
    return f"/api/workflows/{segment(workflow)}/versions/{segment(str(version))}"


def changing(method: str, path: str) -> Call[Workflow]:
    """A call without a body that sets what it names."""
    return Call(method=method, path=path, read=read_workflow, repeatable=True)


def text_of(answer: Answer) -> str:
    """The text in an answer."""
    return answer.body.decode()


def read_workflow(answer: Answer) -> Workflow:
    """The workflow in an answer, with the etag of its header."""
    found = reading(Workflow)(answer)
    return replace(found, etag=answer.headers.get("etag"))
