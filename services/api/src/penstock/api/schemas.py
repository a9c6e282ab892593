"""The shapes of the HTTP contract: what requests hold, and what answers look like in OpenAPI.

Request shapes are checked by pydantic; answers are encoded by the routes themselves, and tests
hold them equal to what stands here.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
)
from pydantic.alias_generators import to_camel

from penstock.api.pages import LIMIT_DEFAULT, Cursor, Limit
from penstock.domain.identity import TENANT_ROLES, Role, role_of

NAME_MAX = 200
TAGS_MAX = 20
TAG_MAX = 100
PRIORITY_MAX = 100
REASON_MAX = 1000
COUNT_MAX = 2**31 - 1
DATE = re.compile(r"\d{4}-\d\d-\d\d")


def printable(text: str) -> str:
    """A text without control characters, which belong into no name."""
    if not text.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return text


def tenant_role(value: object) -> object:
    """A role that a key of a tenant may have, by any of its spellings."""
    role = role_of(value) if isinstance(value, str) else None
    if role not in TENANT_ROLES:
        raise ValueError(f"must be one of {', '.join(sorted(TENANT_ROLES))}")
    return role


def written_out(value: object) -> object:
    """A moment as RFC 3339 writes it; a number would be taken for seconds, or for ms."""
    if isinstance(value, str) and DATE.match(value):
        return value
    raise ValueError("must be a date and time with an offset, such as 2026-11-20T12:00:00Z")


def in_the_zone(value: datetime) -> datetime:
    """A moment that says its offset from UTC."""
    if value.tzinfo is None:
        raise ValueError("must have an offset from UTC, such as Z")
    return value


def version_ref(value: object) -> int | str | None:
    """A version's number or id, None where the body names none."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= COUNT_MAX
    is_text = isinstance(value, str) and 0 < len(value) <= NAME_MAX
    if value is None or is_number or is_text:
        return value  # type: ignore[return-value]
    raise ValueError("must be the number of a version, from 1, or its id")


Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX), AfterValidator(printable)]
Tag = Annotated[str, Field(min_length=1, max_length=TAG_MAX), AfterValidator(printable)]
TenantRole = Annotated[Role, BeforeValidator(tenant_role)]
Moment = Annotated[datetime, BeforeValidator(written_out), AfterValidator(in_the_zone)]
VersionRef = Annotated[
    int | str | None,
    PlainValidator(version_ref, json_schema_input_type=int | str | None),
]
Count = Annotated[int, Field(strict=True, ge=0, le=COUNT_MAX)]


class Wire(BaseModel):
    """The shape that all of these share: camelCase outside, snake_case inside."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Detail(Wire):
    """One fault of a request; `pointer` is a JSON pointer into it.

    limit, value, usage: of a tenant's limit that was met: its name, what it is, what is used of it.
    """

    pointer: str
    code: str
    message: str
    limit: str | None = None
    value: int | None = None
    usage: int | None = None


class ProblemDocument(Wire):
    """What is wrong, as RFC 9457 has it; `code` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    message: str
    details: list[Detail]
    trace_id: str


class Execute(Wire):
    """How a workflow is to be run. version: its number or id, else the pinned or newest one."""

    input: Any = None
    version: VersionRef = None
    priority: Annotated[int, Field(strict=True, ge=-PRIORITY_MAX, le=PRIORITY_MAX)] = 0
    tags: Annotated[list[Tag], Field(max_length=TAGS_MAX)] = []


class ExecuteNamed(Execute):
    """As `Execute`, with the workflow in the body."""

    workflow_id: Name


class Cancel(Wire):
    """Why a run is cancelled."""

    reason: Annotated[str, Field(max_length=REASON_MAX)] = ""


class Pause(Wire):
    """Why a run is paused."""

    reason: Annotated[str, Field(max_length=REASON_MAX)] = ""


class Signal(Wire):
    """What a signal says."""

    payload: Any = None


class Decide(Wire):
    """What somebody decided about an approval."""

    decision: Literal["approve", "reject"]
    comment: Annotated[str | None, Field(max_length=REASON_MAX)] = None


