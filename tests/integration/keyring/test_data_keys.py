"""Data keys: one for all who ask, at hand for a while, replaced, destroyed."""

import asyncio
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from penstock.infra.keyring import data_keys
from penstock.infra.keyring.data_keys import CLOSED_S, HELD_S, KEY_LIFE, DataKeys, KeyGone
from penstock.infra.keyring.keks import Keks, KekUnknown
from penstock.infra.keyring.sealing import SEALS_MAX
from tests.integration.keyring.conftest import Engines

KEKS = Keks(bytes(32))
SEALING_ROLES = ("penstock_api", "penstock_scheduler", "penstock_executor")


async def test_all_who_ask_at_once_get_the_same_key(engine_of: Engines, tenant: str) -> None:
    rings = [DataKeys(await engine_of(role), KEKS) for role in SEALING_ROLES for _ in range(2)]
    sealers = await asyncio.gather(*(ring.sealer(tenant) for ring in rings for _ in range(5)))
    assert len({sealer.key_id for sealer in sealers}) == 1
    sealed = sealers[0].seal(b"word", about=b"matter")
    for ring in rings:
        opener = await ring.opener(tenant, sealers[0].key_id)
        assert opener.open(sealed, about=b"matter") == b"word"


async def test_a_key_is_at_hand_until_its_time_is_over(engine_of: Engines, tenant: str) -> None:
    now = 0.0
    ring = DataKeys(await engine_of("penstock_api"), KEKS, clock=lambda: now)
    assert ring.at_hand(tenant) is None
    sealer = await ring.sealer(tenant)
    assert ring.at_hand(tenant) is sealer
    assert ring.opener_at_hand(tenant, sealer.key_id) is sealer
    now = HELD_S
    assert ring.at_hand(tenant) is None
    assert await ring.sealer(tenant) is sealer
    ring.forget(tenant)
    assert ring.at_hand(tenant) is None
    assert ring.opener_at_hand(tenant, sealer.key_id) is None


async def test_what_is_at_hand_is_bounded(
    engine_of: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_keys, "HELD_MAX", 4)
    ring = DataKeys(await engine_of("penstock_api"), KEKS)
    tenants = [str(UUID(int=n)) for n in range(1, 5)]
    for each in tenants:
        await ring.sealer(each)
    assert [ring.at_hand(each) is not None for each in tenants] == [False, False, True, True]


async def test_an_old_key_gets_a_successor_and_goes_on_opening(
    engine_of: Engines, tenant: str, database_url: str
) -> None:
    engine = await engine_of("penstock_executor")
    before = await DataKeys(engine, KEKS).sealer(tenant)
    sealed = before.seal(b"word", about=b"")
    with psycopg.connect(database_url, autocommit=True) as owner:
        age = KEY_LIFE + timedelta(days=1)
        statement = "update vault.data_keys set created_at = now() - %s where tenant_id = %s"
        owner.execute(statement, [age, tenant])
    rings = [DataKeys(engine, KEKS) for _ in range(5)]
    after = {(await ring.sealer(tenant)).key_id for ring in rings}
    assert len(after) == 1
    assert before.key_id not in after
    assert (await rings[0].opener(tenant, before.key_id)).open(sealed, about=b"") == b"word"


async def test_a_worn_key_gets_a_successor(engine_of: Engines, tenant: str) -> None:
    ring = DataKeys(await engine_of("penstock_api"), KEKS)
    before = await ring.sealer(tenant)
    before.sealed = SEALS_MAX
    after = await ring.sealer(tenant)
    assert after.key_id != before.key_id
    assert ring.at_hand(tenant) is after


async def test_closed_keys_are_not_asked_for_although_the_vault_has_them(
    engine_of: Engines, tenant: str
) -> None:
    now = 0.0
    api = await engine_of("penstock_api")
    ring = DataKeys(api, KEKS, clock=lambda: now)
    sealer = await ring.sealer(tenant)
    ring.close(tenant)
    assert ring.at_hand(tenant) is None
    for asking in (ring.sealer(tenant), ring.opener(tenant, sealer.key_id), ring.first(tenant)):
        with pytest.raises(KeyGone):
            await asking
    assert (await DataKeys(api, KEKS).sealer(tenant)).key_id == sealer.key_id
    now = CLOSED_S
    assert (await ring.sealer(tenant)).key_id == sealer.key_id


