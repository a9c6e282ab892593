"""Waiting for something to become true, without saying when."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

ATTEMPTS_MAX = 1500
STEP_S = 0.02


async def until(true: Callable[[], bool]) -> None:
    """Returns once `true` is; fails after far longer than it can take."""
    for _ in range(ATTEMPTS_MAX):
        if true():
            return
        await asyncio.sleep(STEP_S)
    raise AssertionError("it never became true")


async def until_it_works(attempt: Callable[[], Awaitable[T]], *, unless: type[Exception]) -> T:
    """The answer of the first attempt that does not raise `unless`."""
    for _ in range(ATTEMPTS_MAX):
        try:
            return await attempt()
        except unless:
            await asyncio.sleep(STEP_S)
    raise AssertionError("it never worked")
