"""Live watching over a WebSocket: several subscriptions, one bounded queue, one writer.

A client that reads slowly falls behind the log, and no queue grows: its subscriptions wait for
room. One that reads nothing for `SLOW_S` is closed and told why; it comes back with `after`.
"""

import asyncio
from contextlib import aclosing
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.websockets import WebSocket, WebSocketDisconnect

from penstock.api import standing, subscriptions
from penstock.api.answers import encode
from penstock.api.auth import RUNS_READ, Caller
from penstock.api.errors import Problem, of_exception
from penstock.api.parts import Parts, parts_of
from penstock.api.standing import Standing
from penstock.api.subscriptions import AWAY, Subscription
from penstock.infra.telemetry import logs, metrics

SUBSCRIPTIONS_MAX = 50
"""Of one socket."""
QUEUE_MAX = 64
"""Frames that wait for the writer; an event has at most the bytes of a decision."""
SLOW_S = 10.0
"""How long one frame may wait for a client that does not read."""
LINGER_S = 30.0
"""How long such a client has to hear why it is closed."""
RETRY_S = 1.0
"""Pause before a history is followed again that could not be read."""
MESSAGE_MAX_BYTES = 16 * 1024
PING_S = 20.0
"""How often the server pings, and how long it waits for the answer."""

NORMAL, POLICY, INTERNAL, AGAIN = 1000, 1008, 1011, 1013
"""WebSocket close codes."""

_log = logs.logger(__name__)


class Closing(NamedTuple):
    """The last frame: what is said before the close."""

    code: int
    problem: Problem


class Socket:
    """One open connection. `request` is its handshake, by which its credential is judged."""

    def __init__(self, websocket: WebSocket, request: Request, caller: Caller) -> None:
        self._websocket = websocket
        self._request = request
        self._caller = caller
        self._parts: Parts = parts_of(request)
        self._queue: asyncio.Queue[bytes | Closing] = asyncio.Queue(QUEUE_MAX)
        self._watching: dict[str, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Until the client leaves, the API stops, or something is wrong with the client."""
        tasks = [asyncio.create_task(part()) for part in (self._hear, self._write, self._judge)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._silence()
            ending = [*tasks, *self._watching.values()]
            for task in ending:
                task.cancel()
            ended = await asyncio.gather(*ending, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect):
                _log.error("a live connection failed", exc_info=error)

    # --- what the client says --------------------------------------------------------------------

    async def _hear(self) -> None:
        """One message after the other; a bad one costs an answer, not the connection."""
        while (message := await self._websocket.receive())["type"] == "websocket.receive":
            try:
                await self._subscribe(message.get("text") or message.get("bytes") or b"")
            except Exception as error:  # noqa: BLE001  told to the client, as everywhere
                problem = of_exception(error)
                if problem.status == 500:
                    _log.error("a subscription failed", exc_info=error)
                await self._queue.put(encode({"error": shown(problem)}))

    async def _subscribe(self, text: str | bytes) -> None:
        wanted = subscriptions.read(text)
        for key in [key for key, task in self._watching.items() if task.done()]:
            del self._watching[key]
        if len(self._watching) >= SUBSCRIPTIONS_MAX:
            said = f"a connection has at most {SUBSCRIPTIONS_MAX} subscriptions"
            raise Problem(409, said, code="TOO_MANY_SUBSCRIPTIONS")
        found = await subscriptions.found(self._parts, self._caller, wanted)
        if found.about in self._watching:
            raise Problem(409, "this is subscribed already", code="ALREADY_SUBSCRIBED")
        told = {"subscribed": found.asked, "position": str(found.position)}
        await self._queue.put(encode(told))
        self._watching[found.about] = asyncio.create_task(self._watch(found))

    async def _watch(self, subscription: Subscription) -> None:
        """Tell the subscription's events; while the log cannot be read, wait."""
        while True:
            try:
                await self._tell(subscription)
            except AWAY as error:
                _log.warning("a subscription waits", error=str(error))
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # noqa: BLE001  told to the client, as everywhere
                _log.error("a subscription failed", exc_info=error)
                said = {**shown(of_exception(error)), "subscribe": subscription.asked}
                await self._queue.put(encode({"error": said}))
                return
            else:
                return

    async def _tell(self, subscription: Subscription) -> None:
        """Queue the events; waits while there is no room."""
        async with aclosing(subscription.events()) as events:
            async for event in events:
                await self._queue.put(encode({"event": event}))

    # --- what the client is told -----------------------------------------------------------------

    async def _write(self) -> None:
        """Frame after frame; the last one closes the connection."""
        while True:
            frame = await self._queue.get()
            if isinstance(frame, Closing):
                await self._close(frame)
                return
            sending = asyncio.ensure_future(self._websocket.send_text(frame.decode()))
            try:
                done, _ = await asyncio.wait((sending,), timeout=SLOW_S)
                if not done:
                    await self._give_up(sending)
                    return
                sending.result()
            finally:
                sending.cancel()

    async def _give_up(self, sending: asyncio.Future[None]) -> None:
        """Nothing more for a client that does not read, but the reason, should it read again."""
        metrics.api_sockets_slow.inc()
        self._silence()
        done, _ = await asyncio.wait((sending,), timeout=LINGER_S)
        if done:
            sending.result()
            said = f"nothing was read for {SLOW_S:g} s; come back with `after`, the last position"
            await self._close(Closing(AGAIN, Problem(503, said, code="TOO_SLOW")))

    async def _close(self, closing: Closing) -> None:
        problem = closing.problem
        await self._websocket.send_text(encode({"error": shown(problem)}).decode())
        await self._websocket.close(closing.code, problem.code)

    def _silence(self) -> None:
        """End all subscriptions and drop what waits."""
        for task in self._watching.values():
            task.cancel()
        while not self._queue.empty():
            self._queue.get_nowait()

    # --- whether the client may still listen -----------------------------------------------------

    async def _judge(self) -> None:
        """Close when the credential opens nothing any more."""
        ours, problem = Standing(self._request, RUNS_READ), None
        while problem is None:
            await asyncio.sleep(standing.CHECK_S)
            problem = await ours.refusal()
        self._silence()
        self._queue.put_nowait(Closing(POLICY, problem))
        await asyncio.sleep(LINGER_S)


def shown(problem: Problem) -> dict[str, Any]:
    """A problem as a frame has it."""
    return {
        "code": problem.code,
        "message": problem.message,
        "status": problem.status,
        "details": list(problem.details),
    }
