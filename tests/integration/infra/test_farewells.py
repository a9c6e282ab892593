"""The word that a tenant is deleted, as every process hears it."""

import asyncio

import nats

from penstock.dev.nats_server import NatsServer
from penstock.domain.tenant.events import (
    TenantConfig,
    TenantCreated,
    TenantDeleted,
    TenantErased,
    TenantRenamed,
)
from penstock.infra.farewells import Farewells
from penstock.infra.nats import subjects
from penstock.infra.nats.bootstrap import bootstrap
from penstock.messages.catalogue import TENANT, WORKFLOW
from tests.unit.projector.lives import T0, Tape

GONE, STAYS = "0190a000-0000-7000-8000-00000000000e", "0190a000-0000-7000-8000-00000000000f"
WITHIN_S = 10.0
ERASED = TenantErased(
    erased_at=T0, keys_destroyed_at=T0, data_keys=0, rows={}, objects=0, object_bytes=0
)


async def test_only_the_end_of_a_tenant_is_a_farewell(nats_server: NatsServer) -> None:
    nc = await nats.connect(nats_server.url)
    await bootstrap(nc)
    heard: asyncio.Queue[str] = asyncio.Queue()
    farewells = Farewells(nc, heard.put_nowait)
    await farewells.start()
    tape = Tape()
    for tenant in (STAYS, GONE):
        made = TenantCreated(name="t", config=TenantConfig(), created_at=T0, created_by="key:k")
        tape.append(subjects.registry(tenant, TENANT, tenant), [made], at=T0)
    tape.append(subjects.registry(STAYS, TENANT, STAYS), [TenantRenamed(name="u")], at=T0)
    tape.append_raw(subjects.registry(STAYS, TENANT, STAYS), b"nothing that anybody can read")
    tape.append_raw(subjects.registry(STAYS, WORKFLOW, STAYS), b"of something else")
    for event in (TenantDeleted(deleted_at=T0), ERASED):
        tape.append(subjects.registry(GONE, TENANT, GONE), [event], at=T0)
    for subject, body in tape.messages:
        await nc.jetstream().publish(subject, body)
    assert [await asyncio.wait_for(heard.get(), WITHIN_S) for _ in range(2)] == [GONE, GONE]
    assert heard.empty()
    await farewells.stop()
    await nc.close()
