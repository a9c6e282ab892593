"""`penstock audit verify`: connects, audits, tells."""

import asyncio
from uuid import UUID

import nats
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from penstock.infra.blobs.choice import blobs_of
from penstock.infra.definitions import Definitions
from penstock.infra.nats.direct import Direct
from penstock.infra.settings import SharedSettings
from penstock.projector.audit.graphs import Graphs
from penstock.projector.audit.report import Kind, Report
from penstock.projector.audit.states import States
from penstock.projector.audit.stream import Stream
from penstock.projector.audit.verify import Audit, OpenStream, auditing
from penstock.projector.entry import STREAMS, Log

NATS_CONNECT_S = 2
"""Without an answer until then the stream is left out: nats-py would try for minutes."""


async def verify(owner_url: str, nats_url: str | None, *, tenant: UUID | None = None) -> Report:
    """Audit everything, or one tenant. Raises psycopg's OperationalError without Postgres.

    nats_url: None, or a server that does not answer, leaves the stream out of it.
    """
    nc = await _connected(nats_url)
    try:
        async with auditing(owner_url) as connection:
            blobs = None if nc is None else blobs_of(SharedSettings(), nc)
            graphs = Graphs(connection, None if blobs is None else Definitions(blobs))
            streams, states = await _streams(nc), States(blobs)
            audit = Audit(connection, graphs, streams, states, tenant=tenant)
            return await audit.run()
    finally:
        if nc is not None:
            await nc.close()


async def _connected(url: str | None) -> Client | None:
    if url is None:
        return None
    try:
        async with asyncio.timeout(NATS_CONNECT_S):
            return await nats.connect(url, connect_timeout=NATS_CONNECT_S, error_cb=_unheard)
    except (nats.errors.Error, OSError, TimeoutError):
        return None


async def _unheard(_error: Exception) -> None:
    """Whether NATS answers is part of the report."""


async def _streams(nc: Client | None) -> OpenStream:
    direct = None if nc is None else Direct(nc)
    if direct is not None:
        await direct.start()

    async def opened(log: Log, report: Report) -> Stream | None:
        if nc is None or direct is None:
            return None
        try:
            state = (await nc.jetstream().stream_info(STREAMS[log])).state
        except (JetStreamError, nats.errors.Error, TimeoutError) as error:
            report.add(Kind.STREAM, STREAMS[log], f"cannot be read: {error}")
            return None
        if state.messages != max(0, state.last_seq - state.first_seq + 1):
            report.add(Kind.STREAM, STREAMS[log], "has holes")
        return Stream(direct, log, report, first=state.first_seq, last=state.last_seq)

    return opened


def run(owner_url: str, nats_url: str | None, *, tenant: UUID | None = None) -> Report:
    """`verify`, in an event loop of its own."""
    return asyncio.run(verify(owner_url, nats_url, tenant=tenant))
