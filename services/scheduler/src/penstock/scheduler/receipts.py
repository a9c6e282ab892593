"""When a message may be acknowledged: after everything that came in it has taken effect.

A pack of reports is about many runs; it is settled when the last of them is. If one of them could
not be handled, the whole pack comes again after a while, and those that had are answered with
nothing.
"""

import asyncio
import contextlib
from collections import deque

from penstock.infra.nats.delivery import Delivery

RETRY_DELAY_S = 1.0
"""Pause before a message comes again that met with a fault of the infrastructure."""


class Receipt:
    """One delivery and how many of its parts are still open."""

    def __init__(self, delivery: Delivery, parts: int, settled: "Receipts") -> None:
        self.delivery = delivery
        self._open = parts
        self._delay_s: float | None = None
        self._settled = settled

    def done(self) -> None:
        """One part has taken effect."""
        self._open -= 1
        if self._open == 0:
            self._settled.add(self.delivery, self._delay_s)

    def failed(self, delay_s: float = RETRY_DELAY_S) -> None:
        """One part must come again."""
        self._delay_s = max(delay_s, self._delay_s or 0.0)
        self.done()


class Receipts:
    """Answers deliveries in the order in which they were settled, each delivery once.

    A message that is delivered again while its first delivery is still being worked on is in hand
    already: `open` says so by None, and the newest delivery is the one that gets the answer.
    """

    def __init__(self) -> None:
        self._in_hand: dict[tuple[str, int], Receipt] = {}
        self._settled: deque[tuple[Delivery, float | None]] = deque()
        self._wake = asyncio.Event()
        self._emptied = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Answers from now on."""
        self._writer = asyncio.create_task(self._write())

    async def stop(self, within_s: float) -> None:
        """Answers what is settled within the time given, and no more."""
        if self._in_hand:
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), within_s)
        await self._write_settled()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    def open(self, delivery: Delivery, parts: int) -> Receipt | None:
        """The receipt of a delivery with so many parts; None if the message is in hand already."""
        name = (delivery.consumer, delivery.stream_seq)
        held = self._in_hand.get(name)
        if held is not None:
            held.delivery = delivery
            return None
        receipt = Receipt(delivery, parts, self)
        self._in_hand[name] = receipt
        return receipt

    def add(self, delivery: Delivery, delay_s: float | None) -> None:
        """The delivery is settled: done with, or to come again after `delay_s`."""
        del self._in_hand[delivery.consumer, delivery.stream_seq]
        self._settled.append((delivery, delay_s))
        self._wake.set()
        if not self._in_hand:
            self._emptied.set()

    @property
    def in_hand(self) -> int:
        """How many messages are being worked on."""
        return len(self._in_hand)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._write_settled()

    async def _write_settled(self) -> None:
        while self._settled:
            delivery, delay_s = self._settled.popleft()
            if delay_s is None:
                await delivery.ack()
            else:
                await delivery.nack(delay_s)
