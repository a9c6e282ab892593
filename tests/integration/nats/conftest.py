"""A server of the test's own with our streams, and connections that outlive its restarts."""

from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.client import Client

from penstock.dev.nats_server import NatsServer
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.publish import Publisher


async def ignored(_error: Exception) -> None:
    """Restarts make connection errors, which is what these tests are about."""


@pytest.fixture
async def nc(nats_server: NatsServer) -> AsyncIterator[Client]:
    connection = await nats.connect(
        nats_server.url,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.05,
        error_cb=ignored,
    )
    await bootstrap(connection)
    yield connection
    await connection.close()
    nats_server.kill()  # a graceful stop takes half a second


@pytest.fixture
async def publisher(nc: Client) -> AsyncIterator[Publisher]:
    made = Publisher(nc, timeout_s=2.0)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def direct(nc: Client) -> AsyncIterator[Direct]:
    made = Direct(nc)
    await made.start()
    yield made
    await made.stop()
