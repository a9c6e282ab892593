"""Reading without a consumer."""

import pytest

from penstock.infra.nats.direct import Direct, ReadUnavailable
from penstock.infra.nats.publish import Publisher
from penstock.infra.nats.streams import EVENTS, LEASES

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
