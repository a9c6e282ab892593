"""Telling executors to stop: once a second until the run has ended or gives them up."""

import asyncio

from nats import errors
from nats.aio.client import Client

from penstock.infra.nats import subjects
from penstock.scheduler.watch import RunKey

REPEAT_S = 1.0
TIMES_MAX = 6
"""A little longer than the grace that running steps have; then they are abandoned."""


class Cancels:
    """Repeats the cancel of each run that is being brought to its end."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._left: dict[RunKey, int] = {}
        self._wake = asyncio.Event()
        self._repeater: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Repeats from now on."""
        self._repeater = asyncio.create_task(self._repeat())

    async def stop(self) -> None:
        """Repeats no more."""
        if self._repeater is not None:
            self._repeater.cancel()
            await asyncio.gather(self._repeater, return_exceptions=True)

    def begin(self, key: RunKey) -> None:
        """Tell executors that hold steps of the run to stop, now and each second."""
        self._left[key] = TIMES_MAX
        self._wake.set()

    def end(self, key: RunKey) -> None:
        """The run has ended."""
        self._left.pop(key, None)

    async def _repeat(self) -> None:
        while True:
            if not self._left:
                self._wake.clear()
                await self._wake.wait()
            for key in list(self._left):
                await self._tell(key)
            try:
                await asyncio.wait_for(self._woken(), REPEAT_S)
            except TimeoutError:
                continue

    async def _woken(self) -> None:
        self._wake.clear()
        await self._wake.wait()

    async def _tell(self, key: RunKey) -> None:
        left = self._left.get(key, 0)
        if left <= 0:
            self._left.pop(key, None)
            return
        self._left[key] = left - 1
        try:
            await self._nc.publish(subjects.cancel(key.tenant, key.run_id), b"")
        except errors.Error:
            return
