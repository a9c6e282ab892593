"""A whole stack, real processes, for the tests of this folder; entered by its HTTP door only."""

from collections.abc import AsyncIterator

import httpx
import pytest

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from tests.chaos.receiver import Receiver

TIMEOUT_S = 60.0


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A running stack that the session's tests share; steps may call this machine's loopback."""
    options = StackOptions(
        data_dir=tmp_path_factory.mktemp("stack"),
        port=0,
        keep=False,
        env={"PENSTOCK_EGRESS_ALLOW": "127.0.0.0/8"},
    )
    async with Stack(options) as running:
        yield running
    refused = [line for line in nats_log(running).splitlines() if "Violation" in line]
    assert refused == [], "a service asked the broker for what it may not do"


def nats_log(stack: Stack) -> str:
    """What the broker has written."""
    return (stack.data_dir / "log" / "nats.log").read_text(errors="replace")


@pytest.fixture(scope="session")
async def api(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """The API, as the default tenant's admin."""
    async with client(stack.api_url, stack.api_key) as connected:
        yield connected


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The outside world that a test's steps call; nobody is left waiting for it at the end."""
    outside = Receiver()
    await outside.start()
    yield outside
    outside.let_go.set()
    await outside.stop()


def client(api_url: str, key: str) -> httpx.AsyncClient:
    """A client with a credential, under the base path."""
    return httpx.AsyncClient(
        base_url=f"{api_url}/api",
        headers={"Authorization": f"Bearer {key}"},
        timeout=TIMEOUT_S,
        trust_env=False,
    )