async def test_a_destroyed_key_is_not_made_again(engine_of: Engines, tenant: str) -> None:
    api = await engine_of("penstock_api")
    ring = DataKeys(api, KEKS)
    sealer = await ring.sealer(tenant)
    async with api.transaction() as session:
        statement = "select vault.destroy_data_keys(%(tenant)s) as keys"
        assert await session.one(statement, {"tenant": tenant}) == {"keys": 1}
    ring.forget(tenant)
    for asking in (ring.sealer(tenant), ring.opener(tenant, sealer.key_id)):
        with pytest.raises(KeyGone):
            await asking


async def test_an_unknown_wrapping_key_is_named(engine_of: Engines, tenant: str) -> None:
    engine = await engine_of("penstock_api")
    await DataKeys(engine, KEKS).sealer(tenant)
    with pytest.raises(KekUnknown, match=KEKS.newest):
        await DataKeys(engine, Keks(b"x" * 32)).sealer(tenant)


async def test_a_key_is_its_tenants_alone(engine_of: Engines, tenant: str) -> None:
    ring = DataKeys(await engine_of("penstock_api"), KEKS)
    mine = await ring.sealer(tenant)
    with pytest.raises(KeyGone):
        await ring.opener(str(UUID(int=1)), mine.key_id)


@pytest.mark.parametrize("role", ["penstock_api", "penstock_executor", "penstock_projector"])
def test_no_service_reads_the_tables_of_keys(role_urls: dict[str, str], role: str) -> None:
    with psycopg.connect(role_urls[role], autocommit=True) as connection:
        for statement in (
            "select * from vault.data_keys",
            "update vault.data_keys set wrapped = ''",
            "delete from vault.destroyed_keys",
            "select sealed from vault.secrets",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_an_executor_calls_its_look_ups_and_sees_nothing_else(role_urls: dict[str, str]) -> None:
    with psycopg.connect(role_urls["penstock_executor"], autocommit=True) as connection:
        nobody = "00000000-0000-0000-0000-000000000000"
        found = "select * from vault.find_secrets(%s, '{a}', '{b}')"
        assert connection.execute(found, [nobody]).fetchall() == []
        for statement in (
            "select * from penstock.runs",
            "select * from vault.api_keys",
            "select * from vault.find_api_key(gen_random_uuid())",
            "select vault.destroy_data_keys(gen_random_uuid())",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())


async def test_the_first_key_goes_on_for_what_is_compared(
    engine_of: Engines, tenant: str, database_url: str
) -> None:
    rings = [DataKeys(await engine_of(role), KEKS) for role in SEALING_ROLES]
    assert rings[0].first_at_hand(tenant) is None
    first = await rings[0].first(tenant)
    assert rings[0].first_at_hand(tenant) is first
    same = first.seal_same(b"word", about=b"")
    with psycopg.connect(database_url, autocommit=True) as owner:
        age = KEY_LIFE + timedelta(days=1)
        statement = "update vault.data_keys set created_at = now() - %s where tenant_id = %s"
        owner.execute(statement, [age, tenant])
    for ring in rings[1:]:
        assert (await ring.sealer(tenant)).key_id != first.key_id
        assert (await ring.first(tenant)).seal_same(b"word", about=b"") == same


async def test_a_deleted_tenant_has_no_first_key(engine_of: Engines, tenant: str) -> None:
    api = await engine_of("penstock_api")
    first = await DataKeys(api, KEKS).first(tenant)
    async with api.transaction() as session:
        await session.one("select vault.destroy_data_keys(%(tenant)s)", {"tenant": tenant})
    with pytest.raises(KeyGone):
        await DataKeys(api, KEKS).first(tenant)
    with pytest.raises(KeyGone):
        await DataKeys(api, KEKS).opener(tenant, first.key_id)
