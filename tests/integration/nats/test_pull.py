"""Continuous pull from a real server, one that also stops and comes back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client

from penstock.dev.nats_server import NatsServer
from penstock.infra.nats import requests, streams
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.nats.publish import Publisher, PublishError
from penstock.infra.nats.pull import Delivery, Pull
from tests.integration.nats.waiting import until, until_it_works

SUBJECT = "penstock.rep.shared.3"
CONSUMER = streams.scheduler_consumer(streams.REPORTS, 3)

Handler = Callable[[Delivery], Awaitable[None] | None]


@asynccontextmanager
async def pulling(
    nc: Client, handler: Handler, *, batch: int = 64, max_outstanding: int = 256
) -> AsyncIterator[Pull]:
    pull = Pull(
        nc, streams.REPORTS, CONSUMER, handler, batch=batch, max_outstanding=max_outstanding
    )
    await pull.start()
    yield pull
    await pull.stop()


class Seen:
    """What came, acknowledged at once."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, delivery: Delivery) -> None:
        self.bodies.append(delivery.data)
        delivery.ack()


async def publish(publisher: Publisher, *numbers: int) -> None:
    await asyncio.gather(*(publisher.publish(SUBJECT, b"%d" % number) for number in numbers))


async def acknowledgements_owed(nc: Client) -> tuple[int, int]:
    await nc.flush()
    info = await nc.jetstream().consumer_info(streams.REPORTS, CONSUMER)
    return info.num_pending or 0, info.num_ack_pending or 0


async def test_everything_comes_in_order_and_once(nc: Client, publisher: Publisher) -> None:
    seen = Seen()
    await publish(publisher, *range(1000))
    async with pulling(nc, seen):
        await publish(publisher, *range(1000, 2000))
        await until(lambda: len(seen.bodies) >= 2000)
    assert seen.bodies == [b"%d" % number for number in range(2000)]
    assert await acknowledgements_owed(nc) == (0, 0)


async def test_pulling_flows_without_its_ticker(
    nc: Client, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ticker is for what got lost; small batches must not wait for it."""
    monkeypatch.setattr(requests, "TICK_S", 3600.0)
    seen = Seen()
    async with pulling(nc, seen, batch=4, max_outstanding=4):
        await publish(publisher, *range(200))
        await until(lambda: len(seen.bodies) == 200)


async def test_no_more_comes_than_the_handler_settles(nc: Client, publisher: Publisher) -> None:
    held: list[Delivery] = []
    await publish(publisher, *range(100))
    async with pulling(nc, held.append, batch=8, max_outstanding=10) as pull:
        await until(lambda: len(held) == 10)
        _, owed = await acknowledgements_owed(nc)
        assert (owed, pull.outstanding) == (10, 10)
        for delivery in held[:4]:
            delivery.ack()
        await until(lambda: len(held) == 14)
        assert pull.outstanding == 10


async def test_a_paused_pull_asks_for_nothing(nc: Client, publisher: Publisher) -> None:
    seen = Seen()
    async with pulling(nc, seen, batch=4, max_outstanding=4) as pull:
        pull.pause()
        await publish(publisher, *range(50))
        assert len(seen.bodies) <= 4
        pull.resume()
        await until(lambda: len(seen.bodies) == 50)


async def test_what_is_handed_back_comes_again(nc: Client, publisher: Publisher) -> None:
    seen: list[tuple[bytes, int]] = []

    async def on_message(delivery: Delivery) -> None:
        seen.append((delivery.data, delivery.num_delivered))
        delivery.nack(0.01) if delivery.num_delivered == 1 else delivery.ack()

    await publish(publisher, 7)
    async with pulling(nc, on_message):
        await until(lambda: len(seen) == 2)
    assert seen == [(b"7", 1), (b"7", 2)]


async def test_what_is_terminated_does_not_come_again(nc: Client, publisher: Publisher) -> None:
    seen: list[bytes] = []

    async def on_message(delivery: Delivery) -> None:
        seen.append(delivery.data)
        delivery.term() if delivery.data == b"1" else delivery.ack()

    await publish(publisher, 1, 2)
    async with pulling(nc, on_message):
        await until(lambda: len(seen) == 2)
    assert await acknowledgements_owed(nc) == (0, 0)


async def test_a_handler_that_fails_loses_nothing(nc: Client, publisher: Publisher) -> None:
    seen: Counter[bytes] = Counter()

    async def on_message(delivery: Delivery) -> None:
        seen[delivery.data] += 1
        if seen[delivery.data] == 1:
            raise RuntimeError("a bug of ours")
        delivery.ack()

    await publish(publisher, *range(3))
    async with pulling(nc, on_message) as pull:
        await until(lambda: len(seen) == 3)
        assert pull.outstanding == 0
        await until(lambda: min(seen.values()) == 2)


async def test_a_pull_goes_on_after_a_killed_server(
    nc: Client, publisher: Publisher, nats_server: NatsServer
) -> None:
    seen = Seen()
    async with pulling(nc, seen):
        await publish(publisher, 1)
        await until(lambda: b"1" in seen.bodies)
        nats_server.kill()
        nats_server.start()

        async def again() -> None:
            await publish(publisher, 2)

        await until_it_works(again, unless=PublishError)
        await until(lambda: b"2" in seen.bodies)


async def test_a_pull_waits_for_a_consumer_that_is_gone(nc: Client, publisher: Publisher) -> None:
    seen = Seen()
    async with pulling(nc, seen) as pull:
        await nc.jetstream().delete_consumer(streams.REPORTS, CONSUMER)
        await until(lambda: pull.missing)
        await publish(publisher, 1)
        await bootstrap(nc)
        await until(lambda: seen.bodies == [b"1"])
        assert not pull.missing


async def test_a_pull_can_be_there_before_its_stream(nc: Client, publisher: Publisher) -> None:
    await nc.jetstream().delete_stream(streams.REPORTS)
    seen = Seen()
    async with pulling(nc, seen) as pull:
        await until(lambda: pull.missing)
        await bootstrap(nc)
        await publish(publisher, 1)
        await until(lambda: seen.bodies == [b"1"])


async def test_work_is_shared_between_pulls(nc: Client, publisher: Publisher) -> None:
    one, two = Seen(), Seen()
    async with pulling(nc, one, batch=4), pulling(nc, two, batch=4):
        await publish(publisher, *range(400))
        await until(lambda: len(one.bodies) + len(two.bodies) == 400)
    assert one.bodies
    assert two.bodies


async def test_a_stop_leaves_nothing_behind_in_the_connection(
    nc: Client, publisher: Publisher
) -> None:
    """Else it would be delivered a second time, as if its holder had died."""
    seen = Seen()
    await publish(publisher, *range(2000))
    async with pulling(nc, seen):
        await until(lambda: len(seen.bodies) > 10)
    pending, owed = await acknowledgements_owed(nc)
    assert owed == 0
    assert pending + len(seen.bodies) == 2000


async def test_after_stop_nothing_is_delivered(nc: Client, publisher: Publisher) -> None:
    seen = Seen()
    async with pulling(nc, seen):
        pass
    await publish(publisher, 1)
    await nc.flush()
    assert seen.bodies == []
    async with pulling(nc, seen):
        await until(lambda: seen.bodies == [b"1"])
