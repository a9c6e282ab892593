"""Waiting for something to become true, for a named time at most."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.05


async def until(answer: Callable[[], Awaitable[T | None]], *, within_s: float, what: str) -> T:
    """The first answer that is true in Python's sense; fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (found := await answer()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(POLL_S)
    return found
