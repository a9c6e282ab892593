"""The registry's shapes of the HTTP contract: tenants, keys, variables, workflows, versions."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from penstock.api.bodies import BODY_MAX_BYTES
from penstock.api.schemas import COUNT_MAX, Count, Detail, Moment, Name, TenantRole, Wire
from penstock.domain.identity import Role
from penstock.domain.payload import PAYLOAD_MAX_BYTES
from penstock.domain.workflow.events import Visibility
from penstock.infra.egress.allowed import parse_allowed, too_wide

DESCRIPTION_MAX = 1000
WEIGHT_MAX = 100
RETENTION_MAX_DAYS = 36_500
"""A century: as good as for ever, and still a moment that a database can hold."""
EGRESS_ENTRIES_MAX = 100
EGRESS_ENTRY_MAX = 270
"""The longest host name, brackets and a port."""


def without_nul(text: str) -> str:
    """A text that a database can hold."""
    if "\0" in text:
        raise ValueError("holds a character that cannot be kept")
    return text


Positive = Annotated[int, Field(strict=True, ge=1, le=COUNT_MAX)]
BodyBytes = Annotated[int, Field(strict=True, ge=1, le=BODY_MAX_BYTES)]
"""No body is larger, whatever a tenant's limit says."""
PayloadBytes = Annotated[int, Field(strict=True, ge=1, le=PAYLOAD_MAX_BYTES)]
"""What a step says may be larger than a body."""
Days = Annotated[int, Field(strict=True, ge=1, le=RETENTION_MAX_DAYS)]


class LimitsChange(Wire):
    """Limits of a tenant; null is no limit. In a patch null brings back the default."""

    max_workflows: Count | None = 100
    max_executions_per_day: Count | None = 10_000
    retention_days: Days = 30
    max_concurrent_runs: Positive | None = None
    max_in_flight_steps: Positive | None = None
    requests_per_minute: Positive | None = None
    max_payload_bytes: PayloadBytes | None = None
    max_definition_bytes: BodyBytes | None = None


def openings(entries: tuple[str, ...]) -> tuple[str, ...]:
    """Entries of an allow list that name private places, and no half of the internet."""
    wide = too_wide(parse_allowed(entries))
    if wide:
        raise ValueError(f"{wide[0]} is wider than any private network")
    return entries


EgressEntry = Annotated[str, Field(min_length=1, max_length=EGRESS_ENTRY_MAX)]
EgressAllow = Annotated[
    tuple[EgressEntry, ...],
    Field(max_length=EGRESS_ENTRIES_MAX),
    AfterValidator(openings),
    BeforeValidator(lambda value: () if value is None else value),
]


class ConfigChange(Wire):
    """Configuration of a tenant. weight: its share of busy executors, in proportion to others'.

    egress_allow: hosts (`host` or `host:port`) and CIDRs that its steps may call although private.
    """

    limits: LimitsChange = LimitsChange()
    weight: Annotated[int, Field(strict=True, ge=1, le=WEIGHT_MAX)] = 1
    egress_allow: EgressAllow = ()


class NewTenant(Wire):
    """A tenant to be made."""

    name: Name
    config: ConfigChange = ConfigChange()


class TenantChange(Wire):
    """JSON merge patch of a tenant."""

    name: Name | None = None
    config: ConfigChange | None = None


class NewKey(Wire):
    """An API key to be made."""

    name: Name
    role: TenantRole
    expires_at: Moment | None = None


class NewWorkflow(Wire):
    """A workflow to be made; its definition becomes version 1, published."""

    name: Name | None = None
    definition: Any = None
    visibility: Visibility = Visibility.TENANT


class WorkflowChange(Wire):
    """A new name, who may read it, a new version that is published at once."""

    name: Name | None = None
    definition: Any = None
    visibility: Visibility | None = None


VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
"""What a template can write after `vars.`."""
Description = Annotated[str, Field(max_length=DESCRIPTION_MAX), AfterValidator(without_nul)]


