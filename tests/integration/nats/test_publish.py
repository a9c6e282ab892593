"""Publishing to a real server, one that also stops and comes back."""

import asyncio

import pytest
from nats.aio.client import Client

from penstock.dev.nats_server import NatsServer
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.publish import (
    IN_FLIGHT_MAX,
    Publisher,
    PublishError,
    PublishRefused,
    PublishTimeout,
    Unavailable,
    WrongSequence,
)
from penstock.infra.nats.streams import DECISION_MAX_BYTES, EVENTS
from tests.integration.nats.waiting import until_it_works

HISTORY = "penstock.evt.acme.run.r-1"


async def test_sequences_follow_the_order_of_publishing(publisher: Publisher) -> None:
    futures = [publisher.publish(f"penstock.evt.acme.run.r-{n}", b"x") for n in range(500)]
    assert await asyncio.gather(*futures) == list(range(1, 501))
    assert publisher.pending == 0


async def test_more_than_fits_in_flight_waits_and_keeps_its_order(publisher: Publisher) -> None:
    count = IN_FLIGHT_MAX + 500
    futures = [publisher.publish(f"penstock.evt.acme.run.r-{n}", b"x") for n in range(count)]
    assert publisher.pending == count
    assert await asyncio.gather(*futures) == list(range(1, count + 1))


async def test_more_than_the_connection_buffers_waits_too(publisher: Publisher) -> None:
    body = b"x" * 500_000
    futures = [publisher.publish(f"penstock.evt.acme.run.r-{n}", body) for n in range(20)]
    assert await asyncio.gather(*futures) == list(range(1, 21))


async def test_an_expectation_holds_on_its_own_subject_only(publisher: Publisher) -> None:
    first = await publisher.publish(HISTORY, b"1", expected=0)
    await publisher.publish(f"{HISTORY}-other", b"x", expected=0)
    assert await publisher.publish(HISTORY, b"2", expected=first, headers={"A": "b"}) > first
    with pytest.raises(WrongSequence):
        await publisher.publish(HISTORY, b"3", expected=first)


async def test_headers_travel(publisher: Publisher, direct: Direct) -> None:
    seq = await publisher.publish(HISTORY, b"1", headers={"traceparent": "00-abc"}, expected=0)
    stored = await direct.by_seq(EVENTS, seq)
    assert stored is not None
    assert stored.headers["traceparent"] == "00-abc"


async def test_a_subject_without_a_stream_is_unavailable(publisher: Publisher) -> None:
    with pytest.raises(Unavailable):
        await publisher.publish("penstock.nowhere", b"x")


async def test_what_is_too_large_is_refused(publisher: Publisher) -> None:
    for size in (DECISION_MAX_BYTES + 1, 2 * 1024 * 1024):
        with pytest.raises(PublishRefused):
            await publisher.publish(HISTORY, b"x" * size)


async def test_a_server_that_is_gone_leaves_nobody_waiting(
    publisher: Publisher, nats_server: NatsServer
) -> None:
    nats_server.kill()
    futures = [publisher.publish(HISTORY, b"x", expected=0) for _ in range(3)]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert all(isinstance(result, PublishTimeout | Unavailable) for result in results)
    assert publisher.pending == 0


async def test_a_publisher_goes_on_after_a_restart(
    publisher: Publisher, direct: Direct, nats_server: NatsServer
) -> None:
    await publisher.publish(HISTORY, b"before")
    nats_server.kill()
    nats_server.start()

    async def publish() -> int:
        return await publisher.publish(HISTORY, b"after")

    await until_it_works(publish, unless=PublishError)
    bodies = [each.body for each in await direct.read_subject(EVENTS, HISTORY)]
    assert bodies[0] == b"before"
    assert bodies[-1] == b"after"


async def test_acknowledged_is_kept_whatever_happens_to_the_server(
    publisher: Publisher, direct: Direct, nats_server: NatsServer
) -> None:
    acknowledged: list[str] = []

    async def write(writer: int) -> None:
        for number in range(150):
            name = f"penstock.evt.acme.run.{writer}-{number}"
            try:
                await publisher.publish(name, b"x", expected=0)
            except PublishError:
                continue
            acknowledged.append(name)

    async def restart() -> None:
        for _ in range(2):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(nats_server.kill)
            await asyncio.to_thread(nats_server.start)

    await asyncio.gather(*(write(n) for n in range(8)), restart())
    kept: set[str] = set()
    seq = 1
    while page := await direct.read_from(EVENTS, seq):
        kept.update(each.subject for each in page)
        seq = page[-1].seq + 1
    assert acknowledged
    assert set(acknowledged) <= kept


async def test_a_stopped_publisher_has_failed_or_sent_everything(nc: Client) -> None:
    publisher = Publisher(nc, timeout_s=1.0)
    await publisher.start()
    futures = [publisher.publish(f"penstock.evt.acme.run.s-{n}", b"x") for n in range(6000)]
    await publisher.stop()
    assert all(future.done() for future in futures)
    assert publisher.pending == 0
    await asyncio.gather(*futures, return_exceptions=True)


async def test_a_publish_of_nats_py_only_appends_to_its_buffer(
    nc: Client, nats_server: NatsServer
) -> None:
    """What Publisher builds on: below BUFFER_MAX_BYTES its coroutine runs through at once."""
    for _ in range(2):
        sending = nc.publish("penstock.nowhere", b"x" * 1000, headers={"A": "b"})
        with pytest.raises(StopIteration):
            sending.send(None)
        nats_server.kill()
