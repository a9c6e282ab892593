"""The standing pull requests of one consumer: always enough of them, never too many.

JetStream answers a pull request with messages until its batch or its time is used up, and with
heartbeats while there is nothing. What a request has left over is told by status messages, which
may be lost with a connection or a server. So the count of what is still to come (`_credit`) is
believed only while the broker is heard; else all is asked for anew. Asking twice costs a few
messages too many, never one too few.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from nats import errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.js.api import Header

from penstock.infra.nats.reader import Frame
from penstock.infra.nats.turns import Turns
from penstock.infra.nats.wire import wire_of

EXPIRES_S = 3.0
"""Short, for a process that freezes goes on being sent what it has asked for: only after this time
and the broker's wait for an acknowledgement others get all of it.
"""
HEARTBEAT_S = 0.5
SILENCE_MAX_S = 1.2
"""Two heartbeats may be late; then the requests are taken for lost."""
TICK_S = 0.2
REQUEST_MAX_BYTES = 16 * 1024 * 1024
"""What one request may bring; at most two are answered at the same time."""
DRAIN_MAX_S = 5.0
RETRY_S = 0.25
"""Pause after the broker said that the consumer is not there or moves."""

_HEARTBEAT = "100"
_EXPIRED = ("404", "408")
_NO_RESPONDERS = "503"
_LEFT_OVER = "Nats-Pending-Messages"
_USED_UP = ("Batch Completed", "Message Size Exceeds MaxBytes")
_DELETED = "Consumer Deleted"


class Flow(NamedTuple):
    """batch: what one request asks for. wanted: how many more messages there is room for."""

    batch: int
    wanted: Callable[[], int]


class PullRequests:
    """Keeps pull requests to one consumer outstanding and sorts what comes back.

    on_message gets every message, one at a time: the next one waits for what it answers. on_missing
    is told when the consumer is not there (it may have it made, or do nothing: the request is
    repeated anyway).
    """

    def __init__(
        self,
        nc: Client,
        flow: Flow,
        *,
        on_message: Callable[[Frame], Awaitable[None] | None],
        on_missing: Callable[[], None],
    ) -> None:
        self._nc = nc
        self._wire = wire_of(nc)
        self._turns = Turns(self._take, self._wire.complain)
        self._flow = flow
        self._on_message = on_message
        self._on_missing = on_missing
        self._subject = ""
        self._inbox = ""
        self._credit = 0
        self._heard_at = 0.0
        self._not_before = 0.0
        self._reconnects = 0
        self._missing = False
        self._stopped = False
        self._subscription: Subscription | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def missing(self) -> bool:
        """Whether the broker last said that the consumer is not there."""
        return self._missing

    def aim(self, stream: str, consumer: str) -> None:
        """From now on, pull from this consumer."""
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._credit = 0
        self._not_before = 0.0

    async def start(self) -> None:
        """Asks for the first messages."""
        self._inbox = self._nc.new_inbox()
        self._reconnects = self._nc.stats["reconnects"]
        self._subscription = await self._wire.listen(self._inbox, self._turns.next)
        self.ask()
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self, *, drain: bool) -> None:
        """Asks for nothing any more.

        drain: what the broker has sent already still reaches on_message before this returns.
        """
        self._stopped = True
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        if self._subscription is None:
            return
        try:
            async with asyncio.timeout(DRAIN_MAX_S):
                await self._wire.ignore(self._subscription, drain=drain)
                if drain:
                    await self._turns.over()
        except (errors.Error, OSError, TimeoutError):
            return
        finally:
            self._turns.stop()

    def ask(self) -> None:
        """Sends a request when less than half a batch is still to come and there is room."""
        if self._stopped or self._credit * 2 > self._flow.batch:
            return
        now = asyncio.get_running_loop().time()
        if now < self._not_before:
            return
        number = min(self._flow.batch - self._credit, self._flow.wanted() - self._credit)
        if number <= 0 or not self._nc.is_connected:
            return
        self._credit += number
        self._heard_at = now
        body = b'{"batch":%d,"max_bytes":%d,"expires":%d,"idle_heartbeat":%d}' % (
            number,
            REQUEST_MAX_BYTES,
            EXPIRES_S * 1e9,
            HEARTBEAT_S * 1e9,
        )
        if not self._wire.offer(self._subject, body, self._inbox):
            self._credit = 0

    def _take(self, frame: Frame) -> Awaitable[None] | None:
        self._heard_at = asyncio.get_running_loop().time()
        handled = None
        if frame.reply:
            self._missing = False
            self._credit = max(0, self._credit - 1)
            handled = self._on_message(frame)
        elif frame.head:
            self._on_status(frame.headers)
        if handled is not None:
            return self._handled(handled)
        self.ask()
        return None

    async def _handled(self, handled: Awaitable[None]) -> None:
        try:
            await handled
        finally:
            self._heard_at = asyncio.get_running_loop().time()
            self.ask()

    def _on_status(self, headers: dict[str, str]) -> None:
        status, said = headers.get("Status", ""), headers.get(Header.DESCRIPTION, "")
        if status == _HEARTBEAT:
            self._missing = False
            return
        left_over = headers.get(_LEFT_OVER, "")
        if status in _EXPIRED or said in _USED_UP:
            self._credit = max(0, self._credit - int(left_over)) if left_over.isdigit() else 0
            return
        self._credit = 0
        self._not_before = self._heard_at + RETRY_S
        if status == _NO_RESPONDERS or said == _DELETED:
            self._missing = True
            self._on_missing()

    async def _tick(self) -> None:
        """Notices what nobody says: a new connection, a silent broker, room that came back."""
        while True:
            await asyncio.sleep(TICK_S)
            reconnects = self._nc.stats["reconnects"]
            if reconnects != self._reconnects or self._is_silent():
                self._reconnects = reconnects
                self._credit = 0
            self.ask()

    def _is_silent(self) -> bool:
        """Whether nothing comes although nobody here holds it up."""
        if self._turns.are_on or self._subscription is None:
            return False
        return asyncio.get_running_loop().time() - self._heard_at > SILENCE_MAX_S
