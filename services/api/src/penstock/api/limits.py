"""What each tenant is allowed, remembered for a moment, and how a limit that was met is told.

The config of a tenant is read from the read models. A row that was read before these had passed
the last change of the tenant is used, but not remembered.
"""

from collections import OrderedDict
from collections.abc import Mapping
from time import monotonic
from typing import NamedTuple
from uuid import UUID

import msgspec

from penstock.api.checkpoint import Checkpoint
from penstock.api.errors import Problem
from penstock.api.positions import REGISTRY
from penstock.domain.tenant.events import Limits, TenantConfig
from penstock.infra.postgres.engine import DatabaseUnavailable, Engine
from penstock.infra.postgres.tenant import tenant_session
from penstock.infra.telemetry import metrics

REMEMBERED_S = 5.0
"""A change is heard of at once; this bounds what one that was missed can do."""
REMEMBERED_MAX = 10_000

QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
RATE_LIMITED = "RATE_LIMITED"

CONFIG = "select config from penstock.tenants where tenant_id = %(tenant)s"
NO_LIMITS = Limits()
"""Of a tenant whose row the read models do not have yet."""

_decode = msgspec.json.Decoder(TenantConfig).decode


class Remembered(NamedTuple):
    """Limits until a moment of the monotonic clock."""

    until: float
    limits: Limits


class TenantLimits:
    """Tells the limits of tenants."""

    def __init__(self, engine: Engine, checkpoint: Checkpoint) -> None:
        self._engine = engine
        self._checkpoint = checkpoint
        self._remembered: OrderedDict[str, Remembered] = OrderedDict()
        self._changed: OrderedDict[str, int] = OrderedDict()

    def known(self, tenant_id: str) -> Limits | None:
        """The limits where they are remembered: no look-up is needed then."""
        found = self._remembered.get(tenant_id)
        return found.limits if found is not None and found.until > monotonic() else None

    async def of(self, tenant_id: str) -> Limits:
        """The limits of a tenant. Raises `DatabaseUnavailable` where nothing is known of it."""
        known = self.known(tenant_id)
        if known is not None:
            return known
        passed = self._checkpoint.passed(REGISTRY)
        try:
            async with tenant_session(self._engine, UUID(tenant_id)) as session:
                row = await session.one(CONFIG, {"tenant": tenant_id})
        except DatabaseUnavailable:
            before = self._remembered.get(tenant_id)
            if before is None:
                raise
            return before.limits
        found = NO_LIMITS if row is None else _decode(row["config"]).limits
        if row is not None and passed >= self._changed.get(tenant_id, 0):
            self._keep(tenant_id, Remembered(monotonic() + REMEMBERED_S, found))
        return found

    def changed(self, tenant_id: str, seq: int) -> None:
        """Ask again; `seq` is the registry's sequence of what happened to the tenant."""
        self._changed[tenant_id] = max(seq, self._changed.get(tenant_id, 0))
        self._changed.move_to_end(tenant_id)
        if len(self._changed) > REMEMBERED_MAX:
            self._changed.popitem(last=False)
        self._remembered.pop(tenant_id, None)

    def _keep(self, tenant_id: str, found: Remembered) -> None:
        self._remembered[tenant_id] = found
        self._remembered.move_to_end(tenant_id)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)


class Met(NamedTuple):
    """A limit that was met: its name, what it is, what is used of it."""

    limit: str
    value: int
    usage: int


def met(
    status: int,
    code: str,
    message: str,
    which: Met,
    *,
    headers: Mapping[str, str] | None = None,
    pointer: str = "",
) -> Problem:
    """The problem of a request that meets a limit. pointer: into the body, where that is it."""
    metrics.api_limits_met.labels(which.limit).inc()
    told = {"pointer": pointer, "code": code, "message": message, **which._asdict()}
    return Problem(status, message, code=code, details=[told], headers=headers)


def later(code: str, message: str, which: Met, retry_after_s: float) -> Problem:
    """The problem of a request that will be taken after so many seconds."""
    headers = {"Retry-After": str(max(1, -int(-retry_after_s // 1)))}
    return met(429, code, message, which, headers=headers)


def refuse_payload(limits: Limits, data: bytes, *, what: str, pointer: str) -> None:
    """Raise Problem 413 for a payload, as JSON, that is larger than the tenant's may be."""
    most = limits.max_payload_bytes
    if most is not None and len(data) > most:
        raise too_large(Met("maxPayloadBytes", most, len(data)), what=what, pointer=pointer)


def too_large(which: Met, *, what: str, pointer: str) -> Problem:
    """The problem of something that has more bytes than a limit of the tenant allows."""
    said = f"{what} has {which.usage} bytes as JSON, {which.limit} of the tenant is {which.value}"
    return met(413, "PAYLOAD_TOO_LARGE", said, which, pointer=pointer)
