"""Messages of one log that have arrived and are not written yet, in order and bounded."""

import asyncio
from collections import deque
from collections.abc import Awaitable

from penstock.domain.run.events import StepDispatched, StepReady, StepStarted, StepSucceeded
from penstock.infra.nats.delivery import Delivery
from penstock.messages.catalogue import RUN
from penstock.projector.entry import Entry, Log, read

BATCH_MAX = 2_000
"""Decisions in one transaction."""

BATCH_MAX_BYTES = 8 * 1024 * 1024
"""Of their bodies, and of what forks go on from; a message that goes over it is still taken."""

HELD_MAX = 2 * BATCH_MAX
"""Decisions in memory: a batch that is being written and the next one."""

HELD_MAX_BYTES = 2 * BATCH_MAX_BYTES


ROUTINE = frozenset({StepReady, StepDispatched, StepStarted, StepSucceeded})
"""What goes on in a run by itself. Of anything else somebody may want to read at once: of a run
that began, ended or was cancelled, of a step that failed or waits, of what was registered."""


class Intake:
    """Filled by the tail, emptied by the runner, which `arrived` wakes, and `pressing` from a rest.

    pending: how many messages the stream still had when the last one came. is_pressing: whether
    something that is no routine waits here.
    """

    def __init__(self, log: Log, arrived: asyncio.Event, pressing: asyncio.Event) -> None:
        self.log = log
        self.pending = 0
        self.is_pressing = False
        self._arrived = arrived
        self._pressing = pressing
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._entries)

    def on_message(self, delivery: Delivery) -> Awaitable[None] | None:
        """Take a message in; when it is one too many, answers what the tail has to wait for."""
        entry = read(self.log, delivery.stream_seq, delivery.subject, delivery.data)
        self._entries.append(entry)
        self._bytes += entry.weight
        self.pending = delivery.pending
        self._arrived.set()
        if not (self.is_pressing or is_routine(entry)):
            self.is_pressing = True
            self._pressing.set()
        if len(self._entries) < HELD_MAX and self._bytes < HELD_MAX_BYTES:
            return None
        self._room.clear()
        return self._until_room()

    async def _until_room(self) -> None:
        await self._room.wait()

    def batch(self) -> list[Entry]:
        """What is there, up to the bounds of a batch; empty if nothing is."""
        taken: list[Entry] = []
        size = 0
        while self._entries and len(taken) < BATCH_MAX and size < BATCH_MAX_BYTES:
            entry = self._entries.popleft()
            size += entry.weight
            taken.append(entry)
        self._bytes -= size
        self.is_pressing = self.is_pressing and bool(self._entries)
        self._room.set()
        return taken


def is_routine(entry: Entry) -> bool:
    """Whether the message tells of nothing but steps that go on as they should."""
    decision = entry.decision
    if decision is None or entry.kind != RUN:
        return False
    return ROUTINE.issuperset(map(type, decision.events))
