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
    Revisions,
    UnpinVersion,
    WorkflowCommand,
)
from penstock.domain.workflow.events import (
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
from penstock.domain.workflow.state import Version, Workflow, evolve, newest_published, version

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
    if workflow.deleted_at is not None:
        if isinstance(command, DeleteWorkflow):
            return []
        raise NotFound
    if isinstance(command, DraftVersion | ChangeWorkflow) and is_kept(workflow, command.version):
        return []
    refuse_lost_race(command.revisions, workflow)
    match command:
        case ChangeWorkflow():
            return change(command, workflow, at)
        case DraftVersion(created_by=created_by, version=new):
            return [kept(new, following_number(workflow), created_by, at)]
        case PublishVersion(number=number):
            return publish(workflow, number, at)
        case PinVersion(number=number):
            return pin(workflow, number)
        case UnpinVersion():
            return [] if workflow.pinned is None else [WorkflowVersionUnpinned()]
        case DeleteWorkflow():
            return [WorkflowDeleted(deleted_at=at)]
        case _:
            assert_never(command)


def create(command: CreateWorkflow, workflow: Workflow | None, at: int) -> list[WorkflowEvent]:
    """The first events of a life; nothing when this very request began one before."""
    if workflow is not None:
        if command.request_hash and command.request_hash in workflow.request_hashes:
            return []
        refuse_taken_key(command, workflow)
    events: list[WorkflowEvent] = [begun(command, workflow, at)]
    if command.version is not None:
        number = 1 if workflow is None else following_number(workflow)
        events += published(command.version, number, command.created_by, at)
    return events


def refuse_taken_key(command: CreateWorkflow, workflow: Workflow) -> None:
    """Raise Conflict unless the key's holder was deleted and may live again."""
    if workflow.deleted_at is not None and command.again:
        return
    of_whom = "" if workflow.deleted_at is None else " by a workflow that was deleted"
    raise Conflict(f"the key {command.key!r} is taken{of_whom}", code="KEY_TAKEN")


def begun(command: CreateWorkflow, workflow: Workflow | None, at: int) -> WorkflowEvent:
    """The first event of a life, which is the workflow's first one or another."""
    if workflow is None:
        return WorkflowCreated(
            key=command.key,
            name=command.name,
            created_at=at,
            created_by=command.created_by,
            visibility=command.visibility,
            request_hash=command.request_hash,
        )
    return WorkflowRecreated(
        name=command.name,
        created_at=at,
        created_by=command.created_by,
        visibility=command.visibility,
        request_hash=command.request_hash,
    )


def change(command: ChangeWorkflow, workflow: Workflow, at: int) -> list[WorkflowEvent]:
    """What differs from what is; a definition always makes a version, and publishes it."""
    if command.if_new and is_current(workflow, command.version):
        return []
    events: list[WorkflowEvent] = []
    if command.name is not None and command.name != workflow.name:
        events.append(WorkflowRenamed(name=command.name))
    if command.visibility is not None and command.visibility != workflow.visibility:
        events.append(WorkflowVisibilityChanged(visibility=command.visibility))
    if command.version is not None:
        number = following_number(workflow)
        events += published(command.version, number, command.changed_by, at)
    return events


def following_number(workflow: Workflow) -> int:
    """The number of the next version. Raises Conflict when there are too many."""
    if len(workflow.versions) >= VERSIONS_MAX:
        said = f"a workflow has at most {VERSIONS_MAX} versions"
        raise Conflict(said, code="LIMIT_EXCEEDED")
    return len(workflow.versions) + 1


def published(new: NewVersion, number: int, created_by: str, at: int) -> list[WorkflowEvent]:
    """A version that is published as soon as it is there."""
    return [
        kept(new, number, created_by, at),
        WorkflowVersionPublished(version_id=new.version_id, number=number, published_at=at),
    ]


def kept(new: NewVersion, number: int, created_by: str, at: int) -> WorkflowVersionCreated:
    """A definition as the version with this number."""
    return WorkflowVersionCreated(
        version_id=new.version_id,
        number=number,
        content_hash=new.content_hash,
        definition=new.definition,
        created_at=at,
        created_by=created_by,
    )


def is_kept(workflow: Workflow, new: NewVersion | None) -> bool:
    """Whether this very version is there already."""
    return new is not None and any(v.version_id == new.version_id for v in workflow.versions)


def is_current(workflow: Workflow, new: NewVersion | None) -> bool:
    """Whether the newest published version has this definition."""
    number = newest_published(workflow)
    if new is None or number is None:
        return False
    return workflow.versions[number - 1].content_hash == new.content_hash


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


def existing(workflow: Workflow, number: int) -> Version:
    """The version with this number, or NotFound."""
    found = version(workflow, number)
    if found is None:
        raise NotFound(f"there is no version {number}")
    return found


def refuse_lost_race(may_be: Revisions | None, workflow: Workflow) -> None:
    """Raise Conflict when the workflow is at none of the revisions that may be changed."""
    if may_be is not None and workflow.revision not in may_be:
        said = f"the workflow is at revision {workflow.revision}, which If-Match does not name"
        raise Conflict(said, code=LOST_RACE)


WORKFLOW: Decider[WorkflowCommand, WorkflowEvent, Workflow | None] = Decider(
    initial=None, evolve=evolve, decide=decide
)
