"""W6: how many runs a second the API accepts, what one costs it, and what it does beside W1.

The requests are written and read on plain connections: a client library costs more than the API.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import nats

from penstock.dev.stack import Stack
from penstock.infra.nats.publish import Publisher
from tests.benchmarks.drawings import chain
from tests.benchmarks.load import INPUT, Commands, Ends, Through, WrongResult, windowed
from tests.benchmarks.measure import cpu_by_process, percentile

FRONT = "W6"
API = "api-0"
CONNECTIONS = 64
WARM_UP = 500
REQUESTS = 5_000
"""Sent as fast as they are answered, over all connections."""
BESIDE_PER_S = 200
BESIDE_S = 10.0
"""Sent at that pace whatever the answers do, while W1 runs; as many as that go unanswered."""
BUSY_RUNS = 4_500
"""Of W1 beside it: more than end within `BESIDE_S`."""
BUSY_WINDOW = 200
HOUR_MS = 3_600_000
RUNS_A_DAY = 10_000_000
ACCEPTED = 202
READ_MAX_BYTES = 64 * 1024

WAITS_AN_HOUR = {
    "name": "one-hour",
    "nodes": [{"id": "wait", "type": "delay", "config": {"durationMs": HOUR_MS}}],
}


class Line:
    """One connection that is kept, with one request under way at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, url: str) -> "Line":
        """A connection to the API at `url`."""
        at = urlsplit(url)
        return cls(*await asyncio.open_connection(at.hostname, at.port, limit=READ_MAX_BYTES))

    async def ask(self, request: bytes) -> int:
        """The status that a request is answered with, once the whole answer is there."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        await self._reader.readexactly(length_of(head))
        return int(head[9:12])

    def close(self) -> None:
        """Close it."""
        self._writer.close()


def length_of(head: bytes) -> int:
    """Bytes of the body that a head announces."""
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


class Front:
    """The measurement, on a stack that is up."""

    def __init__(self, stack: Stack, request: bytes, lines: list[Line]) -> None:
        self._stack = stack
        self._request = request
        self._lines = lines

    async def alone(self) -> dict[str, float]:
        """Requests one after the other on every connection, and nothing else to do."""
        await self._closed(WARM_UP)
        cpu, begun = self._cpu(), time.perf_counter()
        took = await self._closed(REQUESTS)
        wall_s = time.perf_counter() - begun
        spent = {name: at - cpu[name] for name, at in self._cpu().items()}
        return {
            "requests_per_s": round(len(took) / wall_s, 1),
            "api_cpu_ms": round(spent[API] / len(took) * 1000, 3),
            "stack_cpu_ms": round(sum(spent.values()) / len(took) * 1000, 3),
            "p50_ms": round(percentile(took, 0.5), 2),
            "p99_ms": round(percentile(took, 0.99), 2),
        }

    async def beside(self, busy: Callable[[], Awaitable[float]]) -> dict[str, float]:
        """Requests at a fixed pace while `busy`, which answers its steps a second, goes on.

        How long one took counts from when it was due, so that a late one makes the next ones late.
        """
        under_way = asyncio.ensure_future(busy())
        free: asyncio.Queue[Line] = asyncio.Queue()
        for line in self._lines:
            free.put_nowait(line)
        begun, count = time.perf_counter(), int(BESIDE_PER_S * BESIDE_S)
        asked = [self._paced(free, begun + n / BESIDE_PER_S) for n in range(count)]
        took = await asyncio.gather(*asked)
        wall_s = time.perf_counter() - begun
        if under_way.done():
            raise WrongResult("W1 was over before the requests were")
        return {
            "beside_requests_per_s": round(count / wall_s, 1),
            "beside_p50_ms": round(percentile(took, 0.5), 2),
            "beside_p99_ms": round(percentile(took, 0.99), 2),
            "beside_steps_per_s": round(await under_way),
        }

    async def _closed(self, count: int) -> list[float]:
        left = iter(range(count))
        took: list[float] = []

        async def one_by_one(line: Line) -> None:
            took.extend([await self._asked(line, time.perf_counter()) for _ in left])

        await asyncio.gather(*(one_by_one(line) for line in self._lines))
        return took

    async def _paced(self, free: asyncio.Queue[Line], due: float) -> float:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        line = await free.get()
        try:
            return await self._asked(line, due)
        finally:
            free.put_nowait(line)

    async def _asked(self, line: Line, since: float) -> float:
        status = await line.ask(self._request)
        if status != ACCEPTED:
            raise WrongResult(f"execute was answered with {status}")
        return (time.perf_counter() - since) * 1000

    def _cpu(self) -> dict[str, float]:
        names = ("nats", "postgres", API, "scheduler-0", "executor-0", "projector-0")
        return cpu_by_process({name: self._stack.pid(name) for name in names})


async def front(stack: Stack) -> dict[str, float]:
    """The figures of W6."""
    tenant = await _tenant(stack)
    through = Through(stack.api_url, tenant["adminApiKey"])
    waits = await through.create(WAITS_AN_HOUR)
    busy_with = await through.create(chain(10))
    version = await through.version(busy_with["id"], busy_with["version"])
    await through.close()
    request = execute(stack.api_url, waits["id"], tenant["adminApiKey"])
    nc = await nats.connect(stack.nats_url)
    publisher, ends = Publisher(nc), Ends()
    await publisher.start()
    lines = [await Line.to(stack.api_url) for _ in range(CONNECTIONS)]
    started = {**busy_with, "contentHash": version["contentHash"]}
    commands = Commands(publisher, tenant["id"], started)

    async def busy() -> float:
        begun = time.perf_counter()
        await windowed(commands.start, ends, runs=BUSY_RUNS, window=BUSY_WINDOW)
        return BUSY_RUNS * 10 / (time.perf_counter() - begun)

    measured = Front(stack, request, lines)
    found = await measured.alone()
    await ends.listen(nc, tenant["id"])
    found |= await measured.beside(busy)
    for line in lines:
        line.close()
    await publisher.stop()
    await nc.close()
    return found


async def _tenant(stack: Stack) -> dict[str, Any]:
    """A tenant that may begin as many runs as this takes."""
    headers = {"Authorization": f"Bearer {stack.admin_key}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False) as admin:
        limits = {"maxExecutionsPerDay": RUNS_A_DAY}
        asked = {"name": "front", "config": {"limits": limits}}
        answered = await admin.post(f"{stack.api_url}/api/tenants", json=asked)
        answered.raise_for_status()
        made: dict[str, Any] = answered.json()
    return made


def execute(api_url: str, workflow_id: str, key: str) -> bytes:
    """The bytes of an execute."""
    body = json.dumps({"input": INPUT}).encode()
    head = (
        f"POST /api/workflows/{workflow_id}/execute HTTP/1.1\r\n"
        f"Host: {urlsplit(api_url).netloc}\r\n"
        f"Authorization: Bearer {key}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
