"""What is removed of runs that ended too long ago, and all that must stay."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import nats
import psycopg
import pytest
from nats.aio.client import Client

from penstock.dev.nats_server import NatsServer
from penstock.domain.ids import derived
from penstock.domain.tenant.events import Limits, TenantConfig, TenantCreated
from penstock.infra.definitions import Definitions
from penstock.infra.nats import subjects
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.nats.streams import EVENTS
from penstock.infra.settings import ProjectorSettings
from penstock.messages.catalogue import TENANT
from penstock.projector.app import Projector
from penstock.projector.audit.command import verify
from penstock.projector.retention import RETENTION_LOCK, Retention
from tests.unit.projector.lives import T0, Life, Tape, chain

KEPT_DAYS = {
    "0190a000-0000-7000-8000-00000000000a": 1,
    "0190a000-0000-7000-8000-00000000000b": 36_500,
}
BRIEF, PATIENT = KEPT_DAYS
"""The runs of these tests ended some days ago."""
EMPTIED = "select count(*) from penstock.event_archive where octet_length(body) = 0"
POLLS = 400
POLL_S = 0.05


@dataclass
class House:
    """Two tenants, each with a run that has ended and one that goes on."""

    nc: Client
    url: str
    projector_url: str
    owner_url: str

    def asked(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        """What the database answers its owner."""
        with psycopg.connect(self.owner_url, autocommit=True) as owner:
            cursor = owner.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def count(self, table: str, tenant: str) -> int:
        """How many rows a tenant has in a table."""
        query = f"select count(*) from penstock.{table} where tenant_id = %s"
        return int(str(self.asked(query, tenant)[0][0]))

    async def remove(self) -> int:
        """One pass, now."""
        return await Retention(self.nc, self.projector_url).remove(int(time.time() * 1000))

    async def project(self) -> None:
        """Bring the rows to the end of the log."""
        last = (await self.nc.jetstream().stream_info(EVENTS)).state.last_seq
        settings = ProjectorSettings(database_url=self.projector_url)
        projector = Projector(self.nc, settings, end=pytest.fail)
        await projector.start()
        for _ in range(POLLS):
            if self.asked("select seq from penstock.checkpoints where log = 'events'") == [(last,)]:
                break
            await asyncio.sleep(POLL_S)
        await projector.stop()
        assert not projector.runner.halted


@pytest.fixture
async def house(nats_server: NatsServer, projector_url: str, empty: str) -> AsyncIterator[House]:
    nc = await nats.connect(nats_server.url)
    await bootstrap(nc)
    tape, registry = Tape(), Tape()
    definitions = Definitions(JetStreamBlobs(nc))
    for tenant, days in KEPT_DAYS.items():
        for length in (1, 2):
            await definitions.put(tenant, chain(length))
        config = TenantConfig(limits=Limits(retention_days=days))
        made = TenantCreated(name="t", config=config, created_at=T0, created_by="admin:platform")
        registry.append(subjects.registry(tenant, TENANT, tenant), [made], at=T0)
        Life(tape, chain(1), name="going on", tenant=tenant).start(tags=("a",))
        ended = Life(tape, chain(2), name="ended", tenant=tenant)
        ended.start(tags=("a", "b"))
        ended.complete("s0")
        ended.complete("s1")
    for subject, body in [*registry.messages, *tape.messages]:
        await nc.jetstream().publish(subject, body)
    made_house = House(nc, nats_server.url, projector_url, empty)
    await made_house.project()
    yield made_house
    await nc.close()


async def test_what_ended_too_long_ago_goes_and_nothing_else(house: House) -> None:
    before = {t: house.count("event_archive", t) for t in KEPT_DAYS}
    assert await house.remove() == 1
    assert [house.count(t, BRIEF) for t in ("runs", "run_steps", "run_tags")] == [1, 1, 1]
    assert [house.count(t, PATIENT) for t in ("runs", "run_steps", "run_tags")] == [2, 3, 3]
    ((status,),) = house.asked("select status from penstock.runs where tenant_id = %s", BRIEF)
    assert status == "running"
    assert {t: house.count("event_archive", t) for t in KEPT_DAYS} == before
    assert await house.remove() == 0


async def test_what_is_left_can_still_be_audited(house: House) -> None:
    assert (await verify(house.owner_url, house.url)).problems == []
    await house.remove()
    report = await verify(house.owner_url, house.url)
    assert report.problems == []
    assert report.expired == house.asked(EMPTIED)[0][0] == 3
    assert report.runs == 3


async def test_a_hash_that_was_changed_of_what_is_gone_is_found(house: House) -> None:
    await house.remove()
    changed = "update penstock.event_archive set hash = sha256(hash) where octet_length(body) = 0"
    house.asked(changed)
    report = await verify(house.owner_url, house.url)
    assert {problem.kind for problem in report.problems} >= {"log_chain", "tenant_chain", "stream"}


async def test_a_run_that_is_there_without_its_history_is_found(house: House) -> None:
    house.asked("update penstock.event_archive set body = '' where tenant_id = %s", PATIENT)
    report = await verify(house.owner_url, None)
    emptied = {p.where for p in report.problems if p.detail.endswith("were emptied")}
    assert emptied == {f"runs {PATIENT} {derived(PATIENT, name)}" for name in ("ended", "going on")}


async def test_the_projector_goes_on_at_a_message_that_is_kept_no_more(house: House) -> None:
    house.asked('update penstock.tenants set config = \'{"limits": {"retentionDays": 1}}\'')
    assert await house.remove() == 2
    await house.project()


async def test_only_one_replica_removes(house: House) -> None:
    with psycopg.connect(house.owner_url, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [RETENTION_LOCK])
        assert await house.remove() == 0
    assert await house.remove() == 1


async def test_nothing_goes_that_a_waiting_command_may_be_about(house: House) -> None:
    command = subjects.command(BRIEF, "run", "0190b000-0000-7000-8000-000000000001")
    await house.nc.jetstream().publish(command, b"{}")
    long_after = int(time.time() * 1000) + 400 * 86_400_000
    house.asked("update penstock.runs set finished_at = now() where finished_at is not null")
    assert await Retention(house.nc, house.projector_url).remove(long_after) == 0


async def test_the_projector_cannot_remove_what_has_not_ended(house: House) -> None:
    query = "select penstock.expire_runs(%s, now() + interval '9 years', 10)"
    with psycopg.connect(house.projector_url, autocommit=True) as projector:
        assert projector.execute(query, [BRIEF]).fetchone() == (1,)
        assert projector.execute(query, [BRIEF]).fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            projector.execute("update penstock.event_archive set body = ''")
