"""How far the read models are is heard from the projector of our own database, and no other."""

import asyncio

import msgspec
from httpx import AsyncClient

from penstock.infra.nats import subjects
from penstock.infra.postgres.schema import DATABASE
from tests.integration.api.houses import House

AHEAD = 10**9
LOOKS_MAX = 500


async def test_a_projector_of_another_database_is_not_believed(
    house: House, tenant: AsyncClient
) -> None:
    parts = house.api.parts
    position = {"X-Read-After": f"r{AHEAD}"}
    elsewhere = msgspec.json.encode({"database": "1/1", "events": AHEAD, "registry": AHEAD})
    await parts.nc.publish(subjects.CHECKPOINT, elsewhere)
    await parts.nc.flush()
    assert (await tenant.get("/api/workflows", headers=position)).status_code == 503
    made = await tenant.post("/api/workflows", json={"name": "seen"})
    assert (made.status_code, "x-log-position" in made.headers) == (201, True)


async def test_the_projector_of_our_own_is(house: House) -> None:
    parts = house.api.parts
    async with parts.engine.transaction() as session:
        own = await session.one(DATABASE)
    assert own is not None
    before = parts.checkpoint.passed("registry")
    events = parts.checkpoint.passed("events")
    for seq in (AHEAD, before):
        said = msgspec.json.encode({**own, "events": events, "registry": seq})
        await parts.nc.publish(subjects.CHECKPOINT, said)
        for _ in range(LOOKS_MAX):
            if parts.checkpoint.passed("registry") == seq:
                break
            await asyncio.sleep(0.01)
        assert parts.checkpoint.passed("registry") == seq
