"""Following a history: whole, in order, once, whatever is missed on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import nats
import psycopg
import pytest
from nats.aio.client import Client

from penstock.api.histories import Histories, RunKey
from penstock.api.tails import Told
from penstock.dev.nats_server import NatsServer
from penstock.infra.nats import subjects
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.publish import Publisher
from penstock.infra.postgres.engine import Engine


@pytest.fixture(scope="module")
async def own_nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    """A server whose logs no projector reads: what these tests write there is no decision."""
    server = NatsServer(tmp_path_factory.mktemp("histories-nats"))
    server.start()
    await bootstrap(server.url)
    yield server
    server.stop()


@pytest.fixture
async def nc(own_nats: NatsServer) -> AsyncIterator[Client]:
    connection = await nats.connect(own_nats.url)
    yield connection
    await connection.close()


@pytest.fixture
async def publisher(nc: Client) -> AsyncIterator[Publisher]:
    made = Publisher(nc)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def histories(nc: Client, api_urls: dict[str, str]) -> AsyncIterator[Histories]:
    direct, engine = Direct(nc), Engine(api_urls["penstock_api"])
    await direct.start()
    await engine.open()
    yield Histories(nc, direct, engine, tail_max=3)
    await engine.close()
    await direct.stop()


def new_run(*, age: timedelta = timedelta()) -> RunKey:
    return RunKey(str(uuid4()), str(uuid4()), datetime.now(UTC) - age)


async def tell(publisher: Publisher, run: RunKey, *numbers: int) -> list[int]:
    """Put decisions, numbered in their bodies, into the run's history; their sequences."""
    subject = subjects.run_events(run.tenant_id, run.run_id)
    return [await publisher.publish(subject, b"%d" % number) for number in numbers]


async def heard(histories: Histories, run: RunKey, count: int, *, after: int = 0) -> list[int]:
    """The numbers of the first decisions that are told."""
    found: list[int] = []
    async with asyncio.timeout(15), aclosing(histories.follow(run, after)) as history:
        async for told in history:
            if told is not None:
                found.append(int(told.body))
            if len(found) == count:
                break
    return found


async def test_what_is_stored_is_told_and_then_what_comes(
    histories: Histories, publisher: Publisher
) -> None:
    run = new_run()
    seqs = await tell(publisher, run, 1, 2)
    following = asyncio.create_task(heard(histories, run, 4))
    resumed = asyncio.create_task(heard(histories, run, 3, after=seqs[0]))
    await asyncio.sleep(0.2)
    await tell(publisher, run, 3, 4)
    assert await following == [1, 2, 3, 4]
    assert await resumed == [2, 3, 4]


async def test_a_slow_reader_misses_nothing(histories: Histories, publisher: Publisher) -> None:
    run = new_run()
    found: list[int] = []
    async with asyncio.timeout(15), aclosing(histories.follow(run, 0)) as history:
        reading = asyncio.ensure_future(anext(history))
        await asyncio.sleep(0.2)
        await tell(publisher, run, *range(20))
        told: Told | None = await reading
        await asyncio.sleep(0.2)
        while told is None or len(found) < 20:
            if told is not None:
                found.append(int(told.body))
            told = await anext(history) if len(found) < 20 else told
    assert found == list(range(20))


async def test_silence_is_told_too(histories: Histories) -> None:
    async with aclosing(histories.follow(new_run(), 0, idle_s=0.05)) as history:
        assert await anext(history) is None
        assert await anext(history) is None


async def test_a_closing_api_ends_the_tail(histories: Histories) -> None:
    async def all_of() -> list[Told | None]:
        return [told async for told in histories.follow(new_run(), 0)]

    reading = asyncio.create_task(all_of())
    await asyncio.sleep(0.2)
    histories.close()
    assert await asyncio.wait_for(reading, 5) == [None]


async def test_an_old_run_is_read_from_the_archive_and_on_from_the_log(
    histories: Histories, publisher: Publisher, api_urls: dict[str, str]
) -> None:
    run = new_run(age=timedelta(days=5))
    await tell(publisher, new_run(), 0)
    first, _ = await tell(publisher, run, 2, 3)
    with psycopg.connect(api_urls["penstock_projector"], autocommit=True) as connection:
        connection.execute("select penstock.add_archive_partition('standard', now()::date)")
        connection.execute(
            "insert into penstock.event_archive values (%s, 'events', 1, 'run', %s, now(), 1, "
            "%s, '', '', '', '', 'standard')",
            (run.tenant_id, run.run_id, b"1"),
        )
    assert await heard(histories, run, 3) == [1, 2, 3]
    assert await heard(histories, run, 1, after=first) == [3]


async def test_what_another_run_of_the_tenant_said_is_found_when_the_log_has_it_no_more(
    histories: Histories, api_urls: dict[str, str]
) -> None:
    run, gone = new_run(), 987_654_321
    with psycopg.connect(api_urls["penstock_projector"], autocommit=True) as connection:
        connection.execute("select penstock.add_archive_partition('standard', now()::date)")
        connection.execute(
            "insert into penstock.event_archive values (%s, 'events', %s, 'run', %s, now(), 1, "
            "%s, '', '', '', '', 'standard')",
            (run.tenant_id, gone, run.run_id, b"said"),
        )
    assert await histories.decision(gone) is None
    assert await histories.decision_in(run.tenant_id, gone) == b"said"
    assert await histories.decision_in(new_run().tenant_id, gone) is None


async def test_the_log_knows_which_runs_there_are(
    histories: Histories, publisher: Publisher
) -> None:
    run = new_run()
    assert not await histories.exists(run.tenant_id, run.run_id)
    await tell(publisher, run, 1)
    assert await histories.exists(run.tenant_id, run.run_id)
    ends = await histories.ends()
    assert ends is not None
    assert ends["EVENTS"] > 0
