"""Rotation: every key is wrapped anew, in batches, while others seal and open."""

import asyncio
import pkgutil
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from penstock.infra.keyring import rotation
from penstock.infra.keyring.data_keys import DataKeys
from penstock.infra.keyring.keks import Keks, KekUnknown
from penstock.infra.keyring.rotation import rewrap, wraps
from penstock.infra.postgres.engine import Engine
from tests.conftest import SERVICE_ROLES, MakeDatabase, with_login

OLD, NEW = b"o" * 32, b"n" * 32
TENANTS = 25


@pytest.fixture(scope="module")
def urls(make_database: MakeDatabase, role_passwords: dict[str, str]) -> dict[str, str]:
    """A database of this module's own, by role: a rotation is about all keys of a database."""
    owner = make_database()
    migrate: Any = pkgutil.resolve_name("penstock.projector.migrate:migrate")
    migrate(owner, {role: role_passwords[role] for role in SERVICE_ROLES})
    api = with_login(owner, "penstock_api", role_passwords["penstock_api"])
    return {"penstock_owner": owner, "penstock_api": api}


@pytest.fixture
async def owner(urls: dict[str, str]) -> AsyncIterator[Engine]:
    """The engine of rotations; there are no keys yet."""
    engine = Engine(urls["penstock_owner"], connections_max=1)
    await engine.open()
    await cleared(engine)
    yield engine
    await engine.close()


@pytest.fixture
async def api(urls: dict[str, str]) -> AsyncIterator[Engine]:
    """The engine of who seals."""
    engine = Engine(urls["penstock_api"])
    await engine.open()
    yield engine
    await engine.close()


async def cleared(engine: Engine) -> None:
    async with engine.transaction() as session:
        await session.run("delete from vault.data_keys")


async def rewrapped(engine: Engine, keks: Keks) -> list[int]:
    return [done async for done in rewrap(engine, keks)]


async def test_a_rotation_under_load_fails_nobody_and_frees_of_the_old_key(
    owner: Engine, api: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH_MAX", 10)
    tenants = [str(uuid4()) for _ in range(TENANTS)]
    before = DataKeys(api, Keks(OLD))
    sealed = {each: (await before.sealer(each)).seal(b"word", about=b"") for each in tenants}
    ids = {each: (await before.sealer(each)).key_id for each in tenants}
    both = Keks(NEW, [OLD])
    rounds = 0
    done = asyncio.Event()

    async def use() -> None:
        nonlocal rounds
        while not done.is_set() or rounds < 3:
            ring = DataKeys(api, both)
            for each in tenants:
                opened = (await ring.opener(each, ids[each])).open(sealed[each], about=b"")
                assert opened == b"word"
                (await ring.sealer(each)).seal(b"more", about=b"")
            rounds += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(use())
        assert await rewrapped(owner, both) == [10, 20, 25]
        done.set()
    after = DataKeys(api, Keks(NEW))
    for each in tenants:
        assert (await after.opener(each, ids[each])).open(sealed[each], about=b"") == b"word"
    with pytest.raises(KekUnknown):
        await DataKeys(api, Keks(OLD)).sealer(tenants[0])


async def test_a_stopped_rotation_goes_on_where_it_was(
    owner: Engine, api: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH_MAX", 2)
    before = DataKeys(api, Keks(OLD))
    for _ in range(5):
        await before.sealer(str(uuid4()))
    both = Keks(NEW, [OLD])
    going = rewrap(owner, both)
    assert await anext(going) == 2
    await going.aclose()
    assert {w.kek_id: w.keys for w in await wraps(owner, both)} == {
        Keks(OLD).newest: 3,
        both.newest: 2,
    }
    assert await rewrapped(owner, both) == [2, 3]
    assert [(w.newest, w.known, w.keys) for w in await wraps(owner, both)] == [(True, True, 5)]
    assert await rewrapped(owner, both) == []


async def test_a_key_under_a_wrapping_key_that_is_gone_is_told(owner: Engine, api: Engine) -> None:
    await DataKeys(api, Keks(OLD)).sealer(str(uuid4()))
    with pytest.raises(KekUnknown, match=Keks(OLD).newest):
        await rewrapped(owner, Keks(NEW))
