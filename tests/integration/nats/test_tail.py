"""Reading a log from a number on, across restarts of the server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from penstock.dev.nats_server import NatsServer
from penstock.infra.nats import requests
from penstock.infra.nats.delivery import Delivery
from penstock.infra.nats.publish import Publisher, PublishError
from penstock.infra.nats.streams import EVENTS
from penstock.infra.nats.tail import Gap, Tail
from tests.integration.nats.waiting import until, until_it_works


class Seen:
    """The numbers and subjects that came."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.subjects: list[str] = []

    def __call__(self, delivery: Delivery) -> None:
        self.seqs.append(delivery.stream_seq)
        self.subjects.append(delivery.subject)


@asynccontextmanager
async def tailing(
    nc: Client, seen: Seen, start_seq: int = 1, subjects: Sequence[str] = ()
) -> AsyncIterator[Tail]:
    tail = Tail(nc, EVENTS, subjects, start_seq, seen, batch=50)
    await tail.start()
    yield tail
    await tail.stop()


async def publish(publisher: Publisher, tenant: str, count: int) -> None:
    subject = f"penstock.evt.{tenant}.run.r"
    await asyncio.gather(*(publisher.publish(f"{subject}-{n}", b"x") for n in range(count)))


async def test_everything_comes_once_and_in_order(nc: Client, publisher: Publisher) -> None:
    seen = Seen()
    await publish(publisher, "acme", 300)
    async with tailing(nc, seen) as tail:
        await publish(publisher, "acme", 300)
        await until(lambda: len(seen.seqs) >= 600)
        assert tail.next_seq == 601
    assert seen.seqs == list(range(1, 601))


async def test_messages_of_many_megabytes_come_too(nc: Client, publisher: Publisher) -> None:
    seen = Seen()
    for number in range(40):
        await publisher.publish(f"penstock.evt.acme.run.r-{number}", b"x" * 700_000)
    async with tailing(nc, seen):
        await until(lambda: len(seen.seqs) == 40)
    assert seen.seqs == list(range(1, 41))


async def test_a_tail_begins_where_it_is_told(nc: Client, publisher: Publisher) -> None:
    seen = Seen()
    await publish(publisher, "acme", 10)
    async with tailing(nc, seen, 8):
        await until(lambda: len(seen.seqs) == 3)
    assert seen.seqs == [8, 9, 10]


async def test_a_tail_may_begin_at_the_end(nc: Client, publisher: Publisher) -> None:
    seen = Seen()
    await publish(publisher, "acme", 3)
    async with tailing(nc, seen, 4):
        await publish(publisher, "acme", 1)
        await until(lambda: seen.seqs == [4])


async def test_a_tail_of_some_subjects_sees_only_those(nc: Client, publisher: Publisher) -> None:
    seen = Seen()
    async with tailing(nc, seen, subjects=["penstock.evt.a.>", "penstock.evt.b.>"]):
        for tenant in ("a", "c", "b", "c", "a"):
            await publish(publisher, tenant, 1)
        await until(lambda: len(seen.seqs) == 3)
    assert seen.seqs == [1, 3, 5]


async def test_a_killed_server_costs_no_message(
    nc: Client, publisher: Publisher, nats_server: NatsServer
) -> None:
    seen = Seen()
    async with tailing(nc, seen):
        await publish(publisher, "acme", 100)
        for round_ in range(2):
            await asyncio.to_thread(nats_server.kill)
            await asyncio.to_thread(nats_server.start)

            async def write(name: str = f"again-{round_}") -> None:
                await publish(publisher, name, 10)

            await until_it_works(write, unless=PublishError)
        last = (await nc.jetstream().stream_info(EVENTS)).state.last_seq
        await until(lambda: len(seen.seqs) >= last)
    assert seen.seqs == list(range(1, last + 1))


