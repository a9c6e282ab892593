"""Continuous pull from a durable consumer, with back-pressure.

Messages come in a callback, in order; nothing is fetched beyond what the handler has settled.
"""

from collections.abc import Awaitable, Callable

from nats.aio.client import Client

from penstock.infra.nats.delivery import Delivery, delivery_of
from penstock.infra.nats.reader import Frame
from penstock.infra.nats.requests import Flow, PullRequests
from penstock.infra.nats.wire import wire_of

__all__ = ["Delivery", "OnMessage", "Pull"]

BATCH = 256
OUTSTANDING_MAX = 1024
"""Deliveries in the handler's hands that it has not settled."""

OnMessage = Callable[[Delivery], Awaitable[None] | None]


class Pull:
    """Reads a durable consumer on a connection that somebody else owns.

    on_message: a plain function or a coroutine function; the next message waits for its return.
    batch: what one request asks for. max_outstanding: how many unsettled deliveries are held, at
    most; a delivery is settled by ack, nack or term, or by an error out of on_message, which
    goes to the connection's error callback and leaves the message to be delivered again.
    """

    def __init__(
        self,
        nc: Client,
        stream: str,
        consumer: str,
        on_message: OnMessage,
        *,
        batch: int = BATCH,
        max_outstanding: int = OUTSTANDING_MAX,
    ) -> None:
        self._wire = wire_of(nc)
        self._on_message = on_message
        self._max_outstanding = max_outstanding
        self._paused = False
        self._unsettled: set[str] = set()
        self._requests = PullRequests(
            nc,
            Flow(min(batch, max_outstanding), self._wanted),
            on_message=self._on_delivery,
            on_missing=_wait,
        )
        self._requests.aim(stream, consumer)

    @property
    def outstanding(self) -> int:
        """Deliveries that are not settled."""
        return len(self._unsettled)

    @property
    def missing(self) -> bool:
        """Whether the broker last said that the consumer is not there."""
        return self._requests.missing

    async def start(self) -> None:
        """Asks for the first messages; calls on_message from now on."""
        await self._requests.start()

    def pause(self) -> None:
        """Asks for nothing more; what was asked for may still come."""
        self._paused = True

    def resume(self) -> None:
        """Asks again."""
        self._paused = False
        self._requests.ask()

    async def stop(self) -> None:
        """Asks for nothing more; returns when what was sent already has been delivered.

        What is unsettled then can still be settled.
        """
        self._paused = True
        await self._requests.stop(drain=True)

    def _wanted(self) -> int:
        return 0 if self._paused else self._max_outstanding - len(self._unsettled)

    def _on_delivery(self, frame: Frame) -> Awaitable[None] | None:
        delivery = delivery_of(frame, self._answer)
        self._unsettled.add(delivery.reply)
        try:
            handled = self._on_message(delivery)
        except Exception:
            self._unsettled.discard(delivery.reply)
            raise
        return None if handled is None else self._handled(delivery, handled)

    async def _handled(self, delivery: Delivery, handled: Awaitable[None]) -> None:
        try:
            await handled
        except Exception:
            self._unsettled.discard(delivery.reply)
            raise

    def _answer(self, delivery: Delivery, body: bytes, settles: bool) -> None:
        """An answer that cannot be sent is no error: the message is delivered again."""
        if settles:
            self._unsettled.discard(delivery.reply)
        if self._wire.offer(delivery.reply, body) and settles:
            self._requests.ask()


def _wait() -> None:
    """A durable consumer is made by `bootstrap` alone; until then the request is repeated."""
