"""Runs of tenants that were deleted come to their ends, and nobody stumbles on what is left."""

from uuid import uuid4

import psycopg
from nats.aio.client import Client

from penstock.domain.run.commands import CancelRun
from penstock.domain.tenant.events import (
    TenantConfig,
    TenantCreated,
    TenantDeleted,
    TenantErased,
    TenantEvent,
)
from penstock.infra.nats import subjects
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.nats.streams import COMMANDS, DEAD_LETTERS
from penstock.messages.catalogue import TENANT
from penstock.messages.envelope import CommandMessage, encode
from tests.conftest import with_login
from tests.e2e.waiting import until
from tests.integration.scheduler.replicas import Replicas
from tests.unit.projector.lives import T0, Tape

WITHIN_S = 40.0
CREATED = TenantCreated(name="t", config=TenantConfig(), created_at=T0, created_by="admin:platform")
ERASED = TenantErased(
    erased_at=T0, keys_destroyed_at=T0, data_keys=0, rows={}, objects=0, object_bytes=0
)


class Tenant:
    """A tenant of the test's own, as the registry tells it."""

    def __init__(self, nc: Client, replicas: Replicas) -> None:
        self.id = replicas.tenant = str(uuid4())
        self._nc = nc
        self._tape = Tape()

    async def tell(self, *events: TenantEvent) -> None:
        """One more decision about it."""
        self._tape.append(subjects.registry(self.id, TENANT, self.id), events, at=T0)
        await self._nc.jetstream().publish(*self._tape.messages[-1])


async def count(nc: Client, stream: str) -> int:
    """How many messages a stream has."""
    return (await nc.jetstream().stream_info(stream)).state.messages


async def test_whoever_takes_over_ends_the_runs_and_begins_none(
    nc: Client,
    replicas: Replicas,
    schedulers_database: str,
    role_passwords: dict[str, str],
) -> None:
    tenant = Tenant(nc, replicas)
    await tenant.tell(CREATED)
    first = await replicas.start("one")
    runs = await replicas.begin(3)
    await replicas.until_dispatched(runs)
    first.kill()
    await tenant.tell(TenantDeleted(deleted_at=T0))
    api = with_login(schedulers_database, "penstock_api", role_passwords["penstock_api"])
    with psycopg.connect(api) as connection:
        connection.execute("select vault.destroy_data_keys(%s)", [tenant.id])
    late = await replicas.begin(2)
    await replicas.start("two")

    async def are_over() -> bool:
        return all([(await replicas.history(each))[-1:] == ["RunCancelled"] for each in runs])

    await until(are_over, within_s=WITHIN_S, what="the ends of all runs")
    await until(lambda: is_empty(nc), within_s=WITHIN_S, what="no command")
    assert [await replicas.history(each) for each in late] == [[], []]
    assert await count(nc, DEAD_LETTERS) == 0


async def test_the_word_of_a_deletion_ends_runs_at_once(nc: Client, replicas: Replicas) -> None:
    tenant = Tenant(nc, replicas)
    await tenant.tell(CREATED)
    await replicas.start("one")
    runs = await replicas.begin(2)
    await replicas.until_dispatched(runs)
    await tenant.tell(TenantDeleted(deleted_at=T0))

    async def are_over() -> bool:
        return all([(await replicas.history(each))[-1:] == ["RunCancelled"] for each in runs])

    await until(are_over, within_s=WITHIN_S, what="the ends of all runs")


async def test_what_comes_for_a_tenant_that_is_erased_is_settled_and_no_dead_letter(
    nc: Client, replicas: Replicas
) -> None:
    tenant = Tenant(nc, replicas)
    await tenant.tell(CREATED)
    first = await replicas.start("one")
    (run,) = await replicas.begin(1)
    await replicas.until_dispatched([run])
    first.kill()
    await tenant.tell(TenantDeleted(deleted_at=T0))
    blobs = JetStreamBlobs(nc)
    async for each in blobs.of_tenant(tenant.id):
        await blobs.erase(each.name)
    before = await replicas.history(run)
    await tenant.tell(ERASED)
    cancel = CommandMessage(id="late", actor="test", at=0, command=CancelRun())
    await nc.jetstream().publish(subjects.command(tenant.id, "run", run), encode(cancel))
    await replicas.start("two")
    await until(lambda: is_empty(nc), within_s=WITHIN_S, what="no command")
    assert await count(nc, DEAD_LETTERS) == 0
    assert await replicas.history(run) == before


async def is_empty(nc: Client) -> bool:
    """Whether no command waits."""
    return await count(nc, COMMANDS) == 0
