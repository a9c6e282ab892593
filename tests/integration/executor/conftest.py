"""An executor in this process, driven through WORK and REPORTS on a real server."""

from collections.abc import AsyncIterator, Iterator

import nats
import pytest
from nats.aio.client import Client

from penstock.dev.nats_server import NatsServer
from penstock.infra.nats.bootstrap import bootstrap
from tests.integration.executor.bench import Bench, Web


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server of the executor's tests alone, for they use the streams by their real names."""
    server = NatsServer(tmp_path_factory.mktemp("executor-nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def nc(broker: NatsServer) -> AsyncIterator[Client]:
    """A connection to empty streams."""
    connection = await nats.connect(broker.url)
    await bootstrap(connection)
    js = connection.jetstream()
    for stream in ("WORK", "REPORTS", "DEAD_LETTERS"):
        await js.purge_stream(stream)
    yield connection
    await connection.close()


@pytest.fixture
def database(role_urls: dict[str, str]) -> str:
    """The database as an executor reaches it."""
    return role_urls["penstock_executor"]


@pytest.fixture
async def bench(nc: Client, broker: NatsServer, database: str) -> AsyncIterator[Bench]:
    """A running executor and what drives it."""
    bench = Bench(nc, broker.url, database)
    await bench.open()
    yield bench
    await bench.close()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    """A local HTTP server that remembers what it was asked."""
    server = Web()
    await server.open()
    yield server
    await server.close()
