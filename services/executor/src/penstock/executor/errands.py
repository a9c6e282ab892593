"""Errands: what a plain function has to have done by a coroutine, soon, in order.

Acknowledging a message waits for nothing and yet has to be awaited; one task does it for all.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from penstock.infra.telemetry.logs import logger

Errand = Callable[[], Awaitable[None]]

_log = logger(__name__)


class Errands:
    """A queue of errands, bounded by what puts them in: one per message in hand."""

    def __init__(self) -> None:
        self._queue: deque[Errand] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, errand: Errand) -> None:
        """Have `errand` done."""
        self._queue.append(errand)
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Do what is asked, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                errand = self._queue.popleft()
                try:
                    await errand()
                except Exception:  # noqa: BLE001 - the next errand has nothing to do with this one
                    _log.exception("an errand failed")
            self._idle.set()

    async def done(self) -> None:
        """Returns when nothing is left to do."""
        await self._idle.wait()
