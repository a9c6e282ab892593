"""What each tenant has stored, as it is measured."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import nats
import psycopg
import pytest

from penstock.dev.nats_server import NatsServer
from penstock.domain.tenant.events import TenantConfig
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.nats.bootstrap import bootstrap
from penstock.messages.envelope import encode
from penstock.projector import measuring
from penstock.projector.measuring import MEASURING_LOCK, Measuring
from tests.integration.projector.rows import plant_run

MUCH, LITTLE, NOTHING, GONE = (UUID(int=n) for n in range(1, 5))
MADE = """
insert into penstock.tenants (tenant_id, name, config, created_at, updated_at, deleted_at)
values (%s, 't', %s, now(), now(), %s)
"""
MEASURED = "select tenant_id, object_bytes, row_bytes from penstock.stored_bytes"
LARGE = 100_000
ROWS = 3_000


@pytest.fixture
async def blobs(nats_server: NatsServer) -> AsyncIterator[JetStreamBlobs]:
    nc = await nats.connect(nats_server.url)
    await bootstrap(nc)
    yield JetStreamBlobs(nc)
    await nc.close()


@pytest.fixture
def tenants(empty: str) -> None:
    """Three that live, and one that was deleted."""
    config = encode(TenantConfig()).decode()
    with psycopg.connect(empty, autocommit=True) as owner:
        owner.execute("truncate penstock.stored_bytes")
        for tenant in (MUCH, LITTLE, NOTHING, GONE):
            owner.execute(MADE, [tenant, config, "2026-11-20" if tenant == GONE else None])
        for tenant, runs in ((MUCH, 30), (LITTLE, 3), (GONE, 1)):
            for _ in range(runs):
                plant_run(owner, tenant, uuid4())


def measured(url: str) -> dict[UUID, tuple[int, int]]:
    """Bytes of objects and rows by tenant."""
    with psycopg.connect(url) as owner:
        return {tenant: (objects, rows) for tenant, objects, rows in owner.execute(MEASURED)}


async def test_objects_and_rows_are_summed_up_by_tenant(
    blobs: JetStreamBlobs, tenants: None, empty: str, projector_url: str
) -> None:
    await blobs.put(bytes(LARGE), tenant=str(MUCH))
    await blobs.put(bytes(LARGE), tenant=str(MUCH), run_id="r")
    await blobs.put(b"x", tenant=str(GONE))
    await blobs.put(b"x", tenant="nobody")
    assert await Measuring(blobs, projector_url).measure() == 4
    found = measured(empty)
    assert found.keys() == {MUCH, LITTLE, NOTHING}
    assert (found[MUCH][0], found[LITTLE][0]) == (2 * LARGE, 0)
    assert found[MUCH][1] > 5 * found[LITTLE][1] > 0
    assert 0 < found[NOTHING][1] < found[LITTLE][1]


async def test_what_is_measured_anew_replaces_what_was(
    blobs: JetStreamBlobs, tenants: None, empty: str, projector_url: str
) -> None:
    await Measuring(blobs, projector_url).measure()
    before = measured(empty)
    with psycopg.connect(empty, autocommit=True) as owner:
        owner.execute("delete from penstock.runs where tenant_id = %s", [MUCH])
        owner.execute("delete from penstock.tenants where tenant_id = %s", [LITTLE])
    await Measuring(blobs, projector_url).measure()
    after = measured(empty)
    assert after.keys() == {MUCH, NOTHING}
    assert after[MUCH][1] < before[MUCH][1]


async def test_a_large_table_is_estimated_from_some_of_its_pages(
    blobs: JetStreamBlobs,
    tenants: None,
    empty: str,
    projector_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with psycopg.connect(empty, autocommit=True) as owner:
        for _ in range(ROWS):
            plant_run(owner, MUCH, uuid4())
    await Measuring(blobs, projector_url).measure()
    whole = measured(empty)[MUCH][1]
    monkeypatch.setattr(measuring, "SAMPLED_PAGES", 40)
    await Measuring(blobs, projector_url).measure()
    assert measured(empty)[MUCH][1] == pytest.approx(whole, rel=0.7)


async def test_only_one_replica_measures(
    blobs: JetStreamBlobs, tenants: None, empty: str, projector_url: str
) -> None:
    with psycopg.connect(empty, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [MEASURING_LOCK])
        assert await Measuring(blobs, projector_url).measure() == 0
