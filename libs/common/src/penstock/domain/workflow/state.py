"""A workflow as a value, and the fold that makes it; None is one without history."""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.workflow.events import (
    Visibility,
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowEvent,
    WorkflowRecreated,
    WorkflowRenamed,
    WorkflowVersionCreated,
    WorkflowVersionPinned,
    WorkflowVersionPublished,
    WorkflowVersionUnpinned,
    WorkflowVisibilityChanged,
)


class Version(Struct, frozen=True):
    """One version; its definition is in the blob store under `content_hash`."""

    version_id: str
    content_hash: str
    published: bool = False


class Workflow(Struct, frozen=True, kw_only=True):
    """A workflow as it stands.

    revision: how many events it has. versions: the version with number n is at n - 1.
    pinned: a number, None without a pin. created_at, created_by: of its present life.
    request_hashes: of the requests that made it, one a life; empty where there was no key.
    """

    key: str
    name: str
    created_at: int
    created_by: str
    revision: int = 1
    visibility: Visibility = Visibility.TENANT
    request_hashes: tuple[str, ...] = ()
    versions: tuple[Version, ...] = ()
    pinned: int | None = None
    deleted_at: int | None = None


def version(workflow: Workflow, number: int) -> Version | None:
    """The version with this number, None when there is none."""
    return workflow.versions[number - 1] if 1 <= number <= len(workflow.versions) else None


def newest_published(workflow: Workflow) -> int | None:
    """The number of the version that is run without a pin, None when none is published."""
    numbers = range(len(workflow.versions), 0, -1)
    return next((n for n in numbers if workflow.versions[n - 1].published), None)


def evolve(workflow: Workflow | None, event: WorkflowEvent) -> Workflow:
    """The workflow after `event`."""
    if isinstance(event, WorkflowCreated):
        return Workflow(
            key=event.key,
            name=event.name,
            created_at=event.created_at,
            created_by=event.created_by,
            visibility=event.visibility,
            request_hashes=(event.request_hash,),
        )
    assert workflow is not None, "a workflow's history begins with WorkflowCreated"
    return replace(changed(workflow, event), revision=workflow.revision + 1)


def changed(workflow: Workflow, event: WorkflowEvent) -> Workflow:
    """The workflow with what `event` says, its revision aside."""
    match event:
        case WorkflowCreated():
            return workflow
        case WorkflowRecreated():
            return reborn(workflow, event)
        case WorkflowRenamed(name=name):
            return replace(workflow, name=name)
        case WorkflowVisibilityChanged(visibility=visibility):
            return replace(workflow, visibility=visibility)
        case WorkflowVersionCreated(version_id=version_id, content_hash=content_hash):
            added = Version(version_id, content_hash)
            return replace(workflow, versions=(*workflow.versions, added))
        case WorkflowVersionPublished(number=number):
            published = replace(workflow.versions[number - 1], published=True)
            before, after = workflow.versions[: number - 1], workflow.versions[number:]
            return replace(workflow, versions=(*before, published, *after))
        case WorkflowVersionPinned(number=number):
            return replace(workflow, pinned=number)
        case WorkflowVersionUnpinned():
            return replace(workflow, pinned=None)
        case WorkflowDeleted(deleted_at=deleted_at):
            return replace(workflow, deleted_at=deleted_at)
        case _:
            assert_never(event)


def reborn(workflow: Workflow, event: WorkflowRecreated) -> Workflow:
    """The workflow in a new life."""
    return replace(
        workflow,
        name=event.name,
        created_at=event.created_at,
        created_by=event.created_by,
        visibility=event.visibility,
        request_hashes=(*workflow.request_hashes, event.request_hash),
        versions=tuple(replace(each, published=False) for each in workflow.versions),
        pinned=None,
        deleted_at=None,
    )
