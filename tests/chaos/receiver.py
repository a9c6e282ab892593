"""The outside world: an HTTP server that remembers every call that steps made to it."""

import asyncio
import json
from collections import defaultdict

REQUEST_MAX_BYTES = 64 * 1024
FLAKY_CALLS = 1
"""How many calls of a step to `/flaky` fail before one succeeds."""


class Receiver:
    """Answers POST `/ok/<run>/<step>`, `/flaky/…` (fails at first) and `/slow/…` (takes a while).

    `/held/…` is answered once `let_go` is set, `/<status>/…` with that status. keys: by (run,
    step), every `Idempotency-Key` that came with a call. traces: the same for the trace id of its
    `traceparent`.
    """

    def __init__(self) -> None:
        self.keys: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.traces: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.let_go = asyncio.Event()
        self.url = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port of the loopback."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=REQUEST_MAX_BYTES
        )
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # an executor was killed in the middle of its call
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; False at the end of the connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        await reader.readexactly(int(headers.get("content-length", 0)))
        _, kind, run_id, step_id = first.split(" ")[1].split("/")
        status, body = await self._heard(kind, (run_id, step_id), headers)
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        return True

    async def _heard(
        self, kind: str, step: tuple[str, str], headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """Remember a call; the status and body to answer."""
        self.keys[step].append(headers.get("idempotency-key", ""))
        self.traces[step].add(headers.get("traceparent", "--").split("-")[1])
        if kind == "slow":
            await asyncio.sleep(0.5)
        if kind == "held":
            await self.let_go.wait()
        if kind.isdecimal():
            return int(kind), b'{"error": "as asked"}'
        if kind == "flaky" and len(self.keys[step]) <= FLAKY_CALLS:
            return 503, b'{"error": "not yet"}'
        return 200, json.dumps({"step": step[1]}).encode()
