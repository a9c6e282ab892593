"""Removes the objects of runs that are no more: they go when the run's rows and archive have gone.

An object is removed if, and only if, all of this holds:

- it was made for a run, `GRACE_S` before now and before the oldest command that still waits to be
  read: the object is there before the command that begins its run;
- its run has no row, no message in the log, and none in the archive that says anything;
- no message in the archive names it, nor does a state that a run there has gone on from: forks and
  children work on what other runs have made;
- the rows are as far as the log was when the pass began;
- nobody has put it again meanwhile.

What belongs to no run, a definition, is not even looked at. One replica collects at a time.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from nats import errors as nats_errors
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError
from psycopg import AsyncConnection
from psycopg import Error as PostgresError

from penstock.infra.blobs.port import (
    BlobCorrupt,
    BlobMissing,
    Blobs,
    BlobsUnavailable,
    Owner,
    Stored,
    owner_of,
)
from penstock.infra.nats.direct import Direct, ReadUnavailable
from penstock.infra.nats.streams import COMMANDS, EVENTS
from penstock.infra.nats.subjects import run_events
from penstock.infra.postgres.engine import conninfo
from penstock.infra.telemetry import logs, metrics
from penstock.projector.ids import uuid_bytes

GRACE_S = 7 * 86_400
"""An object is there before what refers to it: a command, a report, and then an event."""
FIRST_PASS_S = 60.0
PASS_S = 6 * 3600.0
RETRY_S = 600.0
PAGE = 500
"""Objects whose runs are looked up together."""
GONE_MAX = 10_000
"""Objects that one pass removes; the next one goes on."""
CATCH_UP_LOOKS = 150
CATCH_UP_POLL_S = 0.2
SCAN_TIMEOUT_MS = 600_000
ROWS = 200
COLLECTOR_LOCK = 0x70656E75
"""The advisory lock of the one replica that collects: `penu`, next to the writer's."""

GONE = """
select o.tenant::text, o.run::text
from unnest(%s::uuid[], %s::uuid[]) as o (tenant, run)
where not exists (select from penstock.runs r where r.tenant_id = o.tenant and r.id = o.run)
and not exists (
    select from penstock.event_archive a
    where a.tenant_id = o.tenant and a.subject_id = o.run::text and octet_length(a.body) > 0
)
"""
SPEAKING = """
select body from penstock.event_archive
where tenant_id = any (%s::uuid[]) and position('/runs/'::bytea in body) > 0
"""
REACHED = "select seq from penstock.checkpoints where log = 'events'"

_NAME = re.compile(rb"[A-Za-z0-9_-]{1,64}/runs/[A-Za-z0-9_-]{1,64}/[0-9a-f]{64}")

_STATE = re.compile(rb'"state":\{[^{}]*"blob":"([^"]+)"')
"""A payload is flat, and has no bytes of its own where it is an object."""

_log = logs.logger(__name__)

Connection = AsyncConnection[tuple[Any, ...]]
PASSING = (
    BlobsUnavailable,
    ReadUnavailable,
    PostgresError,
    JetStreamError,
    nats_errors.Error,
    OSError,
    TimeoutError,
)


class NotNow(Exception):
    """Nothing can be said about what is needed; the text says why."""