async def test_a_lost_consumer_is_replaced(nc: Client, publisher: Publisher) -> None:
    seen = Seen()
    async with tailing(nc, seen):
        await publish(publisher, "acme", 5)
        await until(lambda: len(seen.seqs) == 5)
        (consumer,) = await nc.jetstream().consumers_info(EVENTS)
        await nc.jetstream().delete_consumer(EVENTS, consumer.name)
        await publish(publisher, "acme", 5)
        await until(lambda: len(seen.seqs) == 10)
    assert seen.seqs == list(range(1, 11))


async def test_a_stopped_tail_leaves_no_consumer(nc: Client) -> None:
    async with tailing(nc, Seen()) as tail:
        pass
    await tail.wait()
    assert await nc.jetstream().consumers_info(EVENTS) == []


async def test_a_log_that_went_back_is_a_gap(nc: Client, publisher: Publisher) -> None:
    await publish(publisher, "acme", 3)
    with pytest.raises(Gap) as gap:
        await Tail(nc, EVENTS, (), 9, Seen()).start()
    assert (gap.value.wanted, gap.value.first, gap.value.last) == (9, 1, 3)


async def test_a_log_whose_beginning_is_gone_is_a_gap(nc: Client, publisher: Publisher) -> None:
    js = nc.jetstream()
    await js.delete_stream(EVENTS)
    await js.add_stream(StreamConfig(name=EVENTS, subjects=["penstock.evt.>"], max_msgs=2))
    await publish(publisher, "acme", 5)
    with pytest.raises(Gap) as gap:
        await Tail(nc, EVENTS, (), 1, Seen()).start()
    assert gap.value.first == 4


async def test_a_hole_in_the_log_ends_the_tail(nc: Client, publisher: Publisher) -> None:
    js = nc.jetstream()
    await js.delete_stream(EVENTS)
    await js.add_stream(StreamConfig(name=EVENTS, subjects=["penstock.evt.>"]))
    await publish(publisher, "acme", 5)
    await js.delete_msg(EVENTS, 3)
    seen = Seen()
    async with tailing(nc, seen) as tail:
        with pytest.raises(Gap) as gap:
            await tail.wait()
    assert (gap.value.wanted, gap.value.first) == (3, 4)
    assert seen.seqs == [1, 2]


async def test_a_handler_that_waits_holds_the_rest_back(
    nc: Client, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its silence is its own, not the broker's: nothing is asked for a second time."""
    monkeypatch.setattr(requests, "SILENCE_MAX_S", 0.1)
    room = asyncio.Event()
    seen: list[int] = []

    async def on_message(delivery: Delivery) -> None:
        seen.append(delivery.stream_seq)
        await room.wait()

    await publish(publisher, "acme", 1000)
    tail = Tail(nc, EVENTS, (), 1, on_message, batch=50)
    await tail.start()
    await until(lambda: len(seen) == 1)
    await asyncio.sleep(5 * requests.TICK_S)
    (consumer,) = await nc.jetstream().consumers_info(EVENTS)
    assert (consumer.num_pending or 0) >= 900
    room.set()
    await until(lambda: len(seen) == 1000)
    assert seen == list(range(1, 1001))
    await tail.stop()


async def test_a_handler_that_waits_does_not_hold_up_a_stop(
    nc: Client, publisher: Publisher
) -> None:
    waiting = asyncio.Event()

    async def on_message(_delivery: Delivery) -> None:
        waiting.set()
        await asyncio.Event().wait()

    await publish(publisher, "acme", 3)
    tail = Tail(nc, EVENTS, (), 1, on_message)
    await tail.start()
    await waiting.wait()
    await tail.stop()
    assert tail.next_seq == 2


async def test_a_handler_that_fails_ends_the_tail(nc: Client, publisher: Publisher) -> None:
    async def on_message(_delivery: Delivery) -> None:
        raise RuntimeError("a bug of ours")

    await publish(publisher, "acme", 3)
    tail = Tail(nc, EVENTS, (), 1, on_message)
    await tail.start()
    with pytest.raises(RuntimeError):
        await tail.wait()
    assert tail.next_seq == 2
    await tail.stop()
