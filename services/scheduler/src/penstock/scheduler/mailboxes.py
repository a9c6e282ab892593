"""One thing at a time for each key, everything that has arrived at once, many keys in parallel."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

LETTERS_MAX = 256
"""How many letters of one key are handed over together."""


class Mailboxes(Generic[K, T]):
    """Letters by key. `work_off(key, letters)` is never under way twice for the same key.

    What arrives while a key is being worked on waits and is then handed over together, which is
    what makes all reports of a busy run one decision. `work_off` answers for its own errors.
    """

    def __init__(self, work_off: Callable[[K, list[T]], Awaitable[None]]) -> None:
        self._work_off = work_off
        self._letters: dict[K, deque[T]] = {}
        self._workers: dict[K, asyncio.Task[None]] = {}
        self.waiting = 0

    def post(self, key: K, letter: T) -> None:
        """Put a letter into a key's box; it is worked on from the next turn of the loop on."""
        self.waiting += 1
        box = self._letters.get(key)
        if box is not None:
            box.append(letter)
            return
        self._letters[key] = deque((letter,))
        self._workers[key] = asyncio.get_running_loop().create_task(self._empty(key))

    def is_busy(self, key: K) -> bool:
        """Whether letters of the key wait or are being worked on."""
        return key in self._letters

    async def drained(self, timeout_s: float) -> bool:
        """Wait until no letter is left; False when the time is over first."""
        if not self._workers:
            return True
        _, pending = await asyncio.wait(self._workers.values(), timeout=timeout_s)
        return not pending

    async def _empty(self, key: K) -> None:
        box = self._letters[key]
        try:
            while box:
                letters = [box.popleft() for _ in range(min(len(box), LETTERS_MAX))]
                self.waiting -= len(letters)
                await self._work_off(key, letters)
        finally:
            self.waiting -= len(box)
            del self._letters[key], self._workers[key]
