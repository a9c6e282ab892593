"""The way out: tasks to executors, packed with whatever became ready in the same turn.

The log is the outbox. A task is published after the decision that owes it is appended; the
command that led to it is acknowledged after the task is. What is lost in between is found again by
the repeated command, or by a roll call.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from penstock.infra.blobs.port import Blobs
from penstock.infra.nats import subjects
from penstock.infra.nats.publish import Publisher
from penstock.infra.nats.streams import SHARED
from penstock.infra.telemetry import metrics
from penstock.messages.envelope import PackedWork, Task, encode
from penstock.scheduler.aged import Aged
from penstock.scheduler.tasks import TASK_MAX_BYTES

PACK_TASKS_MAX = 50
"""Tasks in one message; a larger pack would wait behind its slowest step for too long."""

PACK_MAX_BYTES = 512 * 1024
"""Half of what the broker takes in one message."""


class Slot(NamedTuple):
    """Who may take a task: executors of a queue; one tenant's tasks never share a message."""

    queue: str
    tenant: str


Heard = Callable[[BaseException | None], None]
"""Told once how publishing went: None when the broker has it."""


class Waiting(NamedTuple):
    """An encoded task and who is told how publishing it went."""

    task: msgspec.Raw
    heard: Heard


class Dispatch:
    """Packs tasks and publishes them at the end of the present turn of the event loop.

    aged: finds what the log does not hold any more. executors: how many are known to be there; a
    burst is split among them.
    """

    def __init__(self, publisher: Publisher, blobs: Blobs, aged: Aged) -> None:
        self._publisher = publisher
        self._blobs = blobs
        self._aged = aged
        self._waiting: dict[Slot, list[Waiting]] = defaultdict(list)
        self._flush_is_due = False
        self.executors = 1

    def send(self, tenant: str, task: Task, queue: str, heard: Heard) -> None:
        """Publish a task soon."""
        body = encode(task)
        if len(body) <= TASK_MAX_BYTES and not self._aged.are_in(task):
            self._put(Slot(queue, tenant), Waiting(msgspec.Raw(body), heard))
            return
        making = asyncio.get_running_loop().create_task(self._made(tenant, task))
        making.add_done_callback(lambda done: self._put_made(Slot(queue, tenant), done, heard))

    async def _made(self, tenant: str, task: Task) -> bytes:
        """A task that reads what the log does not hold, or more than a message does."""
        if self._aged.are_in(task):
            task = await self._aged.brought(task)
        body = encode(task)
        return body if len(body) <= TASK_MAX_BYTES else await self._by_blob(tenant, task)

    async def _by_blob(self, tenant: str, task: Task) -> bytes:
        """A task that reads more than a message holds carries the name of a blob instead."""
        blob = await self._blobs.put(encode(task.payloads), tenant=tenant, run_id=task.run_id)
        return encode(replace(task, payloads={}, payloads_blob=blob))

    def _put_made(self, slot: Slot, making: "asyncio.Task[bytes]", heard: Heard) -> None:
        error = asyncio.CancelledError() if making.cancelled() else making.exception()
        if error is not None:
            heard(error)
        else:
            self._put(slot, Waiting(msgspec.Raw(making.result()), heard))

    def _put(self, slot: Slot, waiting: Waiting) -> None:
        self._waiting[slot].append(waiting)
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        waiting, self._waiting = self._waiting, defaultdict(list)
        for slot, tasks in waiting.items():
            for pack in packs(tasks, self.executors):
                self._publish(slot, pack)

    def _publish(self, slot: Slot, pack: list[Waiting]) -> None:
        body = encode(PackedWork(tenant=slot.tenant, tasks=tuple(w.task for w in pack)))
        subject = subjects.work(SHARED, slot.queue, slot.tenant)
        metrics.scheduler_tasks_dispatched.inc(len(pack))
        acknowledged = self._publisher.publish(subject, body)
        acknowledged.add_done_callback(lambda done: settle(done, pack))


def packs(tasks: list[Waiting], executors: int) -> list[list[Waiting]]:
    """Tasks in the order given, split so that every executor gets its part of a burst."""
    share = -(-len(tasks) // max(1, executors))
    most = max(1, min(PACK_TASKS_MAX, share))
    found: list[list[Waiting]] = []
    size = 0
    for waiting in tasks:
        size += len(waiting.task)
        if not found or len(found[-1]) >= most or size > PACK_MAX_BYTES:
            found.append([])
            size = len(waiting.task)
        found[-1].append(waiting)
    return found


def settle(acknowledged: "asyncio.Future[int]", pack: list[Waiting]) -> None:
    """Tell everybody whose task was in the pack how it went."""
    cancelled = acknowledged.cancelled()
    error = asyncio.CancelledError() if cancelled else acknowledged.exception()
    for waiting in pack:
        waiting.heard(error)
