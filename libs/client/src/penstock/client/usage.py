"""What a tenant may use, and what it does use: the call that asks, and the shape of the answer."""

from datetime import datetime

from penstock.client.calls import Call, get
from penstock.client.models import Model


def usage() -> Call["Usage"]:
    """Each limit of the tenant with what is used of it. Raises Forbidden."""
    return get("/api/usage", Usage)


class LimitUse(Model, frozen=True, kw_only=True):
    """One limit, None for none. used: of it, where something is used up; resets_at: when anew."""

    limit: int | None = None
    used: int | None = None
    resets_at: datetime | None = None


class LimitUses(Model, frozen=True, kw_only=True):
    """All limits of a tenant. requests_per_minute is as the replica that answers knows it."""

    max_workflows: LimitUse
    max_executions_per_day: LimitUse
    max_concurrent_runs: LimitUse
    max_in_flight_steps: LimitUse
    requests_per_minute: LimitUse
    retention_days: LimitUse
    max_payload_bytes: LimitUse
    max_definition_bytes: LimitUse


class Waits(Model, frozen=True, kw_only=True):
    """What waits: runs at gates, steps for room at the executors."""

    runs: int
    steps: int


class Usage(Model, frozen=True, kw_only=True):
    """What a tenant may use, and what it does use.

    stored_bytes: of its objects and rows at `stored_bytes_at`; None before it was measured.
    """

    tenant_id: str
    at: datetime
    limits: LimitUses
    waiting: Waits
    stored_bytes: int | None = None
    stored_bytes_at: datetime | None = None
