"""Reading without a consumer."""

import time
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import pytest
from uuid_utils import uuid7

from penstock.infra.nats import subjects
from penstock.infra.nats.direct import Direct, ReadUnavailable
from penstock.infra.nats.publish import Publisher
from penstock.infra.nats.streams import EVENTS, LEASES
from penstock.scheduler.horizon import UNKNOWN, Horizon

HISTORY = "penstock.evt.acme.run.r-1"


async def test_the_last_message_of_a_subject(publisher: Publisher, direct: Direct) -> None:
    assert await direct.last(LEASES, "penstock.lease.1") is None
    await publisher.publish("penstock.lease.1", b"mine", expected=0)
    second = await publisher.publish("penstock.lease.1", b"still mine", headers={"A": "b"})
    last = await direct.last(LEASES, "penstock.lease.1")
    assert last is not None
    assert (last.seq, last.subject, last.body) == (second, "penstock.lease.1", b"still mine")
    assert last.headers["A"] == "b"


async def test_one_message_by_its_number(publisher: Publisher, direct: Direct) -> None:
    seq = await publisher.publish(HISTORY, b"x")
    found = await direct.by_seq(EVENTS, seq)
    assert found is not None
    assert found.body == b"x"
    assert await direct.by_seq(EVENTS, seq + 1) is None


async def test_pages_of_a_subject_and_of_the_whole_stream(
    publisher: Publisher, direct: Direct
) -> None:
    for number in range(5):
        await publisher.publish(HISTORY, b"%d" % number)
        await publisher.publish(f"{HISTORY}-other", b"x")
    page = await direct.read_subject(EVENTS, HISTORY, batch=2)
    assert [each.body for each in page] == [b"0", b"1"]
    page = await direct.read_subject(EVENTS, HISTORY, after=page[-1].seq, batch=10)
    assert [each.body for each in page] == [b"2", b"3", b"4"]
    assert [each.seq for each in await direct.read_from(EVENTS, 3, batch=4)] == [3, 4, 5, 6]
    assert await direct.read_from(EVENTS, 11) == []


async def test_a_page_ends_by_bytes_too(publisher: Publisher, direct: Direct) -> None:
    body = b"x" * 700_000
    for _ in range(15):
        await publisher.publish(HISTORY, body)
    page = await direct.read_from(EVENTS, 1)
    assert 0 < len(page) < 15
    rest = await direct.read_from(EVENTS, page[-1].seq + 1)
    assert len(page) + len(rest) == 15


async def test_a_stream_that_is_not_there_is_unavailable(direct: Direct) -> None:
    with pytest.raises(ReadUnavailable):
        await direct.read_from("NOWHERE", 1)


async def test_a_page_from_a_moment_on(publisher: Publisher, direct: Direct) -> None:
    assert await direct.read_since(EVENTS, datetime.now(UTC) - timedelta(hours=1)) == []
    for number in range(3):
        await publisher.publish(HISTORY, b"%d" % number)
    moments = [
        datetime.fromisoformat(each.headers["Nats-Time-Stamp"])
        for each in await direct.read_since(EVENTS, datetime.now(UTC) - timedelta(hours=1))
    ]
    page = await direct.read_since(EVENTS, moments[1], batch=1)
    assert [each.body for each in page] == [b"1"]
    assert await direct.read_since(EVENTS, datetime.now(UTC) + timedelta(hours=1)) == []


async def test_a_log_tells_how_far_back_it_reaches(publisher: Publisher, direct: Direct) -> None:
    old = subjects.run_events("acme", "0190aaaa-0000-7000-8000-000000000001")
    keyed = subjects.run_events("acme", str(uuid5(NAMESPACE_URL, "a key")))
    young = subjects.run_events("acme", str(uuid7()))

    async def seen(window_s: float, later_ms: int = 0) -> tuple[int, list[bool]]:
        horizon = Horizon(direct, lambda: time.time_ns() // 10**6 + later_ms, window_s=window_s)
        await horizon.start()
        await horizon.stop()
        return horizon.seq, [horizon.is_old(each) for each in (old, keyed, young)]

    assert await seen(3600) == (UNKNOWN, [True, True, False])
    first = await publisher.publish(HISTORY, b"x")
    assert await seen(3600) == (first, [False, False, False])
    assert await seen(3600, later_ms=4_000_000) == (first + 1, [True, True, True])
