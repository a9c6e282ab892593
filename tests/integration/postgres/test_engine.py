"""The pool mends itself, and says so when it cannot."""

import asyncio

import pytest
from sqlalchemy import select

from penstock.dev.postgres import Postgres
from penstock.infra.postgres.engine import DatabaseUnavailable, Engine
from penstock.infra.postgres.schema import is_migrated
from penstock.infra.postgres.tables import checkpoints


@pytest.fixture
def url(role_urls: dict[str, str]) -> str:
    return role_urls["penstock_api"]


async def test_json_comes_as_its_bytes_and_a_moment_in_utc(url: str) -> None:
    engine = Engine(url)
    await engine.open()
    async with engine.transaction() as session:
        row = await session.one("select '{\"a\":  1.0}'::json as j, now() as at")
    await engine.close()
    assert row is not None
    assert row["j"] == b'{"a":  1.0}'
    assert row["at"].utcoffset().total_seconds() == 0


async def test_statements_of_sqlalchemy_are_taken_with_their_parameters(url: str) -> None:
    engine = Engine(url)
    await engine.open()
    async with engine.transaction() as session:
        chosen = select(checkpoints.c.log).where(checkpoints.c.log.in_(["events", "nothing"]))
        assert await session.all(chosen) == [{"log": "events"}]
    await engine.close()


async def test_a_body_that_raises_leaves_nothing(role_urls: dict[str, str]) -> None:
    engine = Engine(role_urls["penstock_projector"])
    await engine.open()
    with pytest.raises(ZeroDivisionError):
        await touch_and_raise(engine)
    async with engine.transaction() as session:
        touched = "select count(*) as n from penstock.checkpoints where updated_at = 'epoch'"
        assert await session.one(touched) == {"n": 0}
    await engine.close()


async def touch_and_raise(engine: Engine) -> None:
    async with engine.transaction() as session:
        await session.run("update penstock.checkpoints set updated_at = 'epoch'")
        raise ZeroDivisionError


async def test_readiness_tells_a_migrated_database_from_an_empty_and_an_absent_one(
    url: str, private_postgres: Postgres
) -> None:
    for at, expected in ((url, True), (private_postgres.superuser_url(), False)):
        engine = Engine(at)
        await engine.open()
        assert await is_migrated(engine) is expected
        await engine.close()
    engine = Engine(private_postgres.superuser_url())
    private_postgres.stop()
    await engine.open()
    assert not await is_migrated(engine)
    assert not await engine.is_reachable()
    await engine.close()


async def test_a_server_that_was_killed_costs_its_own_moment_only(
    private_postgres: Postgres,
) -> None:
    engine = Engine(private_postgres.superuser_url(), connections_max=4)
    await engine.open()
    await asyncio.gather(*(engine.is_reachable() for _ in range(4)))
    private_postgres.kill()
    with pytest.raises(DatabaseUnavailable):
        async with engine.transaction():
            pass
    private_postgres.start()
    for _ in range(20):
        if await engine.is_reachable():
            break
    assert all(await asyncio.gather(*(engine.is_reachable() for _ in range(4))))
    await engine.close()


async def test_a_server_that_restarts_between_two_requests_is_not_noticed(
    private_postgres: Postgres,
) -> None:
    engine = Engine(private_postgres.superuser_url(), connections_max=2)
    await engine.open()
    assert await engine.is_reachable()
    private_postgres.kill()
    private_postgres.start()
    async with engine.transaction() as session:
        assert await session.one("select 1 as one") == {"one": 1}
    await engine.close()
