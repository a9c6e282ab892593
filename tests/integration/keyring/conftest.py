"""Data keys on a real database, for each role that has them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from penstock.infra.postgres.engine import Engine

Engines = Callable[[str], Awaitable[Engine]]


@pytest.fixture
def tenant() -> str:
    return str(uuid4())


@pytest.fixture
async def engine_of(database_url: str, role_urls: dict[str, str]) -> AsyncIterator[Engines]:
    """Opens an engine as one of the roles; `penstock_owner` too."""
    async with AsyncExitStack() as stack:

        async def opened(role: str) -> Engine:
            url = database_url if role == "penstock_owner" else role_urls[role]
            engine = Engine(url, connections_max=4)
            await engine.open()
            stack.push_async_callback(engine.close)
            return engine

        yield opened
