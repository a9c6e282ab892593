"""Publishing to streams: every acknowledgement comes back on one shared reply inbox.

`publish` answers at once with a future, so that a caller awaits a whole batch and not one message
after the other. Nothing is sent twice by itself: what a time-out means is for the caller to find
out (for histories, `eventlog.transact` does).
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct
from nats import errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from penstock.infra.nats.reader import Frame
from penstock.infra.nats.wire import BUFFER_MAX_BYTES, run_through, wire_of

PUBLISH_TIMEOUT_S = 5.0
"""Longer than a change of leader takes on a healthy network (4 to 6 s is the broker's worst)."""
IN_FLIGHT_MAX = 4096
"""Under the 10,000 that a stream takes in before it drops messages without a word."""
BACKLOG_MAX = 65_536
"""What may wait behind those in flight before `publish` refuses."""
RECONNECT_PATIENCE_S = 1.0
"""How long what was published before a new connection is still waited for."""

EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
_EXPECTING = f"NATS/1.0\r\n{EXPECTED_SEQUENCE}: %d\r\n\r\n".encode()

_WRONG_LAST_SEQUENCE = (10071, 10164)
_NO_RESPONDERS = "503"
_AWAY = (
    errors.ConnectionClosedError,
    errors.ConnectionDrainingError,
    errors.OutboundBufferLimitError,
)
_SWEEP_S = 0.25


class PublishError(Exception):
    """A message was not acknowledged."""


class WrongSequence(PublishError):
    """The subject's last message is not the expected one; nothing was stored."""


class PublishTimeout(PublishError):
    """No acknowledgement came in time: nobody knows whether the message is stored."""


class PublishRefused(PublishError):
    """The server, or this publisher's own bound, refused the message; nothing was stored.

    code: the server's error code, 0 where there is none.
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class Unavailable(PublishRefused):
    """Nobody is there to store it: no stream, no leader, no connection."""


class _Error(Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _PubAck(Struct):
    seq: int = 0
    error: _Error | None = None


class _Waiting(NamedTuple):
    subject: str
    body: bytes
    headers: dict[str, str] | None
    expected: int | None
    future: asyncio.Future[int]


_decode_ack = msgspec.json.Decoder(_PubAck).decode


class Publisher:
    """Publishes to streams on a connection that somebody else owns."""

    def __init__(self, nc: Client, *, timeout_s: float = PUBLISH_TIMEOUT_S) -> None:
        self._nc = nc
        self._wire = wire_of(nc)
        self._timeout_s = timeout_s
        self._loop: asyncio.AbstractEventLoop
        self._inbox = ""
        self._next = 0
        self._in_flight: dict[bytes, asyncio.Future[int]] = {}
        self._deadlines: deque[tuple[float, bytes]] = deque()
        self._backlog: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._subscription: Subscription | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listens for acknowledgements; call it once, before the first publish."""
        self._loop = asyncio.get_running_loop()
        self._inbox = f"{self._nc.new_inbox()}."
        self._subscription = await self._wire.listen(f"{self._inbox}*", self._on_ack)
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        """Waits for what is in flight, at most its time-out, then fails the rest."""
        await self.settled()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for waiting in self._backlog:
            _fail(waiting.future, Unavailable("the publisher has stopped"))
        for future in self._in_flight.values():
            _fail(future, PublishTimeout("the publisher has stopped"))
        self._backlog.clear()
        self._in_flight.clear()
        if self._subscription is not None:
            await self._wire.ignore(self._subscription)

    @property
    def pending(self) -> int:
        """How many messages wait to be sent or acknowledged."""
        return len(self._in_flight) + len(self._backlog)

    async def settled(self) -> None:
        """Returns when all that was published before is acknowledged or has failed."""
        futures = [*self._in_flight.values(), *(waiting.future for waiting in self._backlog)]
        if futures:
            await asyncio.wait(futures, timeout=self._timeout_s)

    def publish(
        self,
        subject: str,
        body: bytes,
        *,
        headers: dict[str, str] | None = None,
        expected: int | None = None,
    ) -> asyncio.Future[int]:
        """The future sequence of the message in its stream.

        expected: sequence of the last message on this very subject, 0 for none; another one there
        fails the future with `WrongSequence`. Other failures: `PublishTimeout`, `PublishRefused`
        and, among these, `Unavailable`.
        """
        future: asyncio.Future[int] = self._loop.create_future()
        if len(self._backlog) >= BACKLOG_MAX:
            future.set_exception(Unavailable(f"{BACKLOG_MAX} messages wait already"))
            return future
        if not self._backlog and len(self._in_flight) < IN_FLIGHT_MAX:
            if headers is None and self._sent(subject, body, expected, future):
                return future
            if self._nc.pending_data_size + len(body) < BUFFER_MAX_BYTES:
                run_through(self._leave(_Waiting(subject, body, headers, expected, future)))
                return future
        self._backlog.append(_Waiting(subject, body, headers, expected, future))
        self._wake.set()
        return future

    async def _write(self) -> None:
        """Sends what waits, in order, as long as there is room in flight."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._backlog and len(self._in_flight) < IN_FLIGHT_MAX:
                await self._leave(self._backlog[0])
                self._backlog.popleft()

    def _sent(
        self, subject: str, body: bytes, expected: int | None, future: asyncio.Future[int]
    ) -> bool:
        """Sends a message now, if it can be; what is then known of it comes with its answer."""
        key = self._new_key()
        head = b"" if expected is None else _EXPECTING % expected
        if not self._wire.send(subject, body, self._inbox + key, head):
            return False
        self._await_answer(key, future)
        return True

    async def _leave(self, waiting: _Waiting) -> None:
        """Leaves a message to nats-py, which keeps it while the connection is away."""
        subject, body, headers, expected, future = waiting
        if expected is not None:
            headers = {**(headers or {}), EXPECTED_SEQUENCE: str(expected)}
        key = self._new_key()
        self._await_answer(key, future)
        try:
            await self._nc.publish(subject, body, self._inbox + key, headers)
        except errors.Error as error:
            self._in_flight.pop(key.encode(), None)
            _fail(future, _unsent(error))

    def _new_key(self) -> str:
        self._next += 1
        return str(self._next)

    def _await_answer(self, key: str, future: asyncio.Future[int]) -> None:
        name = key.encode()
        self._in_flight[name] = future
        self._deadlines.append((self._loop.time() + self._timeout_s, name))

    def _on_ack(self, frame: Frame) -> None:
        future = self._in_flight.pop(frame.subject[len(self._inbox) :], None)
        if self._backlog:
            self._wake.set()
        if future is None or future.done():
            return
        try:
            ack = _decode_ack(frame.data)
        except msgspec.DecodeError:
            future.set_exception(_status(frame.headers))
            return
        if ack.error is None:
            future.set_result(ack.seq)
        else:
            future.set_exception(_refusal(ack.error))

    async def _sweep(self) -> None:
        """Fails what has waited too long; one timer for all."""
        reconnects = self._nc.stats["reconnects"]
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = self._loop.time()
            if self._nc.stats["reconnects"] != reconnects:
                reconnects = self._nc.stats["reconnects"]
                self._shorten(now + RECONNECT_PATIENCE_S)
            while self._deadlines and self._deadlines[0][0] <= now:
                future = self._in_flight.pop(self._deadlines.popleft()[1], None)
                if future is not None:
                    _fail(future, PublishTimeout("no acknowledgement in time"))
            while self._deadlines and self._deadlines[0][1] not in self._in_flight:
                self._deadlines.popleft()
            if self._backlog:
                self._wake.set()

    def _shorten(self, deadline: float) -> None:
        """Acknowledgements sent to the lost connection never come; those of the new one do soon."""
        self._deadlines = deque((min(at, deadline), key) for at, key in self._deadlines)


def _fail(future: asyncio.Future[int], error: PublishError) -> None:
    if not future.done():
        future.set_exception(error)


def _unsent(error: errors.Error) -> PublishError:
    return (Unavailable if isinstance(error, _AWAY) else PublishRefused)(str(error))


def _status(headers: Mapping[str, str]) -> PublishError:
    status = headers.get("Status", "")
    if status == _NO_RESPONDERS:
        return Unavailable("no stream takes this subject now")
    return PublishRefused(f"unreadable acknowledgement, status {status or 'none'}")


def _refusal(error: _Error) -> PublishError:
    if error.err_code in _WRONG_LAST_SEQUENCE:
        return WrongSequence(error.description)
    if error.code == int(_NO_RESPONDERS):
        return Unavailable(error.description, error.err_code)
    return PublishRefused(error.description, error.err_code)
