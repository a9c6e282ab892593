"""Servers for schedulers that run as processes of their own, started by nobody but the test."""

import pkgutil
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Iterator
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from penstock.dev.nats_server import NatsServer
from penstock.infra.keyring.data_keys import DataKeys
from penstock.infra.keyring.keks import Keks
from penstock.infra.keyring.payloads import Seals
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.postgres.engine import Engine
from tests.conftest import SERVICE_ROLES, MakeDatabase, with_login
from tests.integration.scheduler.replicas import KEY_ENCRYPTION_KEY, Ground, Replicas

ROLE = "penstock_scheduler"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server of the schedulers' tests alone, for they use the streams by their real names."""
    server = NatsServer(tmp_path_factory.mktemp("scheduler-nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def schedulers_database(make_database: MakeDatabase, role_passwords: dict[str, str]) -> str:
    """A migrated database without a run, as schedulers see it."""
    url = make_database()
    migrate: Any = pkgutil.resolve_name("penstock.projector.migrate:migrate")
    migrate(url, {role: role_passwords[role] for role in SERVICE_ROLES})
    return with_login(url, ROLE, role_passwords[ROLE])


@pytest.fixture
async def nc(broker: NatsServer) -> AsyncIterator[Client]:
    """A connection to the streams as bootstrap makes them; what held leases is forgotten."""
    connection = await nats.connect(broker.url)
    await bootstrap(connection)
    admin = connection.jetstream()
    for stream in ("COMMANDS", "REPORTS", "TIMERS", "WORK", "LEASES", "DEAD_LETTERS"):
        await admin.purge_stream(stream)
    yield connection
    await connection.close()


@pytest.fixture
async def seals(schedulers_database: str) -> AsyncIterator[Seals]:
    """What seals and opens as the schedulers of these tests do."""
    engine = Engine(schedulers_database, connections_max=1)
    await engine.open()
    yield Seals(DataKeys(engine, Keks(urlsafe_b64decode(KEY_ENCRYPTION_KEY))))
    await engine.close()


@pytest.fixture
async def replicas(
    broker: NatsServer, nc: Client, schedulers_database: str
) -> AsyncIterator[Replicas]:
    """Starts schedulers; those that are left at the end of the test are killed."""
    started = Replicas(Ground(broker.url, schedulers_database), nc)
    await started.listen()
    yield started
    await started.end()