class RunStatusShown(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class RunsWanted(BaseModel):
    """Which runs are meant."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid")

    status: RunStatusShown | None = None
    workflow_id: Annotated[str | None, Field(alias="workflowId", max_length=NAME_MAX)] = None
    trigger: Annotated[str | None, Field(max_length=NAME_MAX)] = None
    tag: Annotated[str | None, Field(max_length=TAG_MAX)] = None
    created_from: Annotated[Moment | None, Field(alias="from")] = None
    created_to: Annotated[Moment | None, Field(alias="to")] = None


class RunFilter(RunsWanted):
    """Which runs a list shows, and which page of them."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore")

    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor = None


class BulkAction(StrEnum):
    """What can be done to many runs at once."""

    CANCEL = "cancel"
    RETRY = "retry"


class Bulk(Wire):
    """One command to every run that the filter matches.

    reason: of a cancel. cursor: of a retry, where the request before this one left off.
    """

    filter: RunsWanted
    action: BulkAction
    reason: Annotated[str, Field(max_length=REASON_MAX)] = ""
    cursor: Cursor = None


class BulkTold(Wire):
    """How many runs were told; `more`: there are others that match.

    skipped: of a retry, those that could not be retried. next_cursor: of a retry, for the rest.
    """

    matched: int
    more: bool = False
    skipped: int | None = None
    next_cursor: str | None = None


class Mode(StrEnum):
    """Whether an execute waits for the run's end."""

    ASYNC = "async"
    SYNC = "sync"


class Accepted(Wire):
    """A run that was accepted and goes on by itself."""

    run_id: str
    status: RunStatusShown
    links: dict[str, str]


class ErrorShown(Wire):
    """Why an attempt failed."""

    code: str
    message: str
    retryable: bool
    details: JsonValue


class AttemptShown(Wire):
    """One attempt of a step."""

    attempt: int
    status: str
    executor_id: str | None
    started_at: datetime | None
    finished_at: datetime | None
    error: ErrorShown | None


class StepShown(Wire):
    """A step of a run; `id` is its path."""

    id: str
    node_id: str
    type: str
    status: str
    attempt: int
    max_attempts: int
    input: JsonValue
    output: JsonValue
    error: ErrorShown | None
    branch: str | None
    executor_id: str | None
    ready_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: int | None
    idempotency_key: str
    attempts: list[AttemptShown]


class Progress(Wire):
    """How many of a run's steps stand where."""

    total: int | None
    succeeded: int
    failed: int
    skipped: int
    running: int


class RunShown(Wire):
    """A run; a list's items have no steps."""

    id: str
    tenant_id: str
    workflow_id: str
    workflow_name: str
    version: int
    status: RunStatusShown
    input: JsonValue
    output: JsonValue
    error: dict[str, Any] | None
    trigger: str
    tags: list[str]
    priority: int
    parent_run_id: str | None
    forked_from: dict[str, str] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: int | None
    progress: Progress
    steps: list[StepShown] = []


class EventShown(Wire):
    """One event of a history."""

    position: str
    type: str
    version: int
    at: datetime
    tenant_id: str
    subject: dict[str, str]
    actor: str | None
    causation_id: str | None
    correlation_id: str | None
    traceparent: str | None
    data: dict[str, Any]


class StepTypeShown(Wire):
    """A type of node."""

    name: str
    aliases: list[str]
    version: int
    description: str
    available: bool
    config_schema: dict[str, Any]
    output: str
    branches: list[str] | None
    default_timeout_ms: int


class HealthShown(Wire):
    """How the installation is; a lag is counted in decisions that the rows do not have yet.

    unarchived_ms: age of the oldest event that only the log has; beyond half of the log's window
    runs are neither begun nor controlled.
    """

    ok: bool
    broker: bool
    database: bool
    projection_lag: int | None
    unarchived_ms: int


class Page(Wire):
    """A page of a list."""

    items: list[Any]
    next_cursor: str | None
