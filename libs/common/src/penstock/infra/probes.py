"""`/livez`, `/readyz` and `/metrics`: what a supervisor and Prometheus ask of a process.

`Probes.answer(path)` says what to answer; `Probes.listen` answers on a port of its own. The API
serves the same answers on its own port. The server lives in the event loop on purpose: a loop
that hangs does not answer `/livez`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

import msgspec

from penstock.infra.telemetry import logs, metrics

CHECK_S = 2.0
"""A check that takes longer has failed."""
REQUEST_S = 5.0
REQUEST_BYTES_MAX = 8 * 1024
CONNECTIONS_MAX = 32
TICK_S = 0.5
LAG_MAX_S = 10.0
"""A loop that woke so late lately is not well, although it answers again."""

JSON = "application/json"
STATUSES = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
UNAVAILABLE = 503

Checks = Callable[[], Awaitable[Mapping[str, bool]]]

_log = logs.logger(__name__)


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    content_type: str
    body: bytes


class Probes:
    """The three answers of one process, and where wanted a server for them."""

    def __init__(self, service: str, checks: Checks) -> None:
        self._service = service
        self._checks = checks
        self._lag_s = 0.0
        self._open = 0
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def answer(self, path: str) -> Answer | None:
        """What to answer a GET of `path`; None for a path that is no probe."""
        match path:
            case "/livez":
                return self._livez()
            case "/readyz":
                return await self._readyz()
            case "/metrics":
                return Answer(200, metrics.CONTENT_TYPE, metrics.exposition(self._service))
            case _:
                return None

    async def listen(self, host: str, port: int) -> None:
        """Begins to answer on `port`; OSError where it is taken."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=REQUEST_BYTES_MAX)
        self.begin()

    def begin(self) -> None:
        """Begins to measure how late the event loop wakes; `listen` does it too."""
        self._ticking = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Answers no more."""
        if self._server is not None:
            self._server.close()
        if self._ticking is not None:
            self._ticking.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticking

    def _livez(self) -> Answer:
        alive = self._lag_s < LAG_MAX_S
        body = msgspec.json.encode({"status": "ok" if alive else "stalled", "lag": self._lag_s})
        return Answer(200 if alive else UNAVAILABLE, JSON, body)

    async def _readyz(self) -> Answer:
        checks: dict[str, bool] = {}
        try:
            async with asyncio.timeout(CHECK_S):
                checks.update(await self._checks())
        except Exception as error:  # noqa: BLE001  a check that raises is a check that fails
            _log.debug("readiness check failed", error=repr(error))
            checks["answered"] = False
        well = all(checks.values())
        metrics.ready.set(well)
        body = msgspec.json.encode({"status": "ok" if well else "unavailable", "checks": checks})
        return Answer(200 if well else UNAVAILABLE, JSON, body)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            self._lag_s = max(0.0, loop.time() - due)
            metrics.loop_lag_seconds.set(self._lag_s)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer, and the connection is closed."""
        self._open += 1
        try:
            if self._open <= CONNECTIONS_MAX:
                async with asyncio.timeout(REQUEST_S):
                    writer.write(await self._response(reader))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open -= 1
            writer.close()

    async def _response(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        match head.split(b"\r\n", 1)[0].decode("latin-1").split(" "):
            case [("GET" | "HEAD") as method, target, _]:
                found = await self.answer(target.partition("?")[0])
                answer = found or Answer(404, JSON, b'{"status":"not found"}')
                return _http(answer, with_body=method == "GET")
            case [_, _, _]:
                return _http(Answer(405, JSON, b'{"status":"method not allowed"}'))
            case _:
                return _http(Answer(400, JSON, b'{"status":"bad request"}'))


def _http(answer: Answer, *, with_body: bool = True) -> bytes:
    said = STATUSES.get(answer.status, "Service Unavailable")
    head = (
        f"HTTP/1.1 {answer.status} {said}\r\nContent-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\nCache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (answer.body if with_body else b"")
