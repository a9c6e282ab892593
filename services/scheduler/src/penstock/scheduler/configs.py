"""How each tenant stands: known before its first decision, read again at times.

What operators have set for it, and whether it was deleted.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from penstock.domain.tenant.events import TenantConfig
from penstock.infra.eventlog.log import LogUnavailable
from penstock.infra.telemetry import logs
from penstock.messages.codec import Undecodable

GOOD_FOR_S = 5.0
"""What was changed counts after this long."""

HELD_MAX = 10_000
"""Tenants whose configs are kept."""


class Standing(NamedTuple):
    """How a tenant stands. is_erased: nothing of it is left but its part of the log."""

    config: TenantConfig = TenantConfig()
    is_deleted: bool = False
    is_erased: bool = False


Read = Callable[[str], Awaitable[Standing]]

NOTHING_KNOWN = Standing()

logger = logs.logger(__name__)


class Configs:
    """Keeps how tenants stand. read: as it is in the registry. now: seconds, monotonic."""

    def __init__(self, read: Read, now: Callable[[], float]) -> None:
        self._read = read
        self._now = now
        self._known: dict[str, tuple[Standing, float]] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}

    def weight(self, tenant: str) -> int:
        """A tenant's weight where tenants take turns."""
        return max(1, self.standing(tenant).config.weight)

    def steps_max(self, tenant: str) -> int | None:
        """How many steps of a tenant may be out at once; None for as many as there is room for."""
        return self.standing(tenant).config.limits.max_in_flight_steps

    async def know(self, tenant: str) -> None:
        """Returns when it is known how the tenant stands, or cannot be: then nothing is set."""
        if tenant not in self._known:
            await asyncio.shield(self._reading(tenant))

    def standing(self, tenant: str) -> Standing:
        """How a tenant stood when it was read last; nothing is set until it has been."""
        standing, until = self._known.get(tenant, (NOTHING_KNOWN, 0.0))
        if until <= self._now():
            self._reading(tenant)
        return standing

    def is_known_deleted(self, tenant: str) -> bool:
        """Whether a tenant was deleted as far as is known, without asking anew."""
        return self._known.get(tenant, (NOTHING_KNOWN, 0.0))[0].is_deleted

    def is_known_erased(self, tenant: str) -> bool:
        """The same, whether nothing is left of it."""
        return self._known.get(tenant, (NOTHING_KNOWN, 0.0))[0].is_erased

    def ask_again(self, tenant: str) -> None:
        """Read anew how a tenant stands, if anybody here has asked for it; something happened."""
        if tenant in self._known:
            self._reading(tenant)

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
        standing, _ = self._known.get(tenant, (NOTHING_KNOWN, 0.0))
        try:
            standing = await self._read(tenant)
        except (LogUnavailable, Undecodable) as error:
            logger.warning("how a tenant stands is not known", tenant=tenant, error=repr(error))
        if len(self._known) >= HELD_MAX:
            self._known.clear()
        self._known[tenant] = (standing, self._now() + GOOD_FOR_S)
