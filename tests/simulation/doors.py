"""The doors of a process: what the code that ships uses to reach the broker and the database.

Each keeps the interface of what it stands for (`penstock.infra.nats.publish.Publisher` and so on)
and goes to the simulated broker instead, by way of everything that can happen in between.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from penstock.infra.blobs.port import BlobsUnavailable, name_of
from penstock.infra.keyring.data_keys import FIND as FIND_KEY
from penstock.infra.keyring.data_keys import FIND_FIRST
from penstock.infra.keyring.keks import Keks
from penstock.infra.keyring.sealing import DATA_KEY_BYTES
from penstock.infra.nats import subjects
from penstock.infra.nats.delivery import Delivery
from penstock.infra.nats.direct import ReadUnavailable, Recorded
from penstock.infra.nats.publish import PUBLISH_TIMEOUT_S, PublishError, PublishTimeout
from penstock.infra.nats.streams import EVENTS, LEASES
from penstock.infra.postgres.engine import DatabaseUnavailable
from penstock.scheduler.archive import BETWEEN, LAST
from penstock.scheduler.live_runs import LIVE_RUNS
from tests.simulation.broker import Broker, Message
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.simulation.world import World

STALE_S = 0.4
"""How far behind a replica can be; less than what is handed back waits before it comes again."""

KEKS = Keks(bytes(DATA_KEY_BYTES))
"""What wraps the data keys of every world."""

ONCE = ("penstock.evt.", "penstock.lease.")
"""Where a second copy would be refused, so that none is sent."""


class Connection:
    """A process's connection: what `nats.aio.client.Client` is to it."""

    is_closed = False

    def __init__(self, world: World, broker: Broker, network: Network, process: Process) -> None:
        self.world = world
        self.broker = broker
        self.network = network
        self.process = process

    def new_inbox(self) -> str:
        """A subject of its own."""
        return self.network.new_inbox()

    async def subscribe(self, subject: str, *, cb: Callable[[Any], Awaitable[None]]) -> Any:
        """Hear a subject."""
        return self.network.subscribe(self.process, subject, cb)

    async def publish(self, subject: str, body: bytes, reply: str = "") -> None:
        """Say something to whoever listens; nobody knows whether it is heard."""
        self.network.say(subject, body, reply)

    def jetstream(self) -> "Connection":
        """The same connection."""
        return self

    async def consumer_info(self, _stream: str, name: str) -> Any:
        """What a consumer has yet to deliver."""
        await passage(self.world)
        if self.broker.is_down:
            raise TimeoutError("no answer")
        consumer = self.broker.consumers.get(name)
        pending = [] if consumer is None else [n for n in consumer.waiting.values() if n == 0]
        return SimpleNamespace(num_pending=len(pending))


async def passage(world: World) -> None:
    """The way to somebody and back."""
    await asyncio.sleep(world.latency())


class Publisher:
    """Publishes, with acknowledgements that get lost."""

    def __init__(self, nc: Connection) -> None:
        self._nc = nc
        self._world = nc.world

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    def publish(
        self,
        subject: str,
        body: bytes,
        *,
        headers: dict[str, str] | None = None,
        expected: int | None = None,
    ) -> "asyncio.Future[int]":
        """The sequence that the message will have, or why it has none."""
        world, loop, process = self._world, self._world.loop, self._nc.process
        future: asyncio.Future[int] = loop.create_future()
        if not process.alive:
            return future
        if self._dies("before", subject):
            return future
        is_lease = subject.startswith("penstock.lease.")
        loop.after(PUBLISH_TIMEOUT_S, process, give_up, future)
        if not is_lease and world.chance(world.faults.lost):
            world.note("publish lost", subject)
            return future
        sent = (subject, body, headers, expected, process)
        loop.after(world.latency(), loop.nature, self._arrive, future, sent)
        if not subject.startswith(ONCE) and world.chance(world.faults.twice):
            world.note("published twice", subject)
            loop.after(world.latency(), loop.nature, self._arrive, None, sent)
        return future

    def _arrive(
        self,
        future: "asyncio.Future[int] | None",
        sent: tuple[str, bytes, dict[str, str] | None, int | None, Process],
    ) -> None:
        """At the broker."""
        world, process, subject = self._world, self._nc.process, sent[0]
        seq, error = 0, None
        try:
            seq = self._nc.broker.store(*sent)
        except PublishError as refused:
            error = refused
        if future is None or not process.alive:
            return
        if error is None and self._dies("after", subject):
            return
        if not subject.startswith("penstock.lease."):
            if world.chance(world.faults.lost_ack):
                world.note("publish unacknowledged", subject)
                return
            world.happened["publish acknowledged"] += 1
        world.loop.after(world.latency(), process, settle, future, seq, error)

    def _dies(self, when: str, subject: str) -> bool:
        """Whether the process dies at this very point."""
        if subject.startswith("penstock.lease.") or not self._world.chance(
            self._world.faults.crash
        ):
            return False
        self._world.kill(self._nc.process, f"{when} {subject.split('.', 2)[1]}")
        return True


