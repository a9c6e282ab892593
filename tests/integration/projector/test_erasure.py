"""What is removed of a deleted tenant, all that must stay, and the proof."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from uuid import UUID

import nats
import psycopg
import pytest
from nats.aio.client import Client
from psycopg import sql

from penstock.dev.nats_server import NatsServer
from penstock.domain.errors import Conflict
from penstock.domain.run.commands import CancelRun
from penstock.domain.tenant.events import (
    Limits,
    TenantConfig,
    TenantCreated,
    TenantDeleted,
    TenantErased,
)
from penstock.domain.workflow.events import Visibility, WorkflowCreated
from penstock.infra.blobs.port import Stored
from penstock.infra.definitions import Definitions
from penstock.infra.eventlog.jetstream import JetStreamLog
from penstock.infra.nats import subjects
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.publish import Publisher
from penstock.infra.nats.streams import EVENTS, REGISTRY
from penstock.infra.postgres.engine import Engine
from penstock.infra.settings import ProjectorSettings
from penstock.messages.catalogue import TENANT, WORKFLOW
from penstock.messages.codec import codec_for
from penstock.projector.app import Projector
from penstock.projector.audit.command import verify
from penstock.projector.erasure import GRACE_MS, LIVE_MAX_MS, Erasure
from penstock.projector.proofs import Proofs, Removed
from tests.unit.projector.lives import T0, Life, Tape, chain

GONE = "0190a000-0000-7000-8000-0000000000d1"
STAYS = "0190a000-0000-7000-8000-0000000000d2"
WORKFLOW_ID = "0190a000-0000-7000-8000-0000000000d3"
LATER = GRACE_MS + 1
NAME = "a name that nobody else has"
POLLS = 400
POLL_S = 0.05
TABLES = """
select schema_name || '.' || table_name from penstock.tables_of_tenants() order by 1
"""
LEFT = {
    "penstock.chain_heads",
    "penstock.erasures",
    "penstock.event_archive",
    "penstock.quarantined",
    "penstock.registry_places",
    "penstock.tenants",
    "vault.destroyed_keys",
    "vault.erasing",
}
"""What stays of a deleted tenant: see the migration. Whoever adds to this says there why."""
WITHOUT_TENANT = {"penstock.alembic_version", "penstock.checkpoints", "vault.failures"}
WITH = """
select n.nspname || '.' || c.relname, exists (
    select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('penstock', 'vault') and c.relkind in ('r', 'p') and not c.relispartition
"""
COLUMNS = """
select column_name, udt_name from information_schema.columns
where table_schema = %s and table_name = %s and is_nullable = 'NO'
"""
ANYTHING = {
    "uuid": "gen_random_uuid()",
    "text": "'x'",
    "bytea": "gen_random_uuid()::text::bytea",
    "json": "'{}'",
    "jsonb": "'{}'",
    "timestamptz": "now()",
    "date": "now()",
    "bool": "false",
    "_text": "'{}'",
}
"""A value for a column of any type that is none of those of numbers."""


class Killed(Exception):
    """The process is gone."""


class Blobs(JetStreamBlobs):
    """A store at which a process dies now and then."""

    lives: int = 1_000

    async def erase(self, name: str) -> None:
        self.lives -= 1
        if self.lives == 0:
            raise Killed
        await super().erase(name)


@dataclass
class House:
    """Two tenants, each with a run that has ended, one that goes on, objects and a workflow."""

    nc: Client
    url: str
    blobs: Blobs
    proofs: Proofs
    engine: Engine
    projector_url: str
    owner_url: str
    events: Tape = field(default_factory=Tape)
    registry: Tape = field(default_factory=Tape)
    lives: dict[str, Life] = field(default_factory=dict)

    def asked(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        """What the database answers its owner."""
        with psycopg.connect(self.owner_url, autocommit=True) as owner:
            cursor = owner.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def counts(self, tenant: str) -> dict[str, int]:
        """How many rows a tenant has, by table; without those that have none."""
        found = {}
        for (name,) in self.asked(TABLES):
            query = f"select count(*) from {name} where tenant_id = %s"
            if number := int(str(self.asked(query, tenant)[0][0])):
                found[str(name)] = number
        return found

    async def objects(self, tenant: str) -> list[Stored]:
        """What a tenant has in the store."""
        return [each async for each in self.blobs.of_tenant(tenant)]

    def erasure(self, after_ms: int = LATER) -> Erasure:
        """The worker as it is so long after the deletion."""
        return Erasure(
            self.nc,
            self.blobs,
            self.proofs,
            self.engine,
            self.projector_url,
            now=lambda: T0 + after_ms,
        )

    def delete(self) -> None:
        """Delete one of them."""
        subject = subjects.registry(GONE, TENANT, GONE)
        self.registry.append(subject, [TenantDeleted(deleted_at=T0)], at=T0)

    def end(self) -> None:
        """Have its live run end, as a scheduler does."""
        self.lives[GONE].tell(CancelRun(reason="the tenant was deleted"))
        for step in self.lives[GONE].held:
            self.lives[GONE].complete(step)
        assert self.lives[GONE].run.is_over

    async def told(self) -> list[object]:
        """What the log says about the deleted tenant."""
        subject = subjects.registry(GONE, TENANT, GONE)
        last = await self.nc.jetstream().get_last_msg(REGISTRY, subject)
        return list(codec_for(TENANT).decode(last.data or b"").events)

    async def project(self) -> None:
        """Bring the rows to the end of both logs."""
        js = self.nc.jetstream()
        for tape in (self.registry, self.events):
            for subject, body in tape.messages:
                await js.publish(subject, body)
            tape.messages.clear()
        last = [(await js.stream_info(log)).state.last_seq for log in (EVENTS, REGISTRY)]
        settings = ProjectorSettings(database_url=self.projector_url)
        projector = Projector(self.nc, settings, end=pytest.fail)
        projector._erasure = self.erasure(-1)
        await projector.start()
        query = "select array_agg(seq order by log) from penstock.checkpoints"
        for _ in range(POLLS):
            if self.asked(query) == [(last,)]:
                break
            await asyncio.sleep(POLL_S)
        await projector.stop()
        assert self.asked(query) == [(last,)]
        assert not projector.runner.halted
        assert self.asked("select count(*) from penstock.quarantined") == [(0,)]


@pytest.fixture
async def house(nats_server: NatsServer, projector_url: str, empty: str) -> AsyncIterator[House]:
    nc = await nats.connect(nats_server.url)
    await bootstrap(nc)
    publisher, direct, blobs = Publisher(nc), Direct(nc), Blobs(nc)
    await publisher.start()
    await direct.start()
    engine = Engine(projector_url, connections_max=1)
    await engine.open()
    proofs = Proofs(JetStreamLog(publisher, direct), lambda: T0 + LATER)
    made = House(nc, nats_server.url, blobs, proofs, engine, projector_url, empty)
    for tenant in (GONE, STAYS):
        await lived(made, tenant)
    await made.project()
    yield made
    await engine.close()
    await publisher.stop()
    await direct.stop()
    await nc.close()


async def lived(house: House, tenant: str) -> None:
    """What a tenant has."""
    config = TenantConfig(limits=Limits(max_workflows=3))
    created = TenantCreated(name=NAME, config=config, created_at=T0, created_by="admin:platform")
    house.registry.append(subjects.registry(tenant, TENANT, tenant), [created], at=T0)
    workflow = WorkflowCreated(
        key="w", name=NAME, visibility=Visibility.TENANT, created_by="key:k", created_at=T0
    )
    house.registry.append(subjects.registry(tenant, WORKFLOW, WORKFLOW_ID), [workflow], at=T0)
    definitions = Definitions(house.blobs)
    for length in (1, 2):
        await definitions.put(tenant, chain(length))
    going = house.lives[tenant] = Life(house.events, chain(1), name="going on", tenant=tenant)
    going.start(tags=("a",))
    ended = Life(house.events, chain(2), name="ended", tenant=tenant)
    ended.start(tags=("a", "b"))
    ended.complete("s0")
    ended.complete("s1")
    await house.blobs.put(b"large", tenant=tenant, run_id=ended.id)


async def test_nothing_is_left_but_the_log_and_the_proof(house: House) -> None:
    others = house.counts(STAYS)
    archived = "select count(*) from penstock.event_archive where tenant_id = %s"
    before = house.asked(archived, GONE)
    house.delete()
    house.end()
    await house.project()
    assert house.asked("select name, config::text from penstock.tenants where tenant_id = %s", GONE)
    assert await house.erasure().work_off() == 0, "a further look has to find nothing"
    assert await house.erasure().work_off() == 1
    (proof,) = await house.told()
    assert isinstance(proof, TenantErased)
    assert proof.rows["penstock.runs"] == 2
    assert proof.objects == 3
    assert proof.object_bytes > len(b"large")
    assert proof.keys_destroyed_at > 0
    await house.project()
    assert (house.counts(GONE), await house.objects(GONE)) == ({}, [])
    assert house.counts(STAYS) == others
    assert len(await house.objects(STAYS)) == 3
    assert house.asked(archived, GONE) == [(int(str(before[0][0])) + 4,)]
    row = house.asked("select name from penstock.tenants where tenant_id = %s", GONE)
    assert row == [("",)]
    assert house.asked("select data_keys from penstock.erasures") == [(0,)]
    report = await verify(house.owner_url, house.url)
    assert report.problems == []
    assert report.deleted == 6
    assert await house.erasure().work_off() == 0


async def test_what_a_living_run_needs_stays_until_it_has_ended(house: House) -> None:
    house.delete()
    await house.project()
    assert await house.erasure().work_off() == 0
    assert house.counts(GONE).keys() == {"penstock.runs", "penstock.run_steps", "penstock.run_tags"}
    assert len(await house.objects(GONE)) == 3
    assert (await verify(house.owner_url, house.url)).problems == []
    house.end()
    await house.project()
    assert [await house.erasure().work_off() for _ in range(2)] == [0, 1]
    assert (house.counts(GONE), await house.objects(GONE)) == ({}, [])


async def test_a_run_that_nobody_can_end_holds_up_nothing_for_ever(house: House) -> None:
    house.delete()
    await house.project()
    late = house.erasure(LIVE_MAX_MS + 1)
    assert [await late.work_off() for _ in range(2)] == [0, 1]
    house.end()
    await house.project()
    assert house.counts(GONE) == {}
    assert (await verify(house.owner_url, house.url)).problems == []


async def test_who_does_not_know_yet_has_a_while_to_hear_of_it(house: House) -> None:
    house.delete()
    house.end()
    await house.project()
    for _ in range(3):
        assert await house.erasure(GRACE_MS - 1).work_off() == 0
    assert house.counts(GONE) == {}
    assert len(await house.objects(GONE)) == 3


async def test_it_may_be_killed_at_any_object(house: House) -> None:
    house.delete()
    house.end()
    await house.project()
    for lives in (1, 2, 1):
        house.blobs.lives = lives
        with pytest.raises(Killed):
            await house.erasure().work_off()
    house.blobs.lives = 1_000
    assert [await house.erasure().work_off() for _ in range(2)] == [0, 1]
    assert (house.counts(GONE), await house.objects(GONE)) == ({}, [])


async def test_a_rebuild_brings_nothing_back(house: House) -> None:
    house.delete()
    house.end()
    await house.project()
    assert [await house.erasure().work_off() for _ in range(2)] == [0, 1]
    await house.project()
    rows = house.counts(STAYS)
    tables = [name for name in rows if str(name).startswith("penstock.")]
    house.asked(f"truncate {', '.join(tables)}, penstock.tenants, penstock.erasures")
    house.asked("truncate penstock.event_archive, penstock.chain_heads")
    house.asked("update penstock.checkpoints set seq = 0, hash = decode(repeat('00', 32), 'hex')")
    await house.project()
    await house.erasure().recheck()
    assert (house.counts(GONE), house.counts(STAYS)) == ({}, rows)
    assert await house.erasure().recheck() == 0
    assert (await verify(house.owner_url, house.url)).problems == []


async def test_what_comes_back_is_found_and_removed(house: House) -> None:
    house.delete()
    house.end()
    await house.project()
    assert [await house.erasure().work_off() for _ in range(2)] == [0, 1]
    await house.project()
    plant(house, "vault.sessions", GONE)
    plant(house, "vault.data_keys", GONE)
    await house.blobs.put(b"late", tenant=GONE)
    problems = (await verify(house.owner_url, house.url)).problems
    assert {each.where for each in problems} == {
        f"vault.sessions {GONE}",
        f"vault.data_keys {GONE}",
    }
    assert await house.erasure().recheck() == 2
    assert (await verify(house.owner_url, house.url)).problems == []
    assert await house.objects(GONE) == []


async def test_runs_that_begin_too_late_get_no_rows(house: House) -> None:
    house.delete()
    house.end()
    await house.project()
    assert [await house.erasure().work_off() for _ in range(2)] == [0, 1]
    await house.project()
    Life(house.events, chain(1), name="late", tenant=GONE).start()
    workflow = WorkflowCreated(
        key="x", name="late", visibility=Visibility.TENANT, created_by="key:k", created_at=T0
    )
    house.registry.append(subjects.registry(GONE, WORKFLOW, STAYS), [workflow], at=T0)
    await house.project()
    assert house.counts(GONE) == {}
    assert (await verify(house.owner_url, house.url)).problems == []


async def test_every_table_is_covered(house: House) -> None:
    """Whoever adds a table with tenants has it emptied, without saying so anywhere."""
    house.delete()
    await house.project()
    for (name,) in house.asked(TABLES):
        for tenant in (GONE, STAYS):
            plant(house, str(name), tenant)
    planted = house.counts(STAYS)
    assert planted.keys() == {name for (name,) in house.asked(TABLES)}
    assert [await house.erasure(LIVE_MAX_MS + 1).work_off() for _ in range(2)] == [0, 1]
    assert (house.counts(GONE), house.counts(STAYS)) == ({}, planted)


def test_every_table_has_a_tenant_or_needs_none(empty: str) -> None:
    with psycopg.connect(empty) as owner:
        found: dict[str, bool] = dict(owner.execute(WITH.encode()).fetchall())
        erased = {name for (name,) in owner.execute(TABLES.encode())}
    assert {name for name, has_tenant in found.items() if not has_tenant} == WITHOUT_TENANT
    assert found.keys() - WITHOUT_TENANT - erased == LEFT


async def test_nothing_goes_of_a_tenant_that_lives(house: House) -> None:
    with (
        psycopg.connect(house.projector_url, autocommit=True) as projector,
        pytest.raises(psycopg.errors.RaiseException),
    ):
        projector.execute("select penstock.erase_rows(%s, 10, true)", [STAYS])
    with pytest.raises(Conflict):
        await house.proofs.record(STAYS, Removed("{}", 0, 0, 0, T0))
    assert await house.erasure().work_off() == 0


@pytest.fixture(autouse=True)
def emptied(empty: str) -> Iterator[None]:
    """No rows of another test's in the vault, which the database of these tests keeps."""
    yield
    with psycopg.connect(empty, autocommit=True) as owner:
        for (name,) in owner.execute(TABLES.encode()).fetchall():
            owner.execute(f"truncate {name}".encode())
        owner.execute("truncate penstock.erasures, vault.erasing, vault.destroyed_keys")


def plant(house: House, table: str, tenant: str) -> None:
    """A row of a tenant's, whatever else is in it."""
    schema, _, name = table.partition(".")
    columns = {str(column): str(kind) for column, kind in house.asked(COLUMNS, schema, name)}
    values = {column: ANYTHING.get(kind, "1") for column, kind in columns.items()}
    values["tenant_id"] = f"'{UUID(tenant)}'"
    query = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(schema, name),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ".join(values.values())),
    )
    with psycopg.connect(house.owner_url, autocommit=True) as owner:
        owner.execute(query)
