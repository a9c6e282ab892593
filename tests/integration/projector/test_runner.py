"""The whole projector on a real stream and a real Postgres that come and go."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import nats
import psycopg
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import Error as JetStreamError

from penstock.dev.nats_server import NatsServer
from penstock.dev.postgres import Postgres
from penstock.domain.identity import Role
from penstock.domain.tenant.events import ApiKeyCreated, TenantConfig, TenantCreated
from penstock.infra.nats import subjects
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.nats.streams import EVENTS
from penstock.infra.postgres.schema import DATABASE
from penstock.infra.settings import ProjectorSettings
from penstock.projector.app import Projector
from penstock.projector.migrate import migrate
from tests.conftest import with_login
from tests.unit.projector.lives import T0, Life, Tape, chain

TENANT = "0190a000-0000-7000-8000-000000000001"
KEY = "0190a000-0000-7000-8000-0000000000ee"


def reached(url: str) -> dict[str, int]:
    with psycopg.connect(url, autocommit=True) as owner:
        return dict(owner.execute("select log, seq from penstock.checkpoints").fetchall())


async def until(holds: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    for _ in range(400):
        answer = holds()
        if answer if isinstance(answer, bool) else await answer:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to that")


@asynccontextmanager
async def projecting(
    nc: Client, url: str, *, name: str = "projector-0"
) -> AsyncIterator[Projector]:
    ended: list[str] = []
    settings = ProjectorSettings(database_url=url, instance=name)
    projector = Projector(nc, settings, end=ended.append)
    await projector.start()
    try:
        yield projector
    finally:
        await projector.stop()
    assert ended == []


@pytest.fixture
async def nc(nats_server: NatsServer) -> AsyncIterator[Client]:
    connection = await nats.connect(
        nats_server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_quiet
    )
    await bootstrap(connection)
    yield connection
    await connection.close()


async def _quiet(_error: Exception) -> None:
    """A server that is killed on purpose is no news."""


async def publish(nc: Client, tape: Tape, *, after: int = 0) -> None:
    """Again until the server, which may just be starting, says that it has each message."""
    for number, (subject, body) in enumerate(tape.messages[after:], after):
        await until(lambda: published(nc, subject, body, str(number)))  # noqa: B023


async def published(nc: Client, subject: str, body: bytes, message_id: str) -> bool:
    try:
        await nc.jetstream().publish(subject, body, headers={"Nats-Msg-Id": message_id})
    except (nats.errors.Error, JetStreamError):
        return False
    return True


def chain_of_three(tape: Tape, name: str = "one") -> Life:
    life = Life(tape, chain(3), name=name, tenant=TENANT)
    life.start()
    for step_id in ("s0", "s1", "s2"):
        life.complete(step_id)
    return life


async def test_both_logs_reach_the_rows_and_are_announced(
    nc: Client, projector_url: str, empty: str
) -> None:
    heard: list[dict[str, int | str]] = []

    async def on_announced(msg: Msg) -> None:
        heard.append(msgspec.json.decode(msg.data))

    await nc.subscribe(subjects.CHECKPOINT, cb=on_announced)
    events, registry = Tape(), Tape()
    chain_of_three(events)
    registry.append(
        subjects.registry(TENANT, "tenant", TENANT),
        [TenantCreated(name="acme", config=TenantConfig(), created_at=T0, created_by="admin")],
        at=T0,
    )
    registry.append(
        subjects.registry(TENANT, "key", KEY),
        [ApiKeyCreated(name="first", role=Role.ADMIN, created_at=T0, created_by="admin")],
        at=T0,
    )
    both = {"registry": 2, "events": 4}
    async with projecting(nc, projector_url) as projector:
        await publish(nc, registry)
        await publish(nc, events)
        await until(lambda: bool(heard) and heard[-1].items() >= both.items())
        said = heard[-1]
        ready = {"log": True, "database": True, "migrated": True, "blobs": True}
        assert await projector.ready() == ready
    with psycopg.connect(empty) as owner:
        (own,) = owner.execute(DATABASE).fetchone() or ("",)
        assert said == {"database": own, **both}
        assert owner.execute("select status from penstock.runs").fetchall() == [("succeeded",)]
        assert owner.execute("select name from penstock.tenants").fetchall() == [("acme",)]
        assert owner.execute("select role from penstock.api_keys").fetchall() == [("admin",)]


async def test_a_standby_goes_on_where_the_writer_stopped(
    nc: Client, projector_url: str, empty: str
) -> None:
    tape = Tape()
    life = chain_of_three(tape)
    async with projecting(nc, projector_url, name="second") as second:
        async with projecting(nc, projector_url, name="first"):
            await publish(nc, tape)
            await until(lambda: reached(empty)["events"] == 4)
        assert second.runner.halted == ""
        other = chain_of_three(tape, "two")
        await publish(nc, tape, after=4)
        await until(lambda: reached(empty)["events"] == len(tape.messages))
    assert life.id != other.id


async def test_nats_that_is_killed_loses_nothing(
    nc: Client, nats_server: NatsServer, projector_url: str, empty: str
) -> None:
    tape = Tape()
    async with projecting(nc, projector_url) as projector:
        chain_of_three(tape)
        await publish(nc, tape)
        await until(lambda: reached(empty)["events"] == 4)
        nats_server.kill()
        nats_server.start()
        await until(lambda: nc.is_connected)
        chain_of_three(tape, "two")
        await publish(nc, tape, after=4)
        await until(lambda: reached(empty)["events"] == 8)
        assert projector.runner.halted == ""


async def test_postgres_that_is_killed_loses_nothing(
    nc: Client, private_postgres: Postgres
) -> None:
    owner = private_postgres.superuser_url()
    migrate(owner, {"penstock_projector": "secret"})
    tape = Tape()
    async with projecting(nc, with_login(owner, "penstock_projector", "secret")) as projector:
        chain_of_three(tape)
        await publish(nc, tape)
        await until(lambda: reached(owner)["events"] == 4)
        private_postgres.kill()
        chain_of_three(tape, "two")
        await publish(nc, tape, after=4)
        await until(lambda: not projector.runner.is_connected)
        assert not (await projector.ready())["database"]
        private_postgres.start()
        await until(lambda: reached(owner)["events"] == 8)
        await until(lambda: projector.runner.is_connected)
    with psycopg.connect(owner) as connection:
        found = connection.execute("select status from penstock.runs").fetchall()
    assert found == [("succeeded",), ("succeeded",)]


async def test_a_stream_that_went_back_halts(nc: Client, projector_url: str, empty: str) -> None:
    tape = Tape()
    chain_of_three(tape)
    await publish(nc, tape)
    async with projecting(nc, projector_url):
        await until(lambda: reached(empty)["events"] == 4)
    await begin_events_anew(nc)
    async with projecting(nc, projector_url) as projector:
        await until(lambda: projector.runner.halted != "")
        assert not (await projector.ready())["log"]


async def begin_events_anew(nc: Client) -> None:
    await nc.jetstream().delete_stream(EVENTS)
    await bootstrap(nc)


async def test_a_stream_with_another_history_halts(
    nc: Client, projector_url: str, empty: str
) -> None:
    tape = Tape()
    chain_of_three(tape)
    await publish(nc, tape)
    async with projecting(nc, projector_url):
        await until(lambda: reached(empty)["events"] == 4)
    await begin_events_anew(nc)
    another = Tape()
    chain_of_three(another, "another")
    chain_of_three(another, "and another")
    await publish(nc, another)
    async with projecting(nc, projector_url) as projector:
        await until(lambda: projector.runner.halted != "")
        assert "not the one that was archived" in projector.runner.halted
    assert reached(empty)["events"] == 4


async def test_a_message_that_does_not_follow_its_subject_halts(
    nc: Client, projector_url: str, empty: str
) -> None:
    tape = Tape()
    life = Life(tape, chain(3), name="one", tenant=TENANT)
    life.start()
    tape.heads[life.subject] = "ab" * 32
    life.complete("s0")
    await publish(nc, tape)
    async with projecting(nc, projector_url) as projector:
        await until(lambda: projector.runner.halted != "")
    assert reached(empty)["events"] in {0, 1}
