"""Measures what each tenant has stored: its objects, and its rows in the read models.

Objects are summed up exactly, from one listing of the store. Of a table up to `SAMPLED_PAGES` large
all rows are measured; of a larger one about so many pages, and what they hold is scaled up, so what
it says of a tenant with few rows among many may be far off, and of large tenants is not. It costs
nothing but one pass an hour, by one replica at a time.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, sql
from psycopg import Error as PostgresError

from penstock.infra.blobs.port import Blobs, BlobsUnavailable
from penstock.infra.postgres.engine import conninfo
from penstock.infra.telemetry import logs

FIRST_PASS_S = 15.0
PASS_S = 3600.0
RETRY_S = 600.0
SAMPLED_PAGES = 1_000
"""Of 8 KiB, read of each table in one pass."""
BREATH_S = 0.1
"""Between two tables, for those who write what happens now."""
STATEMENT_TIMEOUT_MS = 120_000
MEASURING_LOCK = 0x70656E78
"""The advisory lock of the one replica that measures: `penx`, next to the erasure's."""

TABLES = """
select c.relname, pg_relation_size(c.oid) / current_setting('block_size')::bigint
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
where n.nspname = 'penstock' and c.relkind = 'r' and not c.relispartition order by 1
"""
MEASURE = """
select tenant_id, sum(pg_column_size(t.*))::bigint from {} t tablesample system ({}) group by 1
"""
KEEP = """
insert into penstock.stored_bytes (tenant_id, measured_at, object_bytes, row_bytes)
select m.tenant_id, now(), m.object_bytes, m.row_bytes
from unnest(%s::uuid[], %s::bigint[], %s::bigint[]) as m (tenant_id, object_bytes, row_bytes)
join penstock.tenants t on t.tenant_id = m.tenant_id and t.deleted_at is null
on conflict (tenant_id) do update set measured_at = excluded.measured_at,
    object_bytes = excluded.object_bytes, row_bytes = excluded.row_bytes
"""
FORGET = "delete from penstock.stored_bytes where measured_at < now()"

_log = logs.logger(__name__)

Connection = AsyncConnection[tuple[Any, ...]]
PASSING = (BlobsUnavailable, PostgresError, OSError, TimeoutError)


class Measuring:
    """Measures, again and again."""

    def __init__(self, blobs: Blobs, database_url: str) -> None:
        self._blobs = blobs
        self._url = database_url

    async def run(self) -> None:
        """A pass now and then, until cancelled."""
        await asyncio.sleep(FIRST_PASS_S)
        while True:
            pause = PASS_S
            try:
                await self.measure()
            except PASSING as error:
                pause = RETRY_S
                _log.warning("measuring interrupted", error=repr(error))
            await asyncio.sleep(pause)

    async def measure(self) -> int:
        """One pass; how many tenants have anything. Raises what a server away raises."""
        async with self._connected() as connection:
            if connection is None:
                return 0
            objects = await self._of_objects()
            rows = await self._of_rows(connection)
            tenants = sorted(objects.keys() | rows.keys())
            sizes = [[counted[each] for each in tenants] for counted in (objects, rows)]
            async with connection.transaction():
                await connection.execute(KEEP, [tenants, *sizes])
                await connection.execute(FORGET)
        return len(tenants)

    async def _of_objects(self) -> Counter[UUID]:
        """Bytes of objects by tenant."""
        found: Counter[UUID] = Counter()
        async for each in self._blobs.everything():
            tenant = tenant_of(each.name)
            if tenant is not None:
                found[tenant] += each.size
        return found

    async def _of_rows(self, connection: Connection) -> Counter[UUID]:
        """Bytes of rows by tenant, as samples tell it."""
        found: Counter[UUID] = Counter()
        for table, pages in await (await connection.execute(TABLES)).fetchall():
            percent = min(100.0, 100.0 * SAMPLED_PAGES / max(1, pages))
            name = sql.Identifier("penstock", table)
            query = sql.SQL(MEASURE).format(name, sql.Literal(percent))
            async for tenant, size in await connection.execute(query):
                found[tenant] += round(size * 100.0 / percent)
            await asyncio.sleep(BREATH_S)
        return found

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection | None]:
        """A connection that holds the lock; None while another replica does."""
        connection: Connection = await AsyncConnection.connect(
            conninfo(self._url),
            autocommit=True,
            connect_timeout=5,
            application_name="penstock-measuring",
            options=f"-c TimeZone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS}",
        )
        async with connection:
            cursor = await connection.execute("select pg_try_advisory_lock(%s)", [MEASURING_LOCK])
            yield connection if await cursor.fetchone() == (True,) else None


def tenant_of(name: str) -> UUID | None:
    """The tenant that an object is of; None for what is not of ours."""
    try:
        return UUID(name.partition("/")[0])
    except ValueError:
        return None
