"""The API on real servers, with a projector, a scheduler and an executor in the same process."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from httpx import AsyncClient

from penstock.api.app import Api
from penstock.dev.nats_server import NatsServer
from penstock.dev.ports import free_port
from penstock.executor.app import Executor
from penstock.infra.broker import Broker
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.service import Context
from penstock.infra.settings import (
    ApiSettings,
    ExecutorSettings,
    ProjectorSettings,
    SchedulerSettings,
)
from penstock.projector.app import Projector
from penstock.projector.migrate import migrate
from penstock.scheduler.app import Scheduler
from tests.conftest import SERVICE_ROLES, with_login
from tests.integration.api.houses import ADMIN_KEY, ORIGIN, House

KEY_ENCRYPTION_KEY = urlsafe_b64encode(bytes(32)).decode()


@pytest.fixture(scope="session")
def api_nats(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A NATS server with the streams of the real thing."""
    server = NatsServer(tmp_path_factory.mktemp("api-nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def api_urls(make_database: Callable[[], str], role_passwords: dict[str, str]) -> dict[str, str]:
    """The URL of one migrated database for each of the services' roles."""
    url = make_database()
    migrate(url, {role: role_passwords[role] for role in SERVICE_ROLES})
    roles = {role: with_login(url, role, role_passwords[role]) for role in SERVICE_ROLES}
    return {"penstock_owner": url, **roles}


@pytest.fixture(scope="session")
async def house(api_nats: NatsServer, api_urls: dict[str, str]) -> AsyncIterator[House]:
    """Everything running, and the admin's client."""
    await bootstrap(api_nats.url)
    async with AsyncExitStack() as stack:
        shared: dict[str, Any] = {"nats_url": api_nats.url}

        async def context(name: str, settings: Any) -> Context[Any]:
            broker = Broker(settings, name)
            await broker.connect()
            stack.push_async_callback(broker.stop)
            return Context(name=name, settings=settings, broker=broker, end=pytest.fail)

        projecting = await context(
            "projector", ProjectorSettings(database_url=api_urls["penstock_projector"], **shared)
        )
        scheduling = await context(
            "scheduler",
            SchedulerSettings(
                database_url=api_urls["penstock_scheduler"],
                key_encryption_key=KEY_ENCRYPTION_KEY,
                **shared,
            ),
        )
        executing = await context(
            "executor",
            ExecutorSettings(
                database_url=api_urls["penstock_executor"],
                key_encryption_key=KEY_ENCRYPTION_KEY,
                **shared,
            ),
        )
        serving = await context(
            "api",
            ApiSettings(
                database_url=api_urls["penstock_api"],
                api_port=(port := free_port()),
                admin_key=ADMIN_KEY,
                key_encryption_key=KEY_ENCRYPTION_KEY,
                cors_origins=(ORIGIN,),
                **shared,
            ),
        )
        api = Api(serving.settings, serving.nc)
        for service in (
            Projector(projecting.nc, projecting.settings, end=pytest.fail),
            Scheduler(scheduling),
            Executor(executing.nc, executing.settings),
            api,
        ):
            await service.start()
            stack.push_async_callback(service.stop)
        url = f"http://127.0.0.1:{port}"
        client = await stack.enter_async_context(AsyncClient(base_url=url, timeout=20))
        yield House(url=url, client=client, api=api, settings=serving.settings)


@pytest.fixture
async def tenant(house: House) -> AsyncIterator[AsyncClient]:
    """A new tenant's admin."""
    made = (await house.admin("POST", "/api/tenants", json={"name": "acme"})).json()
    async with house.caller(made["adminApiKey"]) as client:
        yield client
