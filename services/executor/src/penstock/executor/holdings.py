"""What this executor holds: every attempt that it owes a word about, and the messages they came in.

An attempt is held from the moment its work arrives until REPORTS has acknowledged its outcome. A
work message is acknowledged when it owes no word any more; so what a crash leaves behind is
delivered again, to somebody who reports it lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from penstock.executor.inputs import StepInput
from penstock.executor.plans import Plan
from penstock.infra.nats.delivery import Delivery
from penstock.messages.envelope import Task

Key = tuple[str, str, int]
"""Run, step and attempt."""


class Stop(StrEnum):
    """Why an attempt was told to stop before it came to an outcome."""

    CANCEL = "cancel"
    RELEASE = "release"
    TIME = "time"


class Pack(Struct, eq=False):
    """One work message: its deliveries to this process, mostly one.

    owed: how many words about its tasks REPORTS has not acknowledged.
    """

    tenant: str
    deliveries: list[Delivery]
    owed: int


class Held(Struct, eq=False):
    """One attempt in hand.

    started_at: ms, 0 before it began. plan and given: how it is run and on what, once known.
    runner: what runs it, where that takes a while; begun: whether that had a turn. limit_ms: how
    long it may take, 0 before that is known. alarms: what is to happen to it meanwhile, first that
    it is mentioned. stop: why it was told to stop. used: what it was given, as in `SecretUsed`.
    """

    task: Task
    pack: Pack
    started_at: int = 0
    plan: Plan | None = None
    given: StepInput | None = None
    runner: asyncio.Task[None] | None = None
    begun: bool = False
    limit_ms: int = 0
    alarms: tuple[asyncio.TimerHandle, ...] = ()
    stop: Stop | None = None
    used: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """What tells it from any other attempt."""
        return key_of(self.task)


def key_of(task: Task) -> Key:
    """What tells an attempt from any other."""
    return (task.run_id, task.step_id, task.attempt)


class Holdings:
    """All attempts in hand, and all work messages that still owe a word."""

    def __init__(self, acknowledge: Callable[[Delivery], None]) -> None:
        self._acknowledge = acknowledge
        self._eased: Callable[[], None] = _nobody
        self._held: dict[Key, Held] = {}
        self._packs: set[Pack] = set()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Key) -> Held | None:
        """The attempt, if it is in hand."""
        return self._held.get(key)

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every attempt in hand."""
        return tuple(self._held)

    @property
    def deliveries(self) -> list[Delivery]:
        """The messages that are not acknowledged yet."""
        return [delivery for pack in self._packs for delivery in pack.deliveries]

    def when_eased(self, eased: Callable[[], None]) -> None:
        """Have `eased` called whenever an attempt was let go."""
        self._eased = eased

    def open(self, pack: Pack) -> None:
        """Take in a message; one that owes nothing is acknowledged at once."""
        if pack.owed:
            self._packs.add(pack)
        else:
            self._close(pack)

    def take(self, held: Held) -> None:
        """Hold an attempt; its message has been opened."""
        self._held[held.key] = held

    def settle(self, held: Held) -> None:
        """The outcome is on record: let the attempt go, and its message when it was the last."""
        key = held.key
        if self._held.get(key) is held:
            del self._held[key]
        pack = held.pack
        pack.owed -= 1
        if not pack.owed:
            self._close(pack)
        self._eased()

    def _close(self, pack: Pack) -> None:
        self._packs.discard(pack)
        for delivery in pack.deliveries:
            self._acknowledge(delivery)


def _nobody() -> None:
    """Until somebody wants to know."""
