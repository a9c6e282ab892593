"""Tells the API how many steps of which tenants are out, and how many wait: every second."""

import asyncio
from collections.abc import Callable

from nats import errors
from nats.aio.client import Client

from penstock.infra.nats import subjects
from penstock.infra.telemetry import logs
from penstock.messages.envelope import encode
from penstock.messages.load import Load, Steps

EVERY_S = 1.0

TENANTS_MAX = 5_000
"""Tenants that one message tells of, those with most steps: it stays below half a megabyte."""

logger = logs.logger(__name__)


class Loads:
    """Says it for as long as there is something to say, and once more when there is not."""

    def __init__(self, nc: Client, me: str, steps: Callable[[], dict[str, Steps]]) -> None:
        self._nc = nc
        self._me = me
        self._steps = steps
        self._telling: asyncio.Task[None] | None = None
        self._said_something = False

    def start(self) -> None:
        """Tell from now on."""
        self._telling = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Tell no more."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    async def tell(self) -> None:
        """Say it now; nobody need hear it."""
        found = self._steps()
        if found or self._said_something:
            body = encode(Load(instance=self._me, tenants=largest(found)))
            try:
                await self._nc.publish(subjects.LOAD, body)
            except errors.Error as error:
                logger.debug("the load was not told", error=repr(error))
        self._said_something = bool(found)

    async def _go_on(self) -> None:
        while True:
            await self.tell()
            await asyncio.sleep(EVERY_S)


def largest(found: dict[str, Steps], most: int = TENANTS_MAX) -> dict[str, Steps]:
    """The tenants with most steps."""
    if len(found) <= most:
        return found
    ranked = sorted(found, key=lambda tenant: found[tenant].out + found[tenant].waiting)
    return {tenant: found[tenant] for tenant in ranked[-most:]}
