"""What can have happened to a tenant or to one of its API keys. Stored for ever.

Moments are milliseconds since the epoch, UTC; who did it is the actor of the decision's cause.
Neither a key nor its hash is ever part of an event.
"""

from msgspec import Struct

from penstock.domain.identity import Role
from penstock.domain.message import Message


class Event(Message, frozen=True, kw_only=True):
    """The shape that events of tenants and keys share: tagged by their name."""


class Limits(Struct, frozen=True, kw_only=True, rename="camel"):
    """How much of the installation one tenant may use; None is no limit but the platform's own."""

    max_workflows: int | None = 100
    max_executions_per_day: int | None = 10_000
    retention_days: int = 30
    max_concurrent_runs: int | None = None
    max_in_flight_steps: int | None = None
    requests_per_minute: int | None = None
    max_payload_bytes: int | None = None
    max_definition_bytes: int | None = None


class TenantConfig(Struct, frozen=True, kw_only=True, rename="camel"):
    """What an operator sets for one tenant.

    weight: its share of the executors where several tenants wait for them, in proportion.
    egress_allow: hosts and CIDRs that its steps may call although they are private.
    """

    limits: Limits = Limits()
    weight: int = 1
    egress_allow: tuple[str, ...] = ()


class TenantCreated(Event, frozen=True):
    """The tenant exists; its id is the aggregate's.

    request_hash: what was asked under which Idempotency-Key, empty without one.
    """

    name: str
    config: TenantConfig
    created_at: int
    created_by: str
    request_hash: str = ""


class TenantRenamed(Event, frozen=True):
    """The tenant is called `name` from here on."""

    name: str


class TenantConfigured(Event, frozen=True):
    """`config` replaces what was set before."""

    config: TenantConfig


class TenantDeleted(Event, frozen=True):
    """Nobody acts for the tenant any more; what it had is removed."""

    deleted_at: int


class TenantErased(Event, frozen=True):
    """Nothing is left of the deleted tenant but its part of the log: this is the proof.

    keys_destroyed_at, data_keys: since when nobody can open what it has said, and how many keys
    that took. rows: how many were removed, by table. objects, object_bytes: of the object store.
    """

    erased_at: int
    keys_destroyed_at: int
    data_keys: int
    rows: dict[str, int]
    objects: int
    object_bytes: int


class ApiKeyCreated(Event, frozen=True):
    """The key may be used from here on, until `expires_at` if there is such a moment."""

    name: str
    role: Role
    created_at: int
    created_by: str
    expires_at: int | None = None
    request_hash: str = ""


class ApiKeyRevoked(Event, frozen=True):
    """The key opens nothing any more."""

    revoked_at: int


TenantEvent = TenantCreated | TenantRenamed | TenantConfigured | TenantDeleted | TenantErased
ApiKeyEvent = ApiKeyCreated | ApiKeyRevoked
