"""What may be asked of a workflow."""

from msgspec import Struct

from penstock.domain.payload import Payload
from penstock.domain.workflow.events import Visibility


class NewVersion(Struct, frozen=True, kw_only=True):
    """A definition that is to become a version; see `WorkflowVersionCreated`."""

    version_id: str
    content_hash: str
    definition: Payload


class CreateWorkflow(Struct, frozen=True, kw_only=True):
    """Begin a workflow; its `version`, if it has one, is published at once.

    A repeat with the same `request_hash` adds nothing.
    """

    key: str
    name: str
    created_by: str
    visibility: Visibility = Visibility.TENANT
    version: NewVersion | None = None
    request_hash: str = ""


class ChangeWorkflow(Struct, frozen=True, kw_only=True):
    """Rename, publish a new version, or both; None leaves as it is.

    revision: the one that the caller has seen, None when any will do.
    """

    changed_by: str
    name: str | None = None
    version: NewVersion | None = None
    revision: int | None = None


class DraftVersion(Struct, frozen=True, kw_only=True):
    """Keep a version without publishing it."""

    created_by: str
    version: NewVersion


class PublishVersion(Struct, frozen=True):
    """Let the version with this number be run."""

    number: int


class PinVersion(Struct, frozen=True):
    """Run the version with this number by default."""

    number: int


class UnpinVersion(Struct, frozen=True):
    """Run the newest published version by default again."""


class DeleteWorkflow(Struct, frozen=True, kw_only=True):
    """Let nobody run or change the workflow any more. revision: as in `ChangeWorkflow`."""

    revision: int | None = None


WorkflowCommand = (
    CreateWorkflow
    | ChangeWorkflow
    | DraftVersion
    | PublishVersion
    | PinVersion
    | UnpinVersion
    | DeleteWorkflow
)
