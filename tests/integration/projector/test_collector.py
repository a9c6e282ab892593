"""What goes with a run that is no more, and all that must stay."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import nats
import psycopg
import pytest
from nats.aio.client import Client

from penstock.dev.nats_server import NatsServer
from penstock.domain.ids import derived
from penstock.domain.payload import Payload
from penstock.infra.blobs.port import Stored
from penstock.infra.nats import subjects
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.streams import COMMANDS, EVENTS
from penstock.infra.settings import ProjectorSettings
from penstock.projector.app import Projector
from penstock.projector.collector import COLLECTOR_LOCK, GRACE_S, Collector, NotNow
from tests.unit.projector.lives import Life, Tape, chain

TENANT = "0190a000-0000-7000-8000-000000000001"
LATER_MS = (GRACE_S + 3600) * 1000
POLLS = 400
POLL_S = 0.05


class Blobs(JetStreamBlobs):
    """A store in which, now and then, something is put again just before it is removed."""

    renewed: str = ""

    async def stat(self, name: str) -> Stored | None:
        found = await super().stat(name)
        renewed = found is not None and name == self.renewed
        return Stored(name, found.modified_at + 1) if renewed and found else found


@dataclass
class House:
    """A log, its rows, and the objects of its runs."""

    nc: Client
    blobs: Blobs
    collector: Collector
    projector_url: str
    owner_url: str

    async def lived(self, *names: str, borrowed: Payload | None = None) -> list[str]:
        """Runs that are in the log, in the rows and in the archive; the object of each."""
        tape, kept = Tape(), []
        for name in names:
            life = Life(tape, chain(1), name=name, tenant=TENANT)
            life.start(**({} if borrowed is None else {"input": borrowed}))
            life.complete("s0")
            kept.append(await self.kept(life.id))
        for subject, body in tape.messages:
            await self.nc.jetstream().publish(subject, body)
        await self.project()
        return kept

    async def kept(self, run_id: str, data: bytes = b"large") -> str:
        """An object of a run's."""
        return await self.blobs.put(data, tenant=TENANT, run_id=run_id)

    async def project(self) -> None:
        """Bring the rows to the end of the log."""
        last = (await self.nc.jetstream().stream_info(EVENTS)).state.last_seq
        settings = ProjectorSettings(database_url=self.projector_url)
        projector = Projector(self.nc, settings, end=lambda _: None)
        await projector.start()
        query = "select seq from penstock.checkpoints where log = 'events'"
        for _ in range(POLLS):
            if self.asked(query) == [(last,)]:
                break
            await asyncio.sleep(POLL_S)
        await projector.stop()
        assert self.asked(query) == [(last,)]

    def asked(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        """What the database answers its owner."""
        with psycopg.connect(self.owner_url, autocommit=True) as owner:
            cursor = owner.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def forget(self, name: str, *tables: str) -> None:
        """Remove a run from the rows and the archive, or from one of them."""
        column = {"runs": "id", "event_archive": "subject_id"}
        for table in tables or column:
            query = f"delete from penstock.{table} where tenant_id = %s and {column[table]} = %s"
            self.asked(query, TENANT, derived(TENANT, name))

    async def age_out(self) -> None:
        """Wait until the log has none of its messages any more."""
        js = self.nc.jetstream()
        config = (await js.stream_info(EVENTS)).config
        await js.update_stream(config.evolve(max_age=0.2, duplicate_window=0.2))
        for _ in range(POLLS):
            if not (await js.stream_info(EVENTS)).state.messages:
                return
            await asyncio.sleep(POLL_S)
        raise AssertionError("the log forgets nothing")

    async def collect(self, *, later_ms: int = LATER_MS) -> int:
        """One pass, as if so much time had gone by."""
        return await self.collector.collect(int(time.time() * 1000) + later_ms)

    async def there(self) -> set[str]:
        """The objects that are kept with a run."""
        return {each.name async for each in self.blobs.of_runs()}


@pytest.fixture
async def house(nats_server: NatsServer, projector_url: str, empty: str) -> AsyncIterator[House]:
    nc = await nats.connect(nats_server.url)
    await bootstrap(nc)
    direct, blobs = Direct(nc), Blobs(nc)
    await direct.start()
    collector = Collector(nc, direct, blobs, projector_url)
    yield House(nc, blobs, collector, projector_url, empty)
    await direct.stop()
    await nc.close()


async def test_objects_go_with_their_runs_and_nothing_else_goes(house: House) -> None:
    stays, goes = await house.lived("stays", "goes")
    never = await house.kept(derived(TENANT, "never began"))
    strange = await house.kept("not-a-uuid")
    definition = await house.blobs.put(b"a definition", tenant=TENANT)
    house.forget("goes")
    await house.age_out()
    assert await house.collect() == 2
    assert await house.there() == {stays, strange}
    assert not {goes, never} & await house.there()
    assert await house.blobs.get(definition) == b"a definition"
    assert await house.collect() == 0


async def test_what_the_log_still_has_stays(house: House) -> None:
    (still,) = await house.lived("in the log")
    house.forget("in the log")
    assert await house.collect() == 0
    assert await house.there() == {still}


@pytest.mark.parametrize("table", ["runs", "event_archive"])
async def test_what_rows_or_archive_still_have_stays(house: House, table: str) -> None:
    (half,) = await house.lived("half gone")
    house.forget("half gone", table)
    await house.age_out()
    assert await house.collect() == 0
    assert await house.there() == {half}


async def test_what_another_run_works_on_stays_until_that_goes_too(house: House) -> None:
    borrowed = (await house.lived("lender"))[0]
    input_ = Payload(size=5, sha256=borrowed.rpartition("/")[2], blob=borrowed)
    tape = Tape()
    borrower = Life(tape, chain(1), name="borrower", tenant=TENANT)
    borrower.start(input=input_)
    for subject, body in tape.messages:
        await house.nc.jetstream().publish(subject, body)
    await house.project()
    house.forget("lender")
    await house.age_out()
    assert await house.collect() == 0
    assert await house.there() == {borrowed}
    house.forget("borrower")
    assert await house.collect() == 1
    assert await house.there() == set()


async def test_what_a_state_names_that_a_run_went_on_from_stays(house: House) -> None:
    """A fork of a fork knows of the first run by its state alone."""
    never, fork = derived(TENANT, "first of three"), derived(TENANT, "third")
    lent, own = await house.kept(never), await house.kept(never, b"of no use to others")
    state = await house.kept(fork, b'{"steps":{"a":{"output":{"blob":"%s"}}}}' % lent.encode())
    payload = {"size": 1, "sha256": state.rpartition("/")[2], "blob": state}
    body = msgspec.json.encode({"events": [{"type": "RunForked", "state": payload}]})
    await house.nc.jetstream().publish(subjects.run_events(TENANT, fork), body)
    await house.project()
    await house.age_out()
    assert await house.collect() == 1
    assert await house.there() == {lent, state}
    assert own not in await house.there()
    house.forget("third")
    assert await house.collect() == 2


async def test_what_is_young_stays(house: House) -> None:
    await house.kept(derived(TENANT, "about to begin"))
    assert await house.collect(later_ms=0) == 0
    assert len(await house.there()) == 1


async def test_what_a_waiting_command_may_begin_stays(house: House) -> None:
    run_id = derived(TENANT, "waits")
    await house.kept(run_id)
    await house.nc.jetstream().publish(subjects.command(TENANT, "run", run_id), b"{}")
    assert await house.collect() == 0
    await house.nc.jetstream().purge_stream(COMMANDS)
    assert await house.collect() == 1


async def test_what_is_put_again_meanwhile_stays(house: House) -> None:
    house.blobs.renewed = await house.kept(derived(TENANT, "again"))
    other = await house.kept(derived(TENANT, "again"), b"other")
    assert await house.collect() == 1
    assert await house.there() == {house.blobs.renewed} - {other}


async def test_nothing_is_said_while_rows_are_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.projector.collector.CATCH_UP_LOOKS", 2)
    await house.kept(derived(TENANT, "unknown"))
    await house.nc.jetstream().publish(subjects.run_events(TENANT, "r-1"), b"unread")
    with pytest.raises(NotNow, match="behind"):
        await house.collect()
    assert len(await house.there()) == 1


async def test_one_replica_collects_at_a_time(house: House) -> None:
    await house.kept(derived(TENANT, "never began"))
    with psycopg.connect(house.owner_url, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [COLLECTOR_LOCK])
        with pytest.raises(NotNow, match="another"):
            await house.collect()
    for _ in range(POLLS):
        with suppress(NotNow):
            assert await house.collect() == 1
            return
        await asyncio.sleep(POLL_S)
