"""What can have happened to a workflow and its versions. Stored for ever.

Moments are milliseconds since the epoch, UTC.
"""

from enum import StrEnum

from penstock.domain.message import Message
from penstock.domain.payload import Payload


class Event(Message, frozen=True, kw_only=True):
    """The shape that all events of a workflow share: tagged by their name."""


class Visibility(StrEnum):
    """Who may read a workflow: its own tenant alone, or any tenant of the installation too."""

    TENANT = "tenant"
    PUBLIC_READ = "public-read"


class WorkflowCreated(Event, frozen=True):
    """The workflow exists. Its id follows from its tenant and `key`, so `key` is unique.

    request_hash: what was asked under which Idempotency-Key, empty without one.
    """

    key: str
    name: str
    created_at: int
    created_by: str
    visibility: Visibility = Visibility.TENANT
    request_hash: str = ""


class WorkflowRecreated(Event, frozen=True):
    """A workflow that was deleted lives again under its key.

    Its versions keep their numbers and are drafts again; nothing is pinned. The members are those
    of `WorkflowCreated`.
    """

    name: str
    created_at: int
    created_by: str
    visibility: Visibility = Visibility.TENANT
    request_hash: str = ""


class WorkflowRenamed(Event, frozen=True):
    """The workflow is called `name` from here on."""

    name: str


class WorkflowVisibilityChanged(Event, frozen=True):
    """From here on the workflow is read by whom `visibility` says."""

    visibility: Visibility


class WorkflowVersionCreated(Event, frozen=True):
    """A draft that never changes: `definition` is a definition's canonical bytes.

    number: counts from 1 in its workflow. content_hash: SHA-256 of those bytes, hex, under which
    the blob store holds them too.
    """

    version_id: str
    number: int
    content_hash: str
    definition: Payload
    created_at: int
    created_by: str


class WorkflowVersionPublished(Event, frozen=True):
    """The version may be run; the newest such one is run by default."""

    version_id: str
    number: int
    published_at: int


class WorkflowVersionPinned(Event, frozen=True):
    """The version is run by default, whatever is published later."""

    version_id: str
    number: int


class WorkflowVersionUnpinned(Event, frozen=True):
    """The newest published version is run by default again."""


class WorkflowDeleted(Event, frozen=True):
    """The workflow can be neither run nor changed; its runs stay readable, live ones go on."""

    deleted_at: int


WorkflowEvent = (
    WorkflowCreated
    | WorkflowRecreated
    | WorkflowRenamed
    | WorkflowVisibilityChanged
    | WorkflowVersionCreated
    | WorkflowVersionPublished
    | WorkflowVersionPinned
    | WorkflowVersionUnpinned
    | WorkflowDeleted
)
