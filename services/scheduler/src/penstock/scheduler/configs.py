"""What operators have set for each tenant: known before its first decision, read again at times."""

import asyncio
from collections.abc import Awaitable, Callable

from penstock.domain.tenant.events import TenantConfig
from penstock.infra.eventlog.log import LogUnavailable
from penstock.infra.telemetry import logs
from penstock.messages.codec import Undecodable

GOOD_FOR_S = 5.0
"""What was changed counts after this long."""

HELD_MAX = 10_000
"""Tenants whose configs are kept."""

Read = Callable[[str], Awaitable[TenantConfig]]

NOTHING_SET = TenantConfig()

logger = logs.logger(__name__)


class Configs:
    """Keeps configs. read: a tenant's as it is in the registry. now: seconds, monotonic."""

    def __init__(self, read: Read, now: Callable[[], float]) -> None:
        self._read = read
        self._now = now
        self._known: dict[str, tuple[TenantConfig, float]] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}

    def weight(self, tenant: str) -> int:
        """A tenant's weight where tenants take turns."""
        return max(1, self._of(tenant).weight)

    def steps_max(self, tenant: str) -> int | None:
        """How many steps of a tenant may be out at once; None for as many as there is room for."""
        return self._of(tenant).limits.max_in_flight_steps

    async def know(self, tenant: str) -> None:
        """Returns when the tenant's config is known, or cannot be: then nothing is set."""
        if tenant not in self._known:
            await asyncio.shield(self._reading(tenant))

    def _of(self, tenant: str) -> TenantConfig:
        """A tenant's config as it was read last; one in which nothing is set until it has been."""
        config, until = self._known.get(tenant, (NOTHING_SET, 0.0))
        if until <= self._now():
            self._reading(tenant)
        return config

    def _reading(self, tenant: str) -> "asyncio.Task[None]":
        """The one task that reads it anew."""
        reader = self._readers.get(tenant)
        if reader is None:
            reader = asyncio.get_running_loop().create_task(self._look(tenant))
            self._readers[tenant] = reader
            reader.add_done_callback(lambda _: self._readers.pop(tenant))
        return reader

    async def _look(self, tenant: str) -> None:
        """Read it anew; where it cannot be read what is known stays."""
        config, _ = self._known.get(tenant, (NOTHING_SET, 0.0))
        try:
            config = await self._read(tenant)
        except (LogUnavailable, Undecodable) as error:
            logger.warning("the config of a tenant is not known", tenant=tenant, error=repr(error))
        if len(self._known) >= HELD_MAX:
            self._known.clear()
        self._known[tenant] = (config, self._now() + GOOD_FOR_S)
