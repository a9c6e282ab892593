"""Trying again what a server that is away for a moment could not do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from penstock.executor.outcome import StepFault
from penstock.infra.keyring.data_keys import KeyGone

TRIES_MAX = 4
AGAIN_SECONDS = 0.25
"""Doubled with each try: about four seconds in all, as long as a change of leader takes."""

T = TypeVar("T")


async def tried(attempt: Callable[[], Awaitable[T]]) -> T:
    """What `attempt` gives, tried again while it raises; in the end a retryable StepFault.

    A StepFault of its own passes at once: it would be the same again. Nor does a destroyed key come
    back.
    """
    for again in range(TRIES_MAX - 1):
        try:
            return await attempt()
        except StepFault:
            raise
        except KeyGone as error:
            raise StepFault("PAYLOAD_UNAVAILABLE", "the tenant's keys are destroyed") from error
        except Exception:  # noqa: BLE001 - every store has errors of its own
            await asyncio.sleep(AGAIN_SECONDS * 2**again)
    try:
        return await attempt()
    except StepFault:
        raise
    except Exception as error:
        said = str(error) or type(error).__name__
        raise StepFault(
            "PAYLOAD_UNAVAILABLE", f"what the step needs cannot be had: {said}", retryable=True
        ) from error
