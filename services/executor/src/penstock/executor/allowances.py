"""What tenants' configs say to executors: `egressAllow` and `limits.maxPayloadBytes`.

They are read from the tenant's history in the registry, so that the database may be away and no
task has to carry them. The guard asks only for destinations that are closed otherwise, and payloads
only where they are not small; what was read stays good for a moment, so that a change counts within
`GOOD_FOR_S`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakValueDictionary

from penstock.domain.payload import PAYLOAD_MAX_BYTES
from penstock.domain.tenant.state import Tenant, evolve_tenant
from penstock.infra.egress.allowed import NOTHING, Allowed, parse_allowed
from penstock.infra.egress.guard import AllowListUnknown
from penstock.infra.eventlog.log import EventLog, LogUnavailable
from penstock.infra.keyring.keks import KekUnknown
from penstock.infra.keyring.texts import Texts
from penstock.infra.nats import subjects
from penstock.infra.postgres.engine import DatabaseUnavailable
from penstock.messages import catalogue
from penstock.messages.codec import Undecodable, codec_for

GOOD_FOR_S = 5.0
HELD_MAX = 1_000
"""Tenants whose configs are kept."""


class Seen(NamedTuple):
    """A tenant as of a message of its history; good until a moment of the monotonic clock."""

    until: float
    seq: int
    tenant: Tenant | None
    allowed: Allowed

    @property
    def payload_bytes_max(self) -> int:
        """How many bytes one payload may have."""
        most = None if self.tenant is None else self.tenant.config.limits.max_payload_bytes
        return PAYLOAD_MAX_BYTES if most is None else most


UNREADABLE = (LogUnavailable, Undecodable, DatabaseUnavailable, KekUnknown, ValueError)
"""What is raised where a list cannot be had. One whose key is destroyed is no list any more."""

UNSEEN = Seen(0.0, 0, None, NOTHING)


class Allowances:
    """Reads and keeps configs. now: seconds, monotonic."""

    def __init__(self, log: EventLog, texts: Texts, now: Callable[[], float]) -> None:
        self._log = log
        self._texts = texts
        self._now = now
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def of(self, tenant: str) -> Allowed:
        """What is open to a tenant beyond what is open to all. Raises AllowListUnknown."""
        return (await self._seen_of(tenant)).allowed

    async def payload_bytes_max(self, tenant: str) -> int:
        """How many bytes a payload of the tenant may have. Raises AllowListUnknown."""
        return (await self._seen_of(tenant)).payload_bytes_max

    def payload_bytes_max_at_hand(self, tenant: str) -> int | None:
        """The same without waiting; None where it has to be read."""
        seen = self._seen.get(tenant, UNSEEN)
        return seen.payload_bytes_max if seen.until > self._now() else None

    async def _seen_of(self, tenant: str) -> Seen:
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            seen = self._seen.get(tenant, UNSEEN)
            if seen.until <= self._now():
                seen = await self._read(tenant, seen)
                self._seen[tenant] = seen
            self._seen.move_to_end(tenant)
            if len(self._seen) > HELD_MAX:
                self._seen.popitem(last=False)
            return seen

    async def _read(self, tenant: str, seen: Seen) -> Seen:
        """The config with what has happened to the tenant since it was seen."""
        _, seq, state, allowed = seen
        try:
            subject = subjects.registry(tenant, catalogue.TENANT, tenant)
            for stored in await self._log.read(subject, after=seq):
                for event in codec_for(catalogue.TENANT).decode(stored.body).events:
                    state = evolve_tenant(state, event)
                seq = stored.seq
            if state is not None and seq != seen.seq:
                listed = await self._texts.shown(tenant, state.config.egress_allow)
                allowed = parse_allowed(listed)
        except UNREADABLE as error:
            raise AllowListUnknown(f"the tenant's allow list cannot be read: {error}") from error
        return Seen(self._now() + GOOD_FOR_S, seq, state, allowed)
