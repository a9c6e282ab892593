"""What the executor's tests stand on: a driver of its streams, and a small HTTP server."""

import asyncio
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace
from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock.domain.payload import NULL, UNSEALED, Payload, inline, of_value
from penstock.domain.run.commands import FailStep, Report, StartStep
from penstock.domain.workflow.model import from_wire
from penstock.executor.app import Executor, subscribers
from penstock.infra.broker import Broker
from penstock.infra.definitions import Definitions
from penstock.infra.keyring.choice import keks_of
from penstock.infra.keyring.data_keys import DataKeys
from penstock.infra.keyring.payloads import Seals
from penstock.infra.nats import subjects
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.postgres.engine import Engine
from penstock.infra.settings import ExecutorSettings
from penstock.messages.envelope import Reports, RunReport, Task, Work, encode

TENANT = "0190a000-0000-7000-8000-00000000acce"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
KEY_ENCRYPTION_KEY = urlsafe_b64encode(bytes(32)).decode()
SOON = 10.0
PAUSE = 0.01


class Bench:
    """Puts work on WORK, hears what comes on REPORTS, opened as the API would show it."""

    def __init__(self, nc: Client, url: str, database_url: str, **settings: Any) -> None:
        self.nc = nc
        self.js = nc.jetstream()
        self.blobs = JetStreamBlobs(nc)
        self.definitions = Definitions(self.blobs)
        values = {
            "instance": "executor-0",
            "egress_allow": ("127.0.0.1",),
            "database_url": database_url,
            "key_encryption_key": KEY_ENCRYPTION_KEY,
            **settings,
        }
        self.settings = ExecutorSettings(nats_url=url, **values)
        self._engine = Engine(database_url, connections_max=1)
        self.seals = Seals(DataKeys(self._engine, keks_of(self.settings)))
        self.broker = Broker(self.settings, "executor")
        self.heard: asyncio.Queue[RunReport] = asyncio.Queue()
        self.packs = 0
        self._executor: Executor | None = None
        self._listening: Any = None

    @property
    def executor(self) -> Executor:
        """The executor under test."""
        assert self._executor is not None
        return self._executor

    async def open(self) -> None:
        """Start the executor and listen to its reports."""
        await self.listen()
        self._executor = Executor(await self.broker.connect(), self.settings)
        self.broker.include_router(subscribers(self.executor))
        await self.broker.start()
        await self.executor.start()

    async def close(self) -> None:
        """Stop the executor."""
        await self.executor.stop()
        await self.broker.stop()
        await self.hush()

    async def listen(self) -> None:
        """Hear what is reported, whoever says it."""
        await self._engine.open()
        self._listening = await self.nc.subscribe("penstock.rep.>", cb=self._hear)

    async def hush(self) -> None:
        """Hear no more."""
        await self._listening.unsubscribe()
        await self._engine.close()

    async def _hear(self, msg: Msg) -> None:
        self.packs += 1
        for report in msgspec.json.decode(msg.data, type=Reports).reports:
            said = await self._opened(report.report)
            self.heard.put_nowait(replace(report, report=said))

    async def _opened(self, report: Report) -> Report:
        changes: dict[str, Any] = {}
        for member in ("output", "input", "items"):
            changes[member] = await self._open(getattr(report, member, None))
        if isinstance(report, FailStep):
            details = await self._open(report.error.details)
            message = await self.seals.texts.opened(TENANT, report.error.message)
            is_ours = report.error.code == "PAYLOAD_TOO_LARGE"
            assert is_ours or message != report.error.message, "it left as it was said"
            changes["error"] = replace(report.error, details=details, message=message)
        return replace(report, **{name: to for name, to in changes.items() if to is not None})

    async def _open(self, payload: Payload | None) -> Payload | None:
        """What is said inline; an object stays where it is."""
        if payload is None or not payload.inline:
            return payload
        assert payload.enc != UNSEALED or payload == NULL, "it left unsealed"
        return inline(bytes(await self.seals.text(TENANT, payload, bytes(payload.inline))))

    async def stored(self, payload: Payload | None) -> bytes:
        """What an object of the blob store says."""
        assert payload is not None
        assert payload.blob is not None
        data = await self.blobs.get(payload.blob)
        return bytes(await self.seals.text(TENANT, payload, data))

    async def define(
        self, *nodes: dict[str, Any], edges: list[dict[str, Any]] | None = None
    ) -> str:
        """Store a definition; its content hash."""
        definition = from_wire({"name": "test", "nodes": list(nodes), "edges": edges or []})
        return await self.definitions.put(TENANT, definition)

    async def send(self, *tasks: Task, tenant: str = TENANT) -> int:
        """Put one work message on the stream; its number there."""
        body = encode(Work(tenant=tenant, tasks=tasks))
        sent = await self.js.publish(subjects.work("shared", "default", tenant), body)
        return sent.seq

    async def next(self) -> RunReport:
        """The next report that was said."""
        return await asyncio.wait_for(self.heard.get(), SOON)

    async def word(self) -> Report:
        """The next report that settles an attempt; under load any may be mentioned before."""
        while isinstance(report := (await self.next()).report, StartStep):
            pass
        return report

    async def run(self, node: dict[str, Any], *, input: Any = None, **more: Any) -> Report:  # noqa: A002
        """Run one node that has no predecessors; what is reported about it."""
        definition = await self.define(node)
        await self.send(
            task(definition, node["id"], payloads={"run.input": of_value(input)}, **more)
        )
        return await self.word()

    async def left(self, stream: str = "WORK") -> int:
        """How many messages the stream holds."""
        return (await self.js.stream_info(stream)).state.messages

    async def until_left(self, number: int, stream: str = "WORK") -> None:
        """Returns once the stream holds so many messages, and the executor no attempt."""
        for _ in range(int(SOON / PAUSE)):
            if await self.left(stream) == number and not len(self.executor.holdings):
                return
            await asyncio.sleep(PAUSE)
        raise AssertionError(f"{stream} still holds {await self.left(stream)} messages")


