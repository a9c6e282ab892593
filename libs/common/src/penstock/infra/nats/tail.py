"""Reading a stream from a number on, in order, without acknowledgements, for ever.

The reader keeps its own place (a checkpoint), so the consumer behind it is a throw-away: after a
lost one, or a message that did not arrive, a new one goes on from the next wanted number. What the
handler sees is in order and without repetition. Where a log of record itself no longer has the next
wanted number, or has gone back behind it, nothing is skipped silently: the tail ends with `Gap`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from nats import errors
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError

from penstock.infra.nats.delivery import Delivery, delivery_of
from penstock.infra.nats.reader import Frame
from penstock.infra.nats.requests import Flow, PullRequests
from penstock.infra.nats.streams import OF_RECORD

BATCH = 2000
"""What one request asks for; the projector's largest batch."""
INACTIVE_S = 60.0
"""The server forgets a throw-away consumer that nobody has asked for so long."""
RETRY_S = 0.25
ADMIN_TIMEOUT_S = 5.0


class Gap(Exception):
    """The stream does not have what comes next: it aged out, or the stream went back.

    wanted: the next number. first, last: what the stream has.
    """

    def __init__(self, stream: str, wanted: int, first: int, last: int) -> None:
        super().__init__(f"{stream} has {first} to {last}, wanted is {wanted}")
        self.wanted, self.first, self.last = wanted, first, last


class Tail:
    """Delivers the messages of a stream from `start_seq` (at least 1) on.

    subjects: patterns, empty for all. on_message: a plain function or a coroutine function; the
    next message waits for its return, and while it waits the broker holds the rest back.
    """

    def __init__(
        self,
        nc: Client,
        stream: str,
        subjects: Sequence[str],
        start_seq: int,
        on_message: Callable[[Delivery], Awaitable[None] | None],
        *,
        batch: int = BATCH,
    ) -> None:
        self._nc = nc
        self._js = nc.jetstream(timeout=ADMIN_TIMEOUT_S)
        self._stream = stream
        self._subjects = list(subjects)
        self._of_record = stream in OF_RECORD
        self._whole = self._of_record and not subjects
        self._next = start_seq
        self._on_message = on_message
        self._consumer = ""
        self._consumer_seq = 0
        self._renewing = False
        self._ended: asyncio.Future[None]
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests = PullRequests(
            nc,
            Flow(batch, self._wanted),
            on_message=self._on_delivery,
            on_missing=self._renew_soon,
        )
        self._batch = batch

    @property
    def next_seq(self) -> int:
        """The number that the next message has at least."""
        return self._next

    async def start(self) -> None:
        """Makes the consumer and asks for the first messages; raises `Gap`."""
        self._ended = asyncio.get_running_loop().create_future()
        await self._renew()
        await self._requests.start()

    async def wait(self) -> None:
        """Returns after `stop`; raises what ended the tail: `Gap`, or the handler's own error."""
        await asyncio.shield(self._ended)

    async def stop(self) -> None:
        """Delivers nothing any more."""
        if not self._ended.done():
            self._ended.set_result(None)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._requests.stop(drain=False)
        await self._discard()

    def _wanted(self) -> int:
        return 0 if self._renewing or self._ended.done() else self._batch

    def _on_delivery(self, frame: Frame) -> Awaitable[None] | None:
        delivery = delivery_of(frame, _no_answer)
        if self._ended.done() or delivery.consumer != self._consumer:
            return None
        self._consumer_seq += 1
        if delivery.consumer_seq != self._consumer_seq:
            self._renew_soon()
            return None
        if self._whole and delivery.stream_seq != self._next:
            last = delivery.stream_seq + delivery.pending
            self._end(Gap(self._stream, self._next, delivery.stream_seq, last))
            return None
        self._next = delivery.stream_seq + 1
        try:
            handled = self._on_message(delivery)
        except Exception as error:  # noqa: BLE001 - whoever waits for the tail gets it
            self._end(error)
            return None
        return None if handled is None else self._handled(handled)

    async def _handled(self, handled: Awaitable[None]) -> None:
        try:
            await handled
        except Exception as error:  # noqa: BLE001 - whoever waits for the tail gets it
            self._end(error)

    def _renew_soon(self) -> None:
        """Goes on with a new consumer, made by a task of its own: the inbox must not wait."""
        if self._renewing or self._ended.done():
            return
        self._renewing = True
        self._consumer = ""
        task = asyncio.create_task(self._renew_until_done())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew_until_done(self) -> None:
        while self._renewing:
            try:
                await self._renew()
            except Gap as gap:
                self._end(gap)
                return
            except (errors.Error, TimeoutError):
                await asyncio.sleep(RETRY_S)
        self._requests.ask()

    async def _renew(self) -> None:
        """A new consumer from the next wanted number on."""
        state = (await self._js.stream_info(self._stream)).state
        if self._of_record and not state.first_seq <= self._next <= state.last_seq + 1:
            raise Gap(self._stream, self._next, state.first_seq, state.last_seq)
        name = f"tail-{self._nc.new_inbox().rsplit('.', 1)[-1]}"
        config = ConsumerConfig(
            name=name,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._next,
            ack_policy=AckPolicy.NONE,
            filter_subjects=self._subjects or None,
            inactive_threshold=INACTIVE_S,
            mem_storage=True,
            num_replicas=1,
        )
        await self._discard()
        await self._js.add_consumer(self._stream, config)
        self._consumer, self._consumer_seq, self._renewing = name, 0, False
        self._requests.aim(self._stream, name)

    async def _discard(self) -> None:
        """Removes the consumer that is in use; the server would do it too, later."""
        if not self._consumer or not self._nc.is_connected:
            return
        try:
            await self._js.delete_consumer(self._stream, self._consumer)
        except (APIError, errors.Error, TimeoutError):
            return

    def _end(self, error: Exception) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)


def _no_answer(_delivery: Delivery, _body: bytes, _settles: bool) -> None:
    """Nobody waits for an answer to a tail's delivery."""
