"""Removes what deleted tenants had, again and again until nothing is left, and says so in the log.

A tenant that the log says is deleted loses, in this order:

1. its data keys, should that have failed before, and every row but those of its runs;
2. the rows of its runs, once schedulers have brought those that lived to their ends;
3. its objects, definitions included: until then schedulers need these to end runs;
4. and `TenantErased` is appended, with what was removed, as soon as a further look finds nothing.

Every batch is a transaction that counts itself, and each look begins anew, so that it may be killed
at any point. What somebody who did not know yet puts there afterwards is found by later looks. One
replica erases at a time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from nats import errors as nats_errors
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError
from psycopg import AsyncConnection
from psycopg import Error as PostgresError

from penstock.domain.errors import Contention
from penstock.infra.blobs.port import Blobs, BlobsUnavailable
from penstock.infra.eventlog.log import AppendUnknown, LogUnavailable
from penstock.infra.postgres.engine import DatabaseUnavailable, Engine, conninfo
from penstock.infra.telemetry import logs, metrics
from penstock.projector.collector import NotNow, caught_up
from penstock.projector.proofs import Proofs, Removed

PAUSE_S = 2.0
"""Between two looks for tenants that were deleted."""
RETRY_S = 10.0
RECHECK_S = 3600.0
"""Between two looks at what was erased before; the first is when a process begins."""
RECENT_MS = 86_400_000
"""Objects of tenants that were erased longer ago are not looked for any more: who may have put
them there has heard of it long since."""
GRACE_MS = 15_000
"""So long after the deletion somebody may still act who does not know of it."""
LIVE_MAX_MS = 3_600_000
"""Runs that live on for longer than this after the deletion can be ended by nobody: their rows go
all the same."""
TENANTS_MAX = 100
"""Looked at in one pass."""
BATCH = 500
"""Rows removed together: a transaction that nobody has to wait for."""
BATCHES_MAX = 1_000
"""Of one tenant in one pass; the next pass goes on."""
BREATH_S = 0.02
"""Between two batches, or two tenants looked at again, for those who write what happens now."""
OBJECTS_MAX = 10_000
COUNTED = 50
"""Objects that are counted together; so many at most go uncounted when a process is killed."""
STATEMENT_TIMEOUT_MS = 120_000
ERASURE_LOCK = 0x70656E77
"""The advisory lock of the one replica that erases: `penw`, next to retention's."""

DELETED = """
select t.tenant_id, t.deleted_at from penstock.tenants t
where t.deleted_at is not null and not exists (
    select from penstock.erasures e where e.tenant_id = t.tenant_id)
order by t.deleted_at limit %(most)s
"""
ERASED = "select tenant_id, erased_at from penstock.erasures order by erased_at desc"
ERASE = "select penstock.erase_rows(%s, %s, %s)"
HAS_RUNS = "select exists (select from penstock.runs where tenant_id = %s)"
COUNT = "select penstock.count_erased(%s, '{}', %s, %s)"
SO_FAR = "select * from penstock.erased_so_far(%s)"

_log = logs.logger(__name__)

Connection = AsyncConnection[tuple[Any, ...]]
PASSING = (
    AppendUnknown,
    BlobsUnavailable,
    Contention,
    DatabaseUnavailable,
    LogUnavailable,
    PostgresError,
    JetStreamError,
    nats_errors.Error,
    OSError,
    TimeoutError,
)


class Deleted(NamedTuple):
    """A tenant that was deleted; at: when that was, or when it was erased, ms since the epoch."""

    tenant: UUID
    at: int


