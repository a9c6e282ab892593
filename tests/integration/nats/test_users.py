"""What each service's user may do on a real server, and what it may not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from penstock.dev.nats_server import NatsServer
from penstock.infra.nats import streams
from penstock.infra.nats.bootstrap import bootstrap, verify
from penstock.infra.nats.users import OWNER, USERS, inbox, name_in, url_of

PASSWORD = "opensesame"
NO_ANSWER_S = 0.5
TENANT = "0190a000-0000-7000-8000-00000000aaaa"
SAID = {
    "penstock.evt.t.run.r": {"scheduler"},
    "penstock.reg.t.workflow.w": {"api"},
    "penstock.reg.t.tenant.t": {"api", "projector"},
    "penstock.cmd.t.0.run.r": {"api", "scheduler"},
    "penstock.rep.shared.0": {"executor"},
    "penstock.work.shared.default.t": {"scheduler"},
    "penstock.lease.0": {"scheduler"},
    "penstock.timer.set.0.t.r.x": {"scheduler"},
    "penstock.dead.WORK": {"scheduler", "executor", "projector"},
}
"""Who may publish where."""
HEARD = {
    "penstock.>": set(),
    ">": set(),
    "_INBOX.>": set(),
    "penstock.live.>": {"api"},
    "penstock.live.reg.*.tenant.*": {"api", "executor", "scheduler"},
    "penstock.work.>": set(),
    "penstock.ctl.rollcall": {"executor"},
    "penstock.ctl.cancel.*.*": {"executor"},
    "$JS.API.>": set(),
}
"""Who may subscribe to what."""

STREAMS = [str(stream.name) for stream in streams.streams(1)]
CHANGES = [
    *(f"$JS.API.STREAM.PURGE.{name}" for name in STREAMS if name != streams.BLOBS),
    *(f"$JS.API.STREAM.{verb}.{name}" for verb in ("DELETE", "UPDATE") for name in STREAMS),
    *(f"$JS.API.STREAM.MSG.DELETE.{name}" for name in STREAMS if name != streams.BLOBS),
    "$JS.API.STREAM.CREATE.MINE",
    "$JS.API.CONSUMER.DELETE.WORK.executors",
    "$JS.API.CONSUMER.CREATE.COMMANDS.mine",
    "$JS.API.CONSUMER.CREATE.WORK.mine",
]
"""What nobody but the owner may ask."""

As = Callable[[str], Awaitable[tuple[Client, list[str]]]]


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    """A server with all users, and all streams."""
    found = NatsServer(
        tmp_path_factory.mktemp("users-nats"), passwords=dict.fromkeys((OWNER, *USERS), PASSWORD)
    )
    await asyncio.to_thread(found.start)
    await bootstrap(found.url)
    yield found
    await asyncio.to_thread(found.stop)


@pytest.fixture
async def as_user(server: NatsServer) -> AsyncIterator[As]:
    """Connects as a service; the connection, and what the server refuses it."""
    async with AsyncExitStack() as stack:

        async def connected(name: str) -> tuple[Client, list[str]]:
            refused: list[str] = []

            async def hear(error: Exception) -> None:
                refused.append(str(error).lower())

            nc = await nats.connect(
                url_of(server.url, name, PASSWORD), inbox_prefix=inbox(name), error_cb=hear
            )
            stack.push_async_callback(nc.close)
            return nc, refused

        yield connected


async def asked(nc: Client, subjects: Iterable[str]) -> None:
    """Say something to each; returns when the broker has had the time to refuse what it does."""
    for subject in subjects:
        await nc.publish(subject, b"{}")
    await nc.flush()
    await asyncio.sleep(NO_ANSWER_S)
    assert nc.is_connected


def refused_of(refused: list[str], subjects: Iterable[str]) -> set[str]:
    """Which of the subjects the broker has refused."""
    return {name for name in subjects if any(f'"{name.lower()}"' in said for said in refused)}


@pytest.mark.parametrize("name", USERS)
async def test_a_service_finds_the_streams_that_it_needs(as_user: As, name: str) -> None:
    nc, refused = await as_user(name)
    assert await verify(nc) == ()
    assert refused == []


@pytest.mark.parametrize("name", USERS)
async def test_a_service_says_what_is_its_own_to_say(as_user: As, name: str) -> None:
    nc, refused = await as_user(name)
    await asked(nc, SAID)
    assert refused_of(refused, SAID) == {s for s, who in SAID.items() if name not in who}


@pytest.mark.parametrize("name", USERS)
async def test_a_service_hears_what_is_meant_for_it(as_user: As, name: str) -> None:
    nc, refused = await as_user(name)
    for subject in HEARD:
        await nc.subscribe(subject)
    await asked(nc, ())
    assert refused_of(refused, HEARD) == {s for s, who in HEARD.items() if name not in who}


@pytest.mark.parametrize("name", USERS)
async def test_no_service_changes_a_stream(as_user: As, name: str) -> None:
    nc, refused = await as_user(name)
    await asked(nc, CHANGES)
    assert refused_of(refused, CHANGES) == set(CHANGES)


async def test_the_owner_may_do_all_of_it(server: NatsServer) -> None:
    nc = await nats.connect(server.url)
    js = nc.jetstream()
    await js.add_stream(StreamConfig(name="MINE", subjects=["mine"]))
    assert await js.delete_stream("MINE")
    await nc.close()


def test_a_url_tells_whose_it_is() -> None:
    assert name_in(url_of("nats://penstock:p@127.0.0.1:4222", "api", "a/b")) == "api"
    assert name_in("nats://penstock:p@127.0.0.1:4222") is None
    assert name_in("nats://127.0.0.1:4222, nats://127.0.0.1:4223") is None