class Collector:
    """Looks for what can go, again and again."""

    def __init__(self, nc: Client, direct: Direct, blobs: Blobs, database_url: str) -> None:
        self._nc = nc
        self._direct = direct
        self._blobs = blobs
        self._url = database_url

    async def run(self) -> None:
        """A pass now and then, until cancelled."""
        await asyncio.sleep(FIRST_PASS_S)
        while True:
            pause = PASS_S
            try:
                removed = await self.collect(int(time.time() * 1000))
                _log.info("objects collected", removed=removed)
            except NotNow as reason:
                pause = RETRY_S
                _log.info("objects are not collected now", reason=str(reason))
            except PASSING as error:
                pause = RETRY_S
                _log.warning("collecting objects interrupted", error=repr(error))
            await asyncio.sleep(pause)

    async def collect(self, now_ms: int) -> int:
        """One pass; how many objects it removed. Raises `NotNow`, or what a server away raises."""
        async with self._connected() as connection:
            await caught_up(self._nc, connection)
            horizon = min(now_ms, await oldest_command_ms(self._nc, now_ms)) - GRACE_S * 1000
            gone: dict[str, Stored] = {}
            async for page in paged(self._blobs.of_runs(), horizon):
                gone |= {each.name: each for each in await self._without_run(connection, page)}
                if len(gone) >= GONE_MAX:
                    break
            named = await named_in_archive(connection, gone)
            for name in named.objects | await self._named_in(named.states):
                gone.pop(name, None)
            return await self._remove(gone) + await self._blobs.sweep(horizon)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        connection: Connection = await AsyncConnection.connect(
            conninfo(self._url),
            autocommit=True,
            connect_timeout=5,
            application_name="penstock-collector",
            options=f"-c TimeZone=UTC -c statement_timeout={SCAN_TIMEOUT_MS}",
        )
        async with connection:
            cursor = await connection.execute("select pg_try_advisory_lock(%s)", [COLLECTOR_LOCK])
            if await cursor.fetchone() != (True,):
                raise NotNow("another replica collects")
            yield connection

    async def _without_run(self, connection: Connection, page: Sequence[Stored]) -> list[Stored]:
        """Those of a page whose runs nothing is left of: no row, no archive, no log."""
        owners = {each.name: owner_of(each.name) for each in page}
        asked = {owner for owner in owners.values() if owner is not None and is_known(owner)}
        cursor = await connection.execute(
            GONE, [[owner.tenant for owner in asked], [owner.run_id for owner in asked]]
        )
        gone = {Owner(*row) for row in await cursor.fetchall()}
        for owner in list(gone):
            if await self._direct.last(EVENTS, run_events(owner.tenant, owner.run_id)) is not None:
                gone.discard(owner)
        return [each for each in page if owners[each.name] in gone]

    async def _named_in(self, states: set[str]) -> set[str]:
        """The objects that states name; one that is gone itself names none."""
        named: set[str] = set()
        for state in states:
            with suppress(BlobMissing, BlobCorrupt):
                named |= names_in(await self._blobs.get(state))
        return named

    async def _remove(self, gone: dict[str, Stored]) -> int:
        removed = 0
        for name, listed in gone.items():
            if await self._blobs.stat(name) == listed:
                await self._blobs.delete(name)
                metrics.projector_blobs_removed.inc()
                removed += 1
        return removed


class _State(msgspec.Struct):
    messages: int
    first_ts: datetime


class _Info(msgspec.Struct):
    """What the broker says about a stream, as far as it is needed."""

    state: _State


async def oldest_command_ms(nc: Client, now_ms: int) -> int:
    """When the oldest command that waits was given, `now_ms` where none does."""
    answer = await nc.request(f"$JS.API.STREAM.INFO.{COMMANDS}", timeout=5)
    state = msgspec.json.decode(answer.data, type=_Info).state
    return int(state.first_ts.timestamp() * 1000) if state.messages else now_ms


async def paged(found: AsyncIterator[Stored], horizon: int) -> AsyncIterator[list[Stored]]:
    """What was modified before the horizon, ms, in pages."""
    page: list[Stored] = []
    async for each in found:
        if each.modified_at < horizon:
            page.append(each)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def is_known(owner: Owner) -> bool:
    """Whether tables can tell of the owner: what has other ids was never a run of ours."""
    return uuid_bytes(owner.tenant) is not None and uuid_bytes(owner.run_id) is not None


async def caught_up(nc: Client, connection: Connection) -> None:
    """Returns when the rows are as far as the log of events is now, else `NotNow`."""
    last = (await nc.jetstream().stream_info(EVENTS)).state.last_seq
    for _ in range(CATCH_UP_LOOKS):
        if await reached(connection) >= last:
            return
        await asyncio.sleep(CATCH_UP_POLL_S)
    raise NotNow("the read models are behind the log")


async def reached(connection: Connection) -> int:
    """How far the rows are in the log of events."""
    row = await (await connection.execute(REACHED)).fetchone()
    return int(row[0]) if row else 0


class Named(NamedTuple):
    """What messages name: objects, and those of them that are states to go on from."""

    objects: set[str]
    states: set[str]


def names_in(text: bytes) -> set[str]:
    """The objects of runs that a text names."""
    return {name.decode() for name in _NAME.findall(text)}


async def named_in_archive(connection: Connection, gone: Iterable[str]) -> Named:
    """What the archive names of the tenants that some object is of."""
    tenants = sorted({name.partition("/")[0] for name in gone})
    named = Named(set(), set())
    if not tenants:
        return named
    async with connection.transaction(), connection.cursor("speaking") as cursor:
        cursor.itersize = ROWS
        await cursor.execute(SPEAKING, [tenants])
        async for (body,) in cursor:
            named.objects.update(names_in(body))
            named.states.update(state.decode() for state in _STATE.findall(body))
    return named
