"""When a message may be acknowledged: after everything that came in it has taken effect.

A pack of reports is about many runs; it is settled when the last of them is. If one of them could
not be handled, the whole pack comes again after a while, and those that had are answered with
nothing.
"""

import asyncio
import contextlib

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
        self._emptied = asyncio.Event()

    async def stop(self, within_s: float) -> None:
        """Returns when all that is in hand is answered, or after the time given."""
        if self._in_hand:
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), within_s)

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
        if delay_s is None:
            delivery.ack()
        else:
            delivery.nack(delay_s)
        if not self._in_hand:
            self._emptied.set()

    @property
    def in_hand(self) -> int:
        """How many messages are being worked on."""
        return len(self._in_hand)
