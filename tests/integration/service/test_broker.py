"""The broker's guard against a client that stays away while the server answers."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from faststream.nats import JStream, NatsMessage, PullSub

from penstock.dev.nats_server import NatsServer
from penstock.domain.errors import Refused
from penstock.infra import broker as module
from penstock.infra.broker import Broker
from penstock.infra.settings import SharedSettings

GREETING = b'INFO {"server_name":"half","version":"2.15.1","max_payload":1048576}\r\n'


class Losses:
    """Why the broker would have ended the process."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def __call__(self, reason: str) -> None:
        self.reasons.append(reason)


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
async def broker(nats: NatsServer, losses: Losses) -> AsyncIterator[Broker]:
    nats.start()
    connected = Broker(SharedSettings(nats_url=nats.url), "test", on_lost=losses)
    await connected.start()
    yield connected
    await connected.stop()


async def test_a_server_that_greets_a_client_that_stays_away_is_a_loss(
    broker: Broker, nats: NatsServer, losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_S", 0.05)
    monkeypatch.setattr(module, "STUCK_S", 0.2)
    nats.kill()

    async def greet_and_leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        writer.close()

    async with await asyncio.start_server(greet_and_leave, "127.0.0.1", nats.port):
        async with asyncio.timeout(20):
            await broker.watch()
    assert losses.reasons == ["the server answers, but the client does not reconnect"]


async def test_a_server_that_is_away_is_no_loss(
    broker: Broker, nats: NatsServer, losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_S", 0.01)
    monkeypatch.setattr(module, "STUCK_S", 0.02)
    nats.kill()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await broker.watch()
    nats.start()
    async with asyncio.timeout(20):
        while not await broker.ping(1):
            pass
    assert losses.reasons == []


async def test_a_refused_message_of_a_stream_is_acknowledged_and_a_fault_is_not(
    nats: NatsServer,
) -> None:
    nats.start()
    broker = Broker(SharedSettings(nats_url=nats.url), "test")
    seen: list[bytes] = []

    @broker.subscriber(
        "things.>", stream=JStream("THINGS", declare=False), durable="tests", pull_sub=PullSub()
    )
    async def on_thing(message: NatsMessage) -> None:
        seen.append(bytes(message.body))
        if message.body == b"refuse":
            raise Refused
        raise RuntimeError("a fault of ours")

    jetstream = (await broker.connect()).jetstream()
    await jetstream.add_stream(name="THINGS", subjects=["things.>"])
    await broker.start()
    try:
        for body in (b"refuse", b"fail"):
            await jetstream.publish("things.one", body)
        async with asyncio.timeout(20):
            info = await jetstream.consumer_info("THINGS", "tests")
            while len(seen) < 2 or info.num_ack_pending != 1:
                info = await jetstream.consumer_info("THINGS", "tests")
        assert info.ack_floor is not None
        assert info.ack_floor.stream_seq == 1
    finally:
        await broker.stop()


async def test_leaving_is_no_loss(broker: Broker, losses: Losses) -> None:
    await broker.stop()
    assert losses.reasons == []
