"""What each tenant weighs where tenants take turns, known at once and read again now and then."""

import asyncio
from collections.abc import Awaitable, Callable

from penstock.infra.eventlog.log import LogUnavailable
from penstock.infra.telemetry import logs
from penstock.messages.codec import Undecodable

GOOD_FOR_S = 5.0
"""A changed weight counts after this long."""

HELD_MAX = 10_000
"""Tenants whose weights are kept."""

Read = Callable[[str], Awaitable[int]]

logger = logs.logger(__name__)


class Weights:
    """Keeps weights. read: a tenant's weight as it is in the registry. now: seconds, monotonic."""

    def __init__(self, read: Read, now: Callable[[], float]) -> None:
        self._read = read
        self._now = now
        self._known: dict[str, tuple[int, float]] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}

    def of(self, tenant: str) -> int:
        """A tenant's weight as it was read last; 1 until it has been."""
        weight, until = self._known.get(tenant, (1, 0.0))
        if until <= self._now() and tenant not in self._readers:
            reader = asyncio.get_running_loop().create_task(self._look(tenant))
            self._readers[tenant] = reader
            reader.add_done_callback(lambda _: self._readers.pop(tenant))
        return weight

    async def _look(self, tenant: str) -> None:
        """Read a weight anew; where it cannot be read the one that is known stays."""
        weight, _ = self._known.get(tenant, (1, 0.0))
        try:
            weight = await self._read(tenant)
        except (LogUnavailable, Undecodable) as error:
            logger.warning("the weight of a tenant is not known", tenant=tenant, error=repr(error))
        if len(self._known) >= HELD_MAX:
            self._known.clear()
        self._known[tenant] = (max(1, weight), self._now() + GOOD_FOR_S)