def give_up(future: "asyncio.Future[int]") -> None:
    """No acknowledgement has come."""
    if not future.done():
        future.set_exception(PublishTimeout("no acknowledgement in time"))


def settle(future: "asyncio.Future[int]", seq: int, error: Exception | None) -> None:
    """The acknowledgement, or the refusal, has come."""
    if future.done():
        return
    if error is None:
        future.set_result(seq)
    else:
        future.set_exception(error)


class Direct:
    """Reads, possibly from a replica that is a moment behind."""

    def __init__(self, nc: Connection) -> None:
        self._nc = nc
        self._world = nc.world

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def read_subject(
        self, stream: str, subject: str, *, after: int = 0, batch: int = 0
    ) -> list[Recorded]:
        """All of a history after a sequence; of LEASES, the last of each."""
        broker = self._nc.broker
        since = await self._passed(stream)
        if stream == LEASES:
            return [recorded(message) for message in broker.leases.values()]
        history = broker.histories.get(subject, ())
        return [recorded(m) for m in history if m.seq > after and m.at <= since]

    async def read_from(self, stream: str, seq: int, *, batch: int = 0) -> list[Recorded]:
        """All of the log from a sequence on."""
        since = await self._passed(stream)
        assert stream == EVENTS
        page = self._nc.broker.events[seq - 1 : seq - 1 + batch if batch else None]
        return [recorded(m) for m in page if m.at <= since]

    async def last(self, stream: str, subject: str) -> Recorded | None:
        """The last message of a history, or of the log."""
        if subject == subjects.ANY_EVENTS:
            page = await self.read_from(stream, max(1, len(self._nc.broker.events)))
        else:
            page = await self.read_subject(stream, subject)
        return page[-1] if page else None

    async def by_seq(self, stream: str, seq: int) -> Recorded | None:
        """One message of the log."""
        page = await self.read_from(stream, seq, batch=1)
        return page[0] if page else None

    async def read_since(self, stream: str, moment: datetime, *, batch: int = 0) -> list[Recorded]:
        """The log from a moment on; nothing ever leaves it in a life as short as this."""
        return await self.read_from(stream, 1, batch=batch)

    async def _passed(self, stream: str) -> float:
        """After the way there: from which moment the replica that answers is."""
        world = self._world
        await passage(world)
        if self._nc.broker.is_down:
            raise ReadUnavailable("no answer")
        now = world.loop.now
        if stream == LEASES:
            return now
        world.note("read", stream)
        if world.chance(world.faults.stale):
            world.note("stale read", stream)
            return now - STALE_S * world.random.random()
        return now


def recorded(message: Message) -> Recorded:
    """As direct get tells it; all of it is in one page."""
    return Recorded(message.seq, message.subject, message.body, {"Nats-Num-Pending": "0"})


