"""What may be asked of a workflow."""

from msgspec import Struct

from penstock.domain.payload import Payload
from penstock.domain.workflow.events import Visibility

Revisions = frozenset[int]
"""The revisions that a caller would change; empty for one that is none any more."""


class NewVersion(Struct, frozen=True, kw_only=True):
    """A definition that is to become a version; see `WorkflowVersionCreated`."""

    version_id: str
    content_hash: str
    definition: Payload


class CreateWorkflow(Struct, frozen=True, kw_only=True):
    """Begin a workflow; its `version`, if it has one, is published at once.

    A repeat with the same `request_hash` adds nothing. again: the key was asked for by name, so
    one that a deleted workflow holds is taken up again.
    """

    key: str
    name: str
    created_by: str
    visibility: Visibility = Visibility.TENANT
    version: NewVersion | None = None
    request_hash: str = ""
    again: bool = False


class ChangeWorkflow(Struct, frozen=True, kw_only=True):
    """Rename, show to others or hide, publish a new version; None leaves as it is.

    revisions: those that may be changed, None when any will do. A repeat with the same version id
    adds nothing. if_new: nothing is changed where the newest published version is this definition.
    """

    changed_by: str
    name: str | None = None
    visibility: Visibility | None = None
    version: NewVersion | None = None
    revisions: Revisions | None = None
    if_new: bool = False


class DraftVersion(Struct, frozen=True, kw_only=True):
    """Keep a version without publishing it. A repeat with the same version id adds nothing."""

    created_by: str
    version: NewVersion
    revisions: Revisions | None = None


class PublishVersion(Struct, frozen=True):
    """Let the version with this number be run. revisions: here and below as in `ChangeWorkflow`."""

    number: int
    revisions: Revisions | None = None


class PinVersion(Struct, frozen=True):
    """Run the version with this number by default."""

    number: int
    revisions: Revisions | None = None


class UnpinVersion(Struct, frozen=True):
    """Run the newest published version by default again."""

    revisions: Revisions | None = None


class DeleteWorkflow(Struct, frozen=True, kw_only=True):
    """Let nobody run or change the workflow any more."""

    revisions: Revisions | None = None


WorkflowCommand = (
    CreateWorkflow
    | ChangeWorkflow
    | DraftVersion
    | PublishVersion
    | PinVersion
    | UnpinVersion
    | DeleteWorkflow
)
