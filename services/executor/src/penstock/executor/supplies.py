"""What a task reads, brought to hand: all of it opened, and of a loop's items the one that counts.

What came inline, or was read before, is there at once; the rest is fetched, several at a time.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from msgspec import Raw

from penstock.domain.payload import PAYLOAD_MAX_BYTES, Payload
from penstock.executor.inputs import ITEMS
from penstock.executor.items import Items, with_item
from penstock.executor.outcome import StepFault
from penstock.executor.payloads import Payloads, is_open
from penstock.executor.plans import Plan
from penstock.messages.envelope import Task

FETCHED_AT_ONCE = 8
"""Sources that are read at the same time for one attempt."""


class Supplies:
    """Brings what tasks read."""

    def __init__(self, payloads: Payloads) -> None:
        self._payloads = payloads
        self._items = Items()
        self._fetching: dict[tuple[str, str], asyncio.Lock] = {}

    def at_hand(self, tenant: str, task: Task) -> Mapping[str, Payload] | None:
        """The task's payloads with their bytes, where nothing has to be fetched for that."""
        payloads = task.payloads
        if task.payloads_blob is not None:
            return None
        for name, payload in payloads.items():
            if not payload.inline and (name != ITEMS or self._items.held(tenant, payload) is None):
                return None
        opened = self._payloads.at_hand(payloads, tenant)
        if opened is None or ITEMS not in opened:
            return opened
        # Whatever is wrong with the items is said where a task may fail: at leisure.
        with suppress(StepFault):
            items = self._items.taken_apart(tenant, opened[ITEMS])
            return with_item(task.step_id, opened, items)
        return None

    async def fetched(self, tenant: str, task: Task, plan: Plan) -> Mapping[str, Payload]:
        """The task's payloads with their bytes; an object that is only passed on stays one.

        Raises StepFault.
        """
        carried = await self._payloads.carried(task, tenant)
        if plan.gather is not None and sum(p.size for p in carried.values()) > PAYLOAD_MAX_BYTES:
            raise StepFault(
                "PAYLOAD_TOO_LARGE", f"what is put together is over {PAYLOAD_MAX_BYTES} bytes"
            )
        elsewhere = {
            name: payload
            for name, payload in carried.items()
            if not is_open(payload)
            and name != ITEMS
            and not (payload.blob is not None and name == plan.passed)
        }
        opened = {**carried, **await self._opened(tenant, elsewhere)}
        if ITEMS not in opened:
            return opened
        return with_item(task.step_id, opened, await self._items_of(tenant, opened[ITEMS]))

    async def _opened(self, tenant: str, elsewhere: dict[str, Payload]) -> dict[str, Payload]:
        """Opened payloads; those that lie in the same message one after the other."""
        opened: dict[str, Payload] = {}
        queue = sources_of(elsewhere)

        async def fetch() -> None:
            while queue:
                for name in queue.pop():
                    opened[name] = await self._payloads.opened(elsewhere[name], tenant)

        if queue:
            await asyncio.gather(*(fetch() for _ in range(min(FETCHED_AT_ONCE, len(queue)))))
        return opened

    async def _items_of(self, tenant: str, payload: Payload) -> list[Raw]:
        """A loop's items, fetched once however many iterations ask for them."""
        key = (tenant, payload.sha256)
        lock = self._fetching.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                known = self._items.held(tenant, payload)
                if known is not None:
                    return known
                opened = await self._payloads.opened(payload, tenant)
                return self._items.taken_apart(tenant, opened)
        finally:
            if not lock.locked():
                self._fetching.pop(key, None)


def sources_of(payloads: Mapping[str, Payload]) -> list[list[str]]:
    """The names of payloads, those together that lie in the same message of the log."""
    grouped: dict[str, list[str]] = {}
    for name, payload in payloads.items():
        sequence = "" if payload.at is None else payload.at.partition(".")[0]
        grouped.setdefault(sequence or f"{payload.blob}", []).append(name)
    return list(grouped.values())