async def until(holds: Callable[[], bool]) -> None:
    """Returns once `holds` does; fails when that takes too long."""
    for _ in range(int(SOON / PAUSE)):
        if holds():
            return
        await asyncio.sleep(PAUSE)
    raise AssertionError("it did not come about")


def task(
    definition: str,
    step: str,
    *,
    run: str = "r-1",
    attempt: int = 1,
    payloads: dict[str, Payload] | None = None,
    taken: tuple[str, ...] = (),
) -> Task:
    """A task as the scheduler makes it."""
    return Task(
        run_id=run,
        step_id=step,
        attempt=attempt,
        definition=definition,
        started_at=1_700_000_000_000,
        payloads=payloads or {},
        taken=taken,
        traceparent=TRACE,
    )


def value_of(payload: Payload | None) -> Any:
    """What an inline payload says."""
    assert payload is not None
    return msgspec.json.decode(payload.inline)


class Request(msgspec.Struct):
    """What the server was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Request], Awaitable[bytes]]


class Web:
    """A local HTTP server: one answer per path, each request remembered.

    hosts: the addresses that it was reached at, one for each connection.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: dict[str, Answer] = {}
        self.hosts: list[str] = []
        self._server: asyncio.Server | None = None
        self._others: list[asyncio.Server] = []
        self._clients: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.port = 0

    async def open(self, *, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._greet, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def also(self, host: str) -> None:
        """Listen at another address too, on the same port."""
        self._others.append(await asyncio.start_server(self._greet, host, self.port))

    async def close(self) -> None:
        """Listen no more."""
        assert self._server is not None
        for server in (self._server, *self._others):
            server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Where `path` is."""
        return f"http://{host}:{self.port}{path}"

    def answer(self, path: str, body: bytes = b"", *, status: int = 200, **headers: str) -> str:
        """Answer `path` like this; its URL."""

        async def make(request: Request) -> bytes:
            return response(status, body, headers)

        self.answers[path] = make
        return self.url(path)

    def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.hosts.append(writer.get_extra_info("sockname")[0])
        client = asyncio.create_task(self._serve(reader, writer))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                make = self.answers.get(request.path.partition("?")[0])
                writer.write(response(404, b"", {}) if make is None else await make(request))
                await writer.drain()
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (field := (await reader.readline()).decode().strip()) != "":
        name, _, value = field.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


def response(status: int, body: bytes, headers: dict[str, str]) -> bytes:
    """An answer's bytes; `content_type` becomes `Content-Type`."""
    fields = {"Content-Length": str(len(body))}
    fields |= {name.replace("_", "-").title(): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + body
