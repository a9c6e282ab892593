"""When a call is tried again: the rule, as a conversation without I/O.

`attempts` says what to do next, `Call` (send it) or `Pause` (wait), and is told what came of it.
The sync and the async client do it and know no rule.
"""

import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from penstock.client.calls import Answer, Call, NoAnswer, failed, retry_after_s

T = TypeVar("T")

BUSY: Final = frozenset({429, 503})
"""The server did nothing and asks to come back."""
GATEWAY: Final = frozenset({502, 504})
"""Somebody in between lost the server; what it did is unknown."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a call is tried, the first try included, and how long it rests in between.

    The rest doubles from `pause_s` to `pause_max_s`, less a random part of `jitter`. A server's
    Retry-After is honoured up to `retry_after_max_s`; one that asks for more ends the tries.
    """

    tries_max: int = 5
    pause_s: float = 0.2
    pause_max_s: float = 5.0
    jitter: float = 0.5
    retry_after_max_s: float = 30.0

    def rest_s(self, tried: int) -> float:
        """The seconds of rest after so many tries."""
        full = min(self.pause_s * 2.0 ** (tried - 1), self.pause_max_s)
        return full * (1 - self.jitter * random.random())


RETRIES: Final = Retries()
NEVER: Final = Retries(tries_max=1)

Conversation = Generator[Call[Any] | Pause, Answer | NoAnswer | None, T]


def attempts(call: Call[T], retries: Retries) -> Conversation[T]:
    """What the call answers, after as many tries as it takes and `retries` allows.

    Raises the error of the last try.
    """
    for tried in range(1, retries.tries_max + 1):
        outcome = yield call
        assert outcome is not None, "a call has an outcome"
        error = failed(outcome)
        if error is None:
            assert isinstance(outcome, Answer)
            return call.read(outcome)
        pause_s = rest_before_next(call, outcome, retries, tried=tried)
        if pause_s is None or tried == retries.tries_max:
            raise error
        yield Pause(pause_s)
    raise ValueError("tries_max is at least 1")


def rest_before_next(
    call: Call[Any], outcome: Answer | NoAnswer, retries: Retries, *, tried: int
) -> float | None:
    """The seconds to rest before the call is tried again, None when that is of no use."""
    if isinstance(outcome, NoAnswer):
        return retries.rest_s(tried) if call.repeatable or not outcome.sent else None
    if outcome.status in GATEWAY and call.repeatable:
        return retries.rest_s(tried)
    if outcome.status not in BUSY:
        return None
    asked_s = retry_after_s(outcome)
    if asked_s is None:
        return retries.rest_s(tried)
    return max(asked_s, retries.rest_s(tried)) if asked_s <= retries.retry_after_max_s else None
