"""The rules of a workflow's life: drafted, published, pinned, deleted; versions never change.

A command that already took effect adds nothing.
"""

from typing import assert_never

from penstock.domain.decider import Decider
from penstock.domain.errors import Conflict, NotFound
from penstock.domain.workflow.commands import (
    ChangeWorkflow,
    CreateWorkflow,
    DeleteWorkflow,
    DraftVersion,
    NewVersion,
    PinVersion,
    PublishVersion,
    UnpinVersion,
    WorkflowCommand,
)
from penstock.domain.workflow.events import (
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowEvent,
    WorkflowRenamed,
    WorkflowVersionCreated,
    WorkflowVersionPinned,
    WorkflowVersionPublished,
    WorkflowVersionUnpinned,
)
from penstock.domain.workflow.state import Version, Workflow, evolve, version

VERSIONS_MAX = 1000
"""A workflow's history is read whole, so it has an end."""

LOST_RACE = "PRECONDITION_FAILED"
"""The code of a change that was made from an older revision."""


def decide(
    command: WorkflowCommand, workflow: Workflow | None, /, *, at: int
) -> list[WorkflowEvent]:
    """The events that `command` adds to a workflow's history. at: now, ms since the epoch.

    Raises NotFound without a living workflow or such a version; Conflict with the code
    KEY_TAKEN, PRECONDITION_FAILED, NOT_PUBLISHED or LIMIT_EXCEEDED.
    """
    if isinstance(command, CreateWorkflow):
        return create(command, workflow, at)
    if workflow is None:
        raise NotFound
    if isinstance(command, DeleteWorkflow):
        return delete(command, workflow, at)
    if workflow.deleted_at is not None:
        raise NotFound
    match command:
        case ChangeWorkflow():
            return change(command, workflow, at)
        case DraftVersion(created_by=created_by, version=new):
            return [drafted(workflow, new, created_by, at)]
        case PublishVersion(number=number):
            return publish(workflow, number, at)
        case PinVersion(number=number):
            return pin(workflow, number)
        case UnpinVersion():
            if workflow.pinned is None:
                return []
            return [WorkflowVersionUnpinned()]
        case _:
            assert_never(command)


def create(command: CreateWorkflow, workflow: Workflow | None, at: int) -> list[WorkflowEvent]:
    """The first events; nothing when this very request made the workflow before."""
    if workflow is not None:
        if command.request_hash and command.request_hash == workflow.request_hash:
            return []
        of_whom = "" if workflow.deleted_at is None else " by a workflow that was deleted"
        raise Conflict(f"the key {command.key!r} is taken{of_whom}", code="KEY_TAKEN")
    created = WorkflowCreated(
        key=command.key,
        name=command.name,
        created_at=at,
        created_by=command.created_by,
        visibility=command.visibility,
        request_hash=command.request_hash,
    )
    if command.version is None:
        return [created]
    new = command.version
    return [
        created,
        WorkflowVersionCreated(
            version_id=new.version_id,
            number=1,
            content_hash=new.content_hash,
            definition=new.definition,
            created_at=at,
            created_by=command.created_by,
        ),
        WorkflowVersionPublished(version_id=new.version_id, number=1, published_at=at),
    ]


def change(command: ChangeWorkflow, workflow: Workflow, at: int) -> list[WorkflowEvent]:
    """What differs from what is; a definition always makes a version, and publishes it."""
    refuse_lost_race(command.revision, workflow)
    events: list[WorkflowEvent] = []
    if command.name is not None and command.name != workflow.name:
        events.append(WorkflowRenamed(name=command.name))
    if command.version is not None:
        draft = drafted(workflow, command.version, command.changed_by, at)
        published = WorkflowVersionPublished(
            version_id=draft.version_id,
            number=draft.number,
            published_at=at,
        )
        events += [draft, published]
    return events


def drafted(
    workflow: Workflow, new: NewVersion, created_by: str, at: int
) -> WorkflowVersionCreated:
    """The next version."""
    if len(workflow.versions) >= VERSIONS_MAX:
        said = f"a workflow has at most {VERSIONS_MAX} versions"
        raise Conflict(said, code="LIMIT_EXCEEDED")
    return WorkflowVersionCreated(
        version_id=new.version_id,
        number=len(workflow.versions) + 1,
        content_hash=new.content_hash,
        definition=new.definition,
        created_at=at,
        created_by=created_by,
    )


def publish(workflow: Workflow, number: int, at: int) -> list[WorkflowEvent]:
    """The draft becomes runnable."""
    found = existing(workflow, number)
    if found.published:
        return []
    return [
        WorkflowVersionPublished(
            version_id=found.version_id,
            number=number,
            published_at=at,
        )
    ]


def pin(workflow: Workflow, number: int) -> list[WorkflowEvent]:
    """The version becomes the default; only one that may be run can."""
    found = existing(workflow, number)
    if not found.published:
        raise Conflict(f"version {number} is a draft", code="NOT_PUBLISHED")
    if workflow.pinned == number:
        return []
    return [WorkflowVersionPinned(version_id=found.version_id, number=number)]


def delete(command: DeleteWorkflow, workflow: Workflow, at: int) -> list[WorkflowEvent]:
    """The last event."""
    if workflow.deleted_at is not None:
        return []
    refuse_lost_race(command.revision, workflow)
    return [WorkflowDeleted(deleted_at=at)]


def existing(workflow: Workflow, number: int) -> Version:
    """The version with this number, or NotFound."""
    found = version(workflow, number)
    if found is None:
        raise NotFound(f"there is no version {number}")
    return found


def refuse_lost_race(seen: int | None, workflow: Workflow) -> None:
    """Raise Conflict when the caller has seen another revision than the present one."""
    if seen is not None and seen != workflow.revision:
        said = f"the workflow is at revision {workflow.revision}, not {seen}"
        raise Conflict(said, code=LOST_RACE)


WORKFLOW: Decider[WorkflowCommand, WorkflowEvent, Workflow | None] = Decider(
    initial=None, evolve=evolve, decide=decide
)
