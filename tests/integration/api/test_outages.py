"""Servers that go away and come back."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response

from penstock.api import arrears
from penstock.api.app import Api
from penstock.dev.nats_server import NatsServer
from penstock.dev.ports import free_port
from penstock.dev.postgres import Postgres
from penstock.infra.broker import Broker
from penstock.infra.nats import subjects
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.service import StartRefused
from penstock.infra.settings import ApiSettings, ProjectorSettings
from penstock.projector.app import Projector
from penstock.projector.migrate import migrate
from tests.conftest import SERVICE_ROLES, with_login
from tests.integration.api.houses import ADMIN_KEY, chain

HEADERS = {"X-API-Key": ADMIN_KEY}
PASSWORDS = dict.fromkeys(SERVICE_ROLES, "secret")

BEHIND_S = 0.01
"""Told in milliseconds, this is more than none."""


@dataclass
class Shack:
    """An API and a projector on servers that may fall."""

    nats: NatsServer
    postgres: Postgres
    api: Api
    projector: Projector
    client: AsyncClient
    projects: bool = True

    async def stop_projector(self) -> None:
        """Stop it, at the latest at the end."""
        if self.projects:
            self.projects = False
            await self.projector.stop()

    async def make_tenant(self, name: str) -> Response:
        return await self.client.post("/api/tenants", json={"name": name}, headers=HEADERS)


@pytest.fixture
async def shack(nats_server: NatsServer, private_postgres: Postgres) -> AsyncIterator[Shack]:
    owner = private_postgres.superuser_url()
    await asyncio.to_thread(migrate, owner, PASSWORDS)
    await bootstrap(nats_server.url)
    async with AsyncExitStack() as stack:
        settings = ApiSettings(
            nats_url=nats_server.url,
            database_url=with_login(owner, "penstock_api", "secret"),
            api_port=(port := free_port()),
            admin_key=ADMIN_KEY,
            key_encryption_key=urlsafe_b64encode(bytes(32)).decode(),
        )
        projecting = ProjectorSettings(
            nats_url=nats_server.url, database_url=with_login(owner, "penstock_projector", "secret")
        )
        brokers = [Broker(settings, "api"), Broker(projecting, "projector")]
        for broker in brokers:
            await broker.connect()
            stack.push_async_callback(broker.stop)
        api = Api(settings, brokers[0].connection)
        projector = Projector(brokers[1].connection, projecting, end=pytest.fail)
        client = AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20)
        shack = Shack(nats_server, private_postgres, api, projector, client)
        await projector.start()
        stack.push_async_callback(shack.stop_projector)
        await api.start()
        stack.push_async_callback(api.stop)
        await stack.enter_async_context(client)
        yield shack


async def until(status: int, asked: Any) -> Response:
    """The first answer with `status`."""
    async with asyncio.timeout(20):
        while True:
            answer: Response = await asked()
            if answer.status_code == status:
                return answer
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.2)


async def test_writes_are_refused_without_the_broker_and_go_on_with_it(shack: Shack) -> None:
    first = await shack.make_tenant("before")
    assert first.status_code == 201
    shack.nats.kill()
    refused = await until(503, lambda: shack.make_tenant("during"))
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("UNAVAILABLE", "1")
    health = await shack.client.get("/api/health")
    assert (health.status_code, health.json()["broker"], health.json()["database"]) == (
        503, False, True
    )  # fmt: skip
    read = await shack.client.get("/api/tenants", headers=HEADERS)
    assert [each["name"] for each in read.json()["items"]] == ["before"]
    await asyncio.to_thread(shack.nats.start)
    after = await until(201, lambda: shack.make_tenant("after"))
    assert after.headers["x-log-position"]
    assert (await shack.client.get("/api/health")).status_code == 200


async def test_nothing_opens_without_the_database_and_all_is_there_after(shack: Shack) -> None:
    made = (await shack.make_tenant("kept")).json()
    shack.postgres.kill()
    refused = await until(503, lambda: shack.client.get("/api/tenants", headers=HEADERS))
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("UNAVAILABLE", "1")
    assert (await shack.client.get("/livez")).status_code == 200
    assert (await shack.client.get("/readyz")).status_code == 503
    await asyncio.to_thread(shack.postgres.start)
    own = {"X-API-Key": made["adminApiKey"]}
    await until(200, lambda: shack.client.get("/api/workflows", headers=own))


async def test_no_run_is_accepted_without_the_database_though_all_is_remembered(
    shack: Shack,
) -> None:
    own = {"X-API-Key": (await shack.make_tenant("remembered")).json()["adminApiKey"]}
    made = await shack.client.post(
        "/api/workflows", json={"definition": chain("only")}, headers=own
    )
    path = f"/api/workflows/{made.json()['id']}/execute"
    assert (await shack.client.post(path, headers=own)).status_code == 202
    shack.postgres.kill()
    for _ in range(3):
        refused = await shack.client.post(path, headers=own)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    commands = await shack.api.parts.nc.jetstream().stream_info("COMMANDS")
    assert commands.state.messages == 1
    await asyncio.to_thread(shack.postgres.start)
    await until(202, lambda: shack.client.post(path, headers=own))


async def test_a_taken_port_is_named(shack: Shack) -> None:
    taken = shack.client.base_url.port
    settings = ApiSettings(
        database_url="postgresql://nobody@127.0.0.1/none",
        api_port=taken,
        admin_key=ADMIN_KEY,
        key_encryption_key=urlsafe_b64encode(bytes(32)).decode(),
    )
    with pytest.raises(StartRefused, match=f"PENSTOCK_API_PORT.*{taken}"):
        Api(settings, shack.api.parts.nc)


async def test_nothing_is_begun_while_the_archive_is_too_far_behind(
    shack: Shack, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"X-API-Key": (await shack.make_tenant("late")).json()["adminApiKey"]}
    made = await shack.client.post("/api/workflows", json={"definition": chain("a")}, headers=own)
    path = f"/api/workflows/{made.json()['id']}/execute"
    await shack.stop_projector()
    subject = subjects.run_events(str(uuid4()), str(uuid4()))
    await shack.api.parts.nc.jetstream().publish(subject, b"{}")
    behind = shack.api.parts.arrears
    await asyncio.sleep(BEHIND_S)
    await behind.look()
    assert 0 < behind.age_s < arrears.UNARCHIVED_MAX_S
    assert (await shack.client.post(path, json={}, headers=own)).status_code == 202
    monkeypatch.setattr(arrears, "UNARCHIVED_MAX_S", behind.age_s / 2)
    refused = await shack.client.post(path, json={}, headers=own)
    assert (refused.status_code, refused.json()["code"]) == (503, "UNAVAILABLE")
    assert refused.headers["retry-after"]
    health = await shack.client.get("/api/health")
    assert (health.status_code, health.json()["broker"], health.json()["database"]) == (
        503, True, True
    )  # fmt: skip
    assert health.json()["unarchivedMs"] > 0
    assert "penstock_api_unarchived_seconds" in (await shack.client.get("/metrics")).text