class Pull:
    """Pulls from a durable consumer; deliveries overtake each other."""

    def __init__(
        self,
        nc: Connection,
        stream: str,
        consumer: str,
        on_message: Callable[[Delivery], Awaitable[None] | None],
        *,
        batch: int = 0,
        max_outstanding: int = 1024,
    ) -> None:
        self._nc = nc
        self._world = nc.world
        self._on_message = on_message
        self._max = max_outstanding
        self._consumer = nc.broker.consumer(stream, consumer)
        self._open: set[tuple[int, int]] = set()
        self._paused = True
        self.missing = False

    async def start(self) -> None:
        """Take messages from now on."""
        self._paused = False
        self._consumer.takers.append(self)
        self._nc.broker.hand_out(self._consumer)

    def pause(self) -> None:
        """Take no more."""
        self._paused = True

    def resume(self) -> None:
        """Take more."""
        self._paused = False
        self._nc.broker.hand_out(self._consumer)

    async def stop(self) -> None:
        """Take no more; what is on its way still comes."""
        self._paused = True
        if self in self._consumer.takers:
            self._consumer.takers.remove(self)

    def has_room(self) -> bool:
        """See Taker."""
        return not self._paused and self._nc.process.alive and len(self._open) < self._max

    def deliver(self, consumer: str, message: Message, delivered: int) -> None:
        """See Taker."""
        self._open.add((message.seq, delivered))
        delivery = Delivery(
            message.subject,
            message.body,
            message.headers,
            "",
            consumer,
            message.seq,
            0,
            delivered,
            0,
            self._answer,
        )
        loop = self._world.loop
        loop.after(self._world.latency(), self._nc.process, self._arrive, delivery)

    def _arrive(self, delivery: Delivery) -> None:
        self._world.note(
            "delivered", delivery.consumer, delivery.stream_seq, delivery.num_delivered
        )
        handled = self._on_message(delivery)
        if handled is not None:
            self._world.loop.create_task(handled)  # type: ignore[arg-type]

    def _answer(self, delivery: Delivery, body: bytes, settles: bool) -> None:
        world, process = self._world, self._nc.process
        if not process.alive:
            return
        if settles:
            self._open.discard((delivery.stream_seq, delivery.num_delivered))
            if not self._paused:
                self._nc.broker.hand_out(self._consumer)
        if world.chance(world.faults.lost_answer):
            world.note("answer lost", delivery.consumer, delivery.stream_seq)
            return
        if body == b"+ACK" and world.chance(world.faults.crash):
            world.kill(process, "before ack")
            return
        nature, answered = world.loop.nature, self._nc.broker.answered
        world.loop.after(world.latency(), nature, answered, delivery, body, process)


class Blobs:
    """The object store: what is in it stays, but now and then it does not answer."""

    def __init__(self, nc: Connection) -> None:
        self._nc = nc

    async def get(self, name: str) -> bytes:
        """What the object holds."""
        await self._passage(name)
        return self._nc.network.blobs[name]

    async def put(self, data: bytes, *, tenant: str, run_id: str | None = None) -> str:
        """The name of an object that holds `data`."""
        name = name_of(data, tenant=tenant, run_id=run_id)
        await self._passage(name)
        self._nc.network.blobs[name] = data
        return name

    async def _passage(self, name: str) -> None:
        world = self._nc.world
        await passage(world)
        if self._nc.broker.is_down or world.chance(world.faults.no_blob):
            world.note("blob unavailable", name)
            raise BlobsUnavailable("no answer")


def key_of(tenant: str) -> Mapping[str, Any]:
    """A tenant's data key, wrapped; the same in every world."""
    key_id = UUID(int=UUID(tenant).int ^ 1)
    wrapped = KEKS.wrap(tenant, key_id, bytes(DATA_KEY_BYTES))
    now = datetime.now(UTC)
    return {"id": key_id, "kek_id": KEKS.newest, "wrapped": wrapped, "created_at": now}


class Engine:
    """The database of the read models, as far as schedulers ask it."""

    def __init__(self, network: Network, broker: Broker) -> None:
        self._network = network
        self._broker = broker

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Engine"]:
        """One look at one moment."""
        world = self._network.world
        await passage(world)
        if world.chance(world.faults.no_database):
            world.note("database unavailable")
            raise DatabaseUnavailable
        yield self

    async def one(
        self, query: str, parameters: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """The checkpoint, or a tenant's data key."""
        if query in {FIND_KEY, FIND_FIRST}:
            assert parameters is not None
            return key_of(parameters["tenant"])
        return {"seq": self._network.tables.checkpoint}

    async def all(self, query: str, parameters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The live runs of a partition, or what the archive has of a history."""
        if query == LIVE_RUNS:
            live = self._network.tables.live_runs(parameters["partition"])
            return [{"tenant_id": tenant, "id": run_id} for tenant, run_id in live]
        assert query in {LAST, BETWEEN}
        asked = dict(parameters)
        subject = subjects.events(asked["tenant"], asked["kind"], asked["id"])
        first, end = asked.get("after", 0), asked.get("before", sys.maxsize)
        archived = self._network.tables.checkpoint
        found: list[Mapping[str, Any]] = [
            {"seq": m.seq, "body": m.body}
            for m in self._broker.histories.get(subject, ())
            if m.seq <= archived and first < m.seq < end
        ]
        return found[-1:] if query == LAST else found