class NewVariable(Wire):
    """A variable to be made; `value` is any JSON, null too."""

    name: VariableName
    value: Any
    description: Description = ""


class VariableChange(Wire):
    """What a variable is to be from now on; a `name` must be its own."""

    value: Any
    description: Description = ""
    name: str | None = None


class VariableShown(Wire):
    """A variable of the tenant, which templates read as `vars.<name>`."""

    id: str
    name: str
    value: JsonValue
    description: str
    created_by: str
    created_at: datetime
    updated_at: datetime


class DefinitionOnly(Wire):
    """A definition to be judged, or to become a draft."""

    definition: Any


class TenantShown(Wire):
    """A tenant; `adminApiKey` only in the answer that made it."""

    id: str
    name: str
    config: dict[str, Any]
    created_at: datetime
    admin_api_key: str | None = None


class DeletionShown(Wire):
    """What is left of a deleted tenant: the proof that nothing else is, null until then.

    rows: how many were removed, by table. data_keys: how many were destroyed.
    """

    tenant_id: str
    deleted_at: datetime
    erased_at: datetime | None
    keys_destroyed_at: datetime | None
    data_keys: int | None
    rows: dict[str, int] | None
    objects: int | None
    object_bytes: int | None


class LimitShown(Wire):
    """One limit, null for none. used: of it, where something is used up; resetsAt: when anew."""

    limit: int | None
    used: int | None = None
    resets_at: datetime | None = None


class LimitsShown(Wire):
    """All limits of a tenant. requestsPerMinute is as the replica that answers knows it."""

    max_workflows: LimitShown
    max_executions_per_day: LimitShown
    max_concurrent_runs: LimitShown
    max_in_flight_steps: LimitShown
    requests_per_minute: LimitShown
    retention_days: LimitShown
    max_payload_bytes: LimitShown
    max_definition_bytes: LimitShown


class WaitingShown(Wire):
    """What waits: runs at gates, steps for room at the executors."""

    runs: int
    steps: int


class UsageShown(Wire):
    """What a tenant may use, and what it does use.

    stored_bytes: of its objects and rows, as measured at `storedBytesAt`, within the last hour; an
    estimate where tables are large, and null before the first time.
    """

    tenant_id: str
    at: datetime
    limits: LimitsShown
    waiting: WaitingShown
    stored_bytes: int | None
    stored_bytes_at: datetime | None


class KeyShown(Wire):
    """An API key; `key` only in the answer that made it."""

    id: str
    name: str
    role: Role
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    key: str | None = None


class WorkflowShown(Wire):
    """A workflow and its newest published version; a list's items have no definition.

    createdBy is null where another tenant reads what is public.
    """

    id: str
    key: str
    name: str
    version: int | None
    latest_version: int | None
    pinned_version: int | None
    visibility: Visibility
    created_by: str | None
    created_at: datetime
    definition: Any = None


class VersionShown(Wire):
    """One version; a list's items have no definition. createdBy as of a workflow."""

    id: str
    number: int
    status: str
    content_hash: str
    created_at: datetime
    created_by: str | None
    definition: Any = None


class Side(Wire):
    """One of two versions that are compared."""

    id: str
    number: int
    status: str
    content_hash: str


class DifferenceShown(Wire):
    """How two versions differ.

    Pointers lead into `to`'s definition, of what was removed into `from`'s. settings, and the
    changes of a node: `{pointer, kind: added | removed | changed, before?, after?}`.
    """

    older: Side = Field(alias="from")
    newer: Side = Field(alias="to")
    identical: bool
    settings: list[dict[str, Any]]
    nodes: dict[str, Any]
    edges: dict[str, Any]


class ImportShown(WorkflowShown):
    """The workflow after an import, and what the import came to."""

    change: Literal["created", "updated", "unchanged"]


class Judgement(Wire):
    """What is wrong with a definition; `plan` is layers of node ids, empty unless it is valid."""

    valid: bool
    problems: list[Detail]
    plan: list[list[str]]
