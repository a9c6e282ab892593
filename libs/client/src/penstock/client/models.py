"""What Penstock's answers hold, as frozen values. Times are aware datetimes in UTC.

A member that this version does not know is ignored, so that an older client reads a newer server.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct, field

T = TypeVar("T")


class Model(Struct, frozen=True, kw_only=True, rename="camel"):
    """The shape that all answers share: camelCase on the wire."""


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


ENDED: Final = frozenset(
    {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT}
)
"""A run never leaves one of these."""


class StepStatus(StrEnum):
    """Where a step stands."""

    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    RETRYING = "retrying"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class Failure(Model, frozen=True, kw_only=True):
    """Why a run or a step ended without success. `step_id`: of a run, the step that decided it."""

    code: str
    message: str
    retryable: bool | None = None
    details: Any = None
    step_id: str | None = None


class Attempt(Model, frozen=True, kw_only=True):
    """One try of a step."""

    attempt: int
    status: StepStatus
    executor_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: Failure | None = None


class Step(Model, frozen=True, kw_only=True):
    """A step of a run; `id` is its path (`price`, `loop.3.inner`)."""

    id: str
    node_id: str
    status: StepStatus
    type: str | None = None
    attempt: int = 0
    max_attempts: int | None = None
    input: Any = None
    output: Any = None
    error: Failure | None = None
    branch: str | None = None
    executor_id: str | None = None
    ready_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: int | None = None
    idempotency_key: str | None = None
    attempts: tuple[Attempt, ...] = ()


class Progress(Model, frozen=True, kw_only=True):
    """How many of a run's steps stand where. total: None while the graph is not known."""

    total: int | None = None
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    running: int = 0


class Run(Model, frozen=True, kw_only=True):
    """A run; in lists without its steps, else with the first 1,000 of them."""

    id: str
    tenant_id: str
    workflow_id: str
    status: RunStatus
    workflow_name: str | None = None
    version: int | None = None
    input: Any = None
    output: Any = None
    error: Failure | None = None
    trigger: str | None = None
    tags: tuple[str, ...] = ()
    priority: int | None = None
    parent_run_id: str | None = None
    forked_from: Any = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: int | None = None
    progress: Progress = Progress()
    steps: tuple[Step, ...] = ()


class Accepted(Model, frozen=True, kw_only=True):
    """A run was accepted."""

    run_id: str
    status: RunStatus
    links: dict[str, str] = {}


class Subject(Model, frozen=True, kw_only=True):
    """What an event is about."""

    kind: str
    id: str


class BulkTold(Model, frozen=True, kw_only=True):
    """How many runs were told; `more`: others match, for the next request.

    skipped: of a retry, those that could not be retried. next_cursor: of a retry, where the next
    request goes on.
    """

    matched: int
    more: bool = False
    skipped: int | None = None
    next_cursor: str | None = None


class Origin(Model, frozen=True, kw_only=True):
    """The place in another run's history from which a run goes on."""

    run_id: str
    position: str


class ForkedRun(Model, frozen=True, kw_only=True):
    """A run that has begun where another one stood; `get` tells the rest of it."""

    id: str
    status: RunStatus
    forked_from: Origin


class ForkPlan(Model, frozen=True, kw_only=True):
    """What a retry or a fork would do: step ids, in the order of the definition.

    goes_on: loops of `runs_again` of which the iterations that succeeded are kept.
    repeats_effects: steps that run again whose effects outside may happen a second time.
    """

    forked_from: Origin
    kept: tuple[str, ...] = ()
    runs_again: tuple[str, ...] = ()
    goes_on: tuple[str, ...] = ()
    repeats_effects: tuple[str, ...] = ()


class Wait(Model, frozen=True, kw_only=True):
    """One thing that waits, or is being worked on; `step_id` is None for the run itself.

    cause: `approval`, `signal`, `timer`, `child`, `dependency`, `executor`, … on: what it waits
    for: steps, a run, a signal, a queue, a gate, approvers. detail: the same as a sentence.
    """

    step_id: str | None = None
    cause: str
    since: datetime | None = None
    until: datetime | None = None
    on: tuple[str, ...] = ()
    detail: str = ""


class CauseTotal(Model, frozen=True, kw_only=True):
    """How much of a run's time one cause took."""

    cause: str
    ms: int


class Span(Model, frozen=True, kw_only=True):
    """A part of a run's time with one cause. begin, end: `from` and `to` on the wire."""

    begin: datetime = field(name="from")
    end: datetime = field(name="to")
    cause: str
    ms: int


