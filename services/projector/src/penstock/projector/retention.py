"""Removes runs that ended longer ago than their tenant wants to keep them.

Their rows go, and what their messages in the archive say; the hashes stay, so that every chain can
be followed as before (`penstock.expire_runs`). Their objects go with them, by the collector. It is
done in batches, by one replica at a time. Nothing is removed that a waiting command may be about.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from nats import errors as nats_errors
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError
from psycopg import AsyncConnection
from psycopg import Error as PostgresError

from penstock.domain.tenant.events import TenantConfig
from penstock.infra.postgres.engine import JsonText, conninfo
from penstock.infra.telemetry import logs, metrics
from penstock.projector.collector import oldest_command_ms

FIRST_PASS_S = 90.0
PASS_S = 3600.0
RETRY_S = 600.0
BATCH = 200
"""Runs removed together: a transaction that nobody has to wait for."""
BREATH_S = 0.1
"""Between two batches, for those who write what happens now."""
BATCHES_MAX = 500
"""Of one tenant in one pass; the next pass goes on."""
STATEMENT_TIMEOUT_MS = 120_000
RETENTION_LOCK = 0x70656E76
"""The advisory lock of the one replica that removes: `penv`, next to the collector's."""

TENANTS = "select tenant_id, config from penstock.tenants where deleted_at is null order by 1"
EXPIRE = "select penstock.expire_runs(%s, %s, %s)"

_log = logs.logger(__name__)
_decode = msgspec.json.Decoder(TenantConfig).decode

Connection = AsyncConnection[tuple[Any, ...]]
PASSING = (PostgresError, JetStreamError, nats_errors.Error, OSError, TimeoutError)


class Retention:
    """Looks for what is to go, again and again."""

    def __init__(self, nc: Client, database_url: str) -> None:
        self._nc = nc
        self._url = database_url

    async def run(self) -> None:
        """A pass now and then, until cancelled."""
        await asyncio.sleep(FIRST_PASS_S)
        while True:
            pause = PASS_S
            try:
                removed = await self.remove(int(time.time() * 1000))
                if removed:
                    _log.info("runs removed", removed=removed)
            except PASSING as error:
                pause = RETRY_S
                _log.warning("removing runs interrupted", error=repr(error))
            await asyncio.sleep(pause)

    async def remove(self, now_ms: int) -> int:
        """One pass; how many runs it removed. Raises what a server away raises."""
        horizon_ms = min(now_ms, await oldest_command_ms(self._nc, now_ms))
        removed = 0
        async with self._connected() as connection:
            if connection is None:
                return 0
            cursor = await connection.execute(TENANTS)
            for tenant_id, config in await cursor.fetchall():
                days = max(1, _decode(config).limits.retention_days)
                before = datetime.fromtimestamp(horizon_ms / 1000, UTC) - timedelta(days=days)
                removed += await self._of_tenant(connection, tenant_id, before)
        return removed

    async def _of_tenant(self, connection: Connection, tenant_id: Any, before: datetime) -> int:
        removed = 0
        for _ in range(BATCHES_MAX):
            cursor = await connection.execute(EXPIRE, [tenant_id, before, BATCH])
            row = await cursor.fetchone()
            count = int(row[0]) if row else 0
            removed += count
            metrics.projector_runs_removed.inc(count)
            if count < BATCH:
                break
            await asyncio.sleep(BREATH_S)
        return removed

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection | None]:
        """A connection that holds the lock; None while another replica does."""
        connection: Connection = await AsyncConnection.connect(
            conninfo(self._url),
            autocommit=True,
            connect_timeout=5,
            application_name="penstock-retention",
            options=f"-c TimeZone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS}",
        )
        connection.adapters.register_loader("json", JsonText)
        async with connection:
            cursor = await connection.execute("select pg_try_advisory_lock(%s)", [RETENTION_LOCK])
            yield connection if await cursor.fetchone() == (True,) else None
