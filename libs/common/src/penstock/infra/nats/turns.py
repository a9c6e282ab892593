"""Frames handed to one handler in turn: at once while it is plain, else when it is done."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from penstock.infra.nats.reader import Frame

Handle = Callable[[Frame], Awaitable[None] | None]
"""Takes a frame; when it answers something to wait for, the next frame waits for that."""


class Turns:
    """What waits here was asked for, and is bounded by that.

    complain: is told of what a handler raises; the next frame has its turn all the same.
    """

    def __init__(self, handle: Handle, complain: Callable[[Exception], Awaitable[None]]) -> None:
        self._handle = handle
        self._complain = complain
        self._waiting: deque[Frame] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def are_on(self) -> bool:
        """Whether a handler is being waited for."""
        return self._task is not None

    def next(self, frame: Frame) -> None:
        """The frame has its turn now, or when those before it have had theirs."""
        if self._task is not None:
            self._waiting.append(frame)
            return
        handled = self._handle(frame)
        if handled is not None:
            self._task = asyncio.get_running_loop().create_task(self._go_on(handled))

    async def over(self) -> None:
        """Returns when nothing waits any more."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    def stop(self) -> None:
        """No more turns, not even to its end for the present one."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    async def _go_on(self, handled: Awaitable[None] | None) -> None:
        try:
            while handled is not None or self._waiting:
                handled = await self._one_more(handled)
        finally:
            self._task = None

    async def _one_more(self, handled: Awaitable[None] | None) -> Awaitable[None] | None:
        """What there is to wait for next, if anything."""
        try:
            if handled is not None:
                await handled
            return self._handle(self._waiting.popleft()) if self._waiting else None
        except Exception as error:  # noqa: BLE001 - it is the connection's to tell
            await self._complain(error)
            return None