class Erasure:
    """Looks for tenants that were deleted. now: ms since the epoch."""

    def __init__(
        self,
        nc: Client,
        blobs: Blobs,
        proofs: Proofs,
        engine: Engine,
        database_url: str,
        *,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._nc = nc
        self._blobs = blobs
        self._proofs = proofs
        self._engine = engine
        self._url = database_url
        self._now = now
        self._recheck_at = 0.0

    async def run(self) -> None:
        """A pass now and then, until cancelled."""
        while True:
            pause = PAUSE_S
            try:
                await self.work_off()
                if time.monotonic() >= self._recheck_at:
                    await self.recheck()
                    self._recheck_at = time.monotonic() + RECHECK_S
            except NotNow as reason:
                _log.info("tenants are not erased now", reason=str(reason))
            except PASSING as error:
                pause = RETRY_S
                _log.warning("erasing tenants interrupted", error=repr(error))
            await asyncio.sleep(pause)

    async def work_off(self) -> int:
        """One pass over what was deleted; how many tenants are gone for good.

        Raises `NotNow`, or what a server away raises.
        """
        async with self._engine.transaction() as session:
            rows = await session.all(DELETED, {"most": TENANTS_MAX})
        if not rows:
            return 0
        done = 0
        async with self._connected() as connection:
            for row in rows:
                deleted = Deleted(row["tenant_id"], ms_of(row["deleted_at"]))
                done += await self._erased(connection, deleted)
        return done

    async def recheck(self) -> int:
        """Remove what has come back of tenants that were erased; how much that was."""
        removed = 0
        async with self._connected() as connection:
            cursor = await connection.execute(ERASED)
            for tenant, erased_at in await cursor.fetchall():
                found = await self._remove_rows(connection, tenant, whole=True)
                if self._now() - ms_of(erased_at) < RECENT_MS:
                    found += await self._remove_objects(connection, tenant)
                if found:
                    _log.warning("remains removed", tenant=str(tenant), removed=found)
                removed += found
                await asyncio.sleep(BREATH_S)
        return removed

    async def _erased(self, connection: Connection, deleted: Deleted) -> bool:
        """Whether nothing is left of a tenant, and the log says so."""
        tenant, age = deleted.tenant, self._now() - deleted.at
        whole = age > LIVE_MAX_MS
        if await self._remove_rows(connection, tenant, whole=whole):
            _log.info("rows of a deleted tenant removed", tenant=str(tenant))
        if age < GRACE_MS:
            return False
        await caught_up(self._nc, connection)
        if await self._remove_rows(connection, tenant, whole=whole):
            return False
        (has_runs,) = await one(connection, HAS_RUNS, tenant)
        if has_runs or await self._remove_objects(connection, tenant):
            return False
        rows, objects, size, keys, destroyed_at = await one(connection, SO_FAR, tenant)
        removed = Removed(rows, objects, size, keys, ms_of(destroyed_at))
        await self._proofs.record(str(tenant), removed)
        metrics.projector_tenants_erased.inc()
        _log.info("tenant erased", tenant=str(tenant), objects=objects)
        return True

    async def _remove_rows(self, connection: Connection, tenant: UUID, *, whole: bool) -> int:
        """How many rows were removed. whole: those of runs that live, too."""
        removed = 0
        for _ in range(BATCHES_MAX):
            (count,) = await one(connection, ERASE, tenant, BATCH, whole)
            removed += count
            if count < BATCH:
                break
            await asyncio.sleep(BREATH_S)
        return removed

    async def _remove_objects(self, connection: Connection, tenant: UUID) -> int:
        """How many objects were removed."""
        removed, objects, size = 0, 0, 0
        async for each in self._blobs.of_tenant(str(tenant)):
            await self._blobs.erase(each.name)
            removed, objects, size = removed + 1, objects + 1, size + each.size
            if objects == COUNTED:
                await connection.execute(COUNT, [tenant, objects, size])
                objects, size = 0, 0
            if removed == OBJECTS_MAX:
                break
        if objects:
            await connection.execute(COUNT, [tenant, objects, size])
        return removed

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        """A connection that holds the lock; `NotNow` while another replica does."""
        connection: Connection = await AsyncConnection.connect(
            conninfo(self._url),
            autocommit=True,
            connect_timeout=5,
            application_name="penstock-erasure",
            options=f"-c TimeZone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS}",
        )
        async with connection:
            cursor = await connection.execute("select pg_try_advisory_lock(%s)", [ERASURE_LOCK])
            if await cursor.fetchone() != (True,):
                raise NotNow("another replica erases")
            yield connection


async def one(connection: Connection, query: str, *parameters: object) -> tuple[Any, ...]:
    """The one row that a query answers."""
    row = await (await connection.execute(query.encode(), parameters)).fetchone()
    assert row is not None, "a query for one row"
    return row


def ms_of(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return int(moment.timestamp() * 1000)