class Explanation(Model, frozen=True, kw_only=True):
    """Why a run is where it is, and where its time went.

    totals: every millisecond from `begin` to `end` (`from` and `to` on the wire), by cause,
    largest first. timeline: in order, of a long history its longest parts. is_whole: false where
    the history is too long for either to be told.
    """

    run_id: str
    status: RunStatus
    waits: tuple[Wait, ...] = ()
    begin: datetime = field(name="from")
    end: datetime = field(name="to")
    total_ms: int
    is_whole: bool = True
    totals: tuple[CauseTotal, ...] = ()
    timeline: tuple[Span, ...] = ()


class Event(Model, frozen=True, kw_only=True):
    """Something that happened. `position` orders events; steps are named in `data["stepId"]`."""

    position: str
    type: str
    at: datetime
    subject: Subject
    version: int = 1
    tenant_id: str | None = None
    actor: str | None = None
    causation_id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    data: dict[str, Any] = {}


class Workflow(Model, frozen=True, kw_only=True):
    """A workflow and its newest published version; a list's items have no definition.

    etag: as the answer's header gave it, for `update(if_match=…)`; lists have none.
    """

    id: str
    key: str
    name: str
    version: int | None = None
    latest_version: int | None = None
    pinned_version: int | None = None
    definition: Any = None
    visibility: str = "tenant"
    created_by: str | None = None
    created_at: datetime | None = None
    etag: str | None = None


class Version(Model, frozen=True, kw_only=True):
    """One version of a workflow's definition; it never changes."""

    id: str
    number: int
    status: str
    content_hash: str | None = None
    definition: Any = None
    created_at: datetime | None = None
    created_by: str | None = None


class Side(Model, frozen=True, kw_only=True):
    """One of two versions that are compared."""

    id: str
    number: int
    status: str
    content_hash: str | None = None


class Comparison(Model, frozen=True, kw_only=True):
    """How two versions differ: settings, nodes and edges, each change with its pointer.

    older, newer: `from` and `to` on the wire. Pointers lead into the newer definition, of what was
    removed into the older one.
    """

    older: Side = field(name="from")
    newer: Side = field(name="to")
    identical: bool
    settings: tuple[dict[str, Any], ...] = ()
    nodes: dict[str, Any] = {}
    edges: dict[str, Any] = {}


class Imported(Workflow, frozen=True, kw_only=True):
    """A workflow after an import. change: `created`, `updated` or `unchanged`."""

    change: str


class ProblemDetail(Model, frozen=True, kw_only=True):
    """One fault, and where it is: `pointer` is a JSON pointer.

    limit, value, usage: of a tenant's limit that was met: its name, what it is, what is used of it.
    """

    pointer: str = ""
    code: str = ""
    message: str = ""
    limit: str | None = None
    value: int | None = None
    usage: int | None = None


class Validation(Model, frozen=True, kw_only=True):
    """What the server thinks of a definition; `plan` is its nodes in layers."""

    valid: bool
    problems: tuple[ProblemDetail, ...] = ()
    plan: tuple[tuple[str, ...], ...] | None = None


class Tenant(Model, frozen=True, kw_only=True):
    """A tenant. `admin_api_key` is there once, in the answer that made it."""

    id: str
    name: str
    config: dict[str, Any] = {}
    created_at: datetime | None = None
    admin_api_key: str | None = None


class Variable(Model, frozen=True, kw_only=True):
    """A variable of the tenant, which templates read as `vars.<name>`.

    etag: as the answer's header gave it, for `update(if_match=…)`; lists have none.
    """

    id: str
    name: str
    value: Any = None
    description: str = ""
    created_by: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    etag: str | None = None


class ApiKey(Model, frozen=True, kw_only=True):
    """An API key. `key` is there once, in the answer that made it."""

    id: str
    name: str
    role: str
    created_by: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    key: str | None = None


class Problem(Model, frozen=True, kw_only=True):
    """An RFC 9457 problem as Penstock writes it."""

    status: int
    code: str
    detail: str = ""
    title: str = ""
    details: tuple[ProblemDetail, ...] = ()
    trace_id: str | None = None


class Page(Model, Generic[T], frozen=True, kw_only=True):
    """One page of a list; `next_cursor` asks for the next, None is the end.

    Of events it is the last position, and the end is a page that is not full.
    """

    items: tuple[T, ...]
    next_cursor: str | None = None


def to_json(value: object) -> bytes:
    """A model, or a list of them, as the JSON that it came from."""
    return msgspec.json.encode(value)
