"""What steps name is found just before it is used, on a real vault."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec
import psycopg
import pytest

from penstock.executor.credentials import GOOD_FOR_S, Credentials, Wants
from penstock.executor.outcome import StepFault
from penstock.infra.keyring.data_keys import DataKeys
from penstock.infra.keyring.keks import Keks
from penstock.infra.postgres.engine import Engine
from penstock.infra.secrets import Kind, Name, Vault

KEKS = Keks(bytes(32))
TOKEN = Name(Kind.SECRET, "token")
SHOP = Name(Kind.CONNECTION, "shop")
BASIC = {"type": "http_basic", "config": {"username": "u"}, "secrets": {"password": "a-password"}}


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def vault(role_urls: dict[str, str]) -> AsyncIterator[Vault]:
    """As the API has it."""
    engine = Engine(role_urls["penstock_api"], connections_max=2)
    await engine.open()
    yield Vault(engine, DataKeys(engine, KEKS))
    await engine.close()


@pytest.fixture
async def engine(role_urls: dict[str, str]) -> AsyncIterator[Engine]:
    """As an executor has it."""
    engine = Engine(role_urls["penstock_executor"], connections_max=2)
    await engine.open()
    yield engine
    await engine.close()


async def test_a_step_gets_what_it_names_and_what_hides_it(vault: Vault, engine: Engine) -> None:
    tenant = str(uuid4())
    await vault.keep(tenant, TOKEN, "a-tökén".encode(), seq=1)
    await vault.keep(tenant, SHOP, msgspec.json.encode(BASIC), seq=2)
    credentials = Credentials(Vault(engine, DataKeys(engine, KEKS)))
    used = await credentials.used(tenant, Wants(("token",), "shop"))
    assert used.secrets == {"token": "a-tökén"}
    assert used.connection is not None
    assert (used.connection.name, used.connection.secrets) == ("shop", {"password": "a-password"})
    assert used.scrubber.text("a-tökén and a-password") == "*** and ***"


async def test_what_is_missing_is_named_and_nobody_elses_is_found(
    vault: Vault, engine: Engine
) -> None:
    tenant, other = str(uuid4()), str(uuid4())
    await vault.keep(other, TOKEN, b"somebody's", seq=1)
    await vault.keep(tenant, Name(Kind.CONNECTION, "token"), b"{}", seq=1)
    credentials = Credentials(Vault(engine, DataKeys(engine, KEKS)))
    with pytest.raises(StepFault, match="no secret 'token'") as missing:
        await credentials.used(tenant, Wants(("token",)))
    assert (missing.value.code, missing.value.retryable) == ("SECRET_MISSING", False)
    with pytest.raises(StepFault, match="no connection 'shop'") as missing:
        await credentials.used(tenant, Wants((), "shop"))
    assert missing.value.code == "CONNECTION_MISSING"
    await vault.keep(tenant, TOKEN, b"mine-now", seq=3)
    assert (await credentials.used(tenant, Wants(("token",)))).secrets == {"token": "mine-now"}


async def test_a_changed_value_counts_soon_and_an_older_write_never(
    vault: Vault, engine: Engine
) -> None:
    tenant, clock = str(uuid4()), Clock()
    credentials = Credentials(Vault(engine, DataKeys(engine, KEKS)), clock=clock)
    wants = Wants(("token",))
    await vault.keep(tenant, TOKEN, b"first-value", seq=5)
    assert (await credentials.used(tenant, wants)).secrets["token"] == "first-value"
    await vault.keep(tenant, TOKEN, b"second-value", seq=6)
    await vault.keep(tenant, TOKEN, b"too-late", seq=5)
    clock.now = GOOD_FOR_S - 0.1
    assert (await credentials.used(tenant, wants)).secrets["token"] == "first-value"
    clock.now = GOOD_FOR_S
    assert (await credentials.used(tenant, wants)).secrets["token"] == "second-value"
    await vault.remove(tenant, TOKEN, seq=7)
    await vault.keep(tenant, TOKEN, b"after-its-end", seq=6)
    clock.now = GOOD_FOR_S * 2
    with pytest.raises(StepFault, match="no secret"):
        await credentials.used(tenant, wants)


async def test_all_steps_that_ask_at_once_ask_once(vault: Vault, engine: Engine) -> None:
    tenant = str(uuid4())
    await vault.keep(tenant, TOKEN, b"a-value", seq=1)
    asked = 0

    class Counting(Vault):
        async def find(self, tenant_id: str, names: object) -> object:  # type: ignore[override]
            nonlocal asked
            asked += 1
            return await super().find(tenant_id, names)  # type: ignore[arg-type]

    credentials = Credentials(Counting(engine, DataKeys(engine, KEKS)))
    wants = Wants(("token",))
    found = await asyncio.gather(*(credentials.used(tenant, wants) for _ in range(50)))
    assert {used.secrets["token"] for used in found} == {"a-value"}
    assert asked == 1


async def test_a_row_that_was_moved_opens_nothing_and_says_nothing(
    vault: Vault, engine: Engine, database_url: str
) -> None:
    tenant = str(uuid4())
    await vault.keep(tenant, TOKEN, b"a-value", seq=1)
    with psycopg.connect(database_url, autocommit=True) as owner:
        moved = "update vault.secrets set name = 'other' where tenant_id = %s"
        owner.execute(moved, [tenant])
    credentials = Credentials(Vault(engine, DataKeys(engine, KEKS)))
    with pytest.raises(StepFault) as fault:
        await credentials.used(tenant, Wants(("other",)))
    assert (fault.value.code, fault.value.retryable) == ("SECRETS_UNAVAILABLE", True)


async def test_without_a_database_a_step_may_be_tried_again() -> None:
    engine = Engine("postgresql://penstock_executor@127.0.0.1:1/none", connections_max=1)
    await engine.open()
    credentials = Credentials(Vault(engine, DataKeys(engine, KEKS)))
    with pytest.raises(StepFault) as fault:
        await credentials.used(str(uuid4()), Wants(("token",)))
    await engine.close()
    assert (fault.value.code, fault.value.retryable) == ("SECRETS_UNAVAILABLE", True)
    assert "127.0.0.1" not in fault.value.message
