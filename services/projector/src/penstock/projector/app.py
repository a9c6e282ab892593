"""The projector, put together: both logs in, rows out."""

import asyncio
import time
from collections.abc import Callable, Mapping

from nats.aio.client import Client

from penstock.infra.blobs.choice import BlobsCheck, blobs_of
from penstock.infra.definitions import Definitions
from penstock.infra.eventlog.jetstream import JetStreamLog
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.publish import Publisher
from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.schema import is_migrated
from penstock.infra.service import Context
from penstock.infra.settings import ProjectorSettings
from penstock.infra.telemetry import logs
from penstock.projector.collector import Collector
from penstock.projector.erasure import Erasure
from penstock.projector.measuring import Measuring
from penstock.projector.proofs import Proofs
from penstock.projector.retention import Retention
from penstock.projector.runner import Runner
from penstock.projector.sources import StoredSources

READ_TIMEOUT_S = 2.0

_log = logs.logger(__name__)


class Projector:
    """One projector on a connection that somebody else owns."""

    def __init__(
        self, nc: Client, settings: ProjectorSettings, *, end: Callable[[str], None]
    ) -> None:
        self._engine = Engine(settings.database_url, name=settings.instance, connections_max=1)
        self._direct = Direct(nc, timeout_s=READ_TIMEOUT_S)
        blobs = blobs_of(settings, nc)
        self._blobs_check = BlobsCheck(blobs)
        self._definitions = Definitions(blobs)
        self.runner = Runner(
            nc,
            self._direct,
            settings.database_url,
            name=settings.instance,
            sources=StoredSources(blobs, self._definitions),
        )
        self._end = end
        self._collector = Collector(nc, self._direct, blobs, settings.database_url)
        self._retention = Retention(nc, settings.database_url)
        self._publisher = Publisher(nc)
        proofs = Proofs(JetStreamLog(self._publisher, self._direct), now_ms)
        self._erasure = Erasure(nc, blobs, proofs, self._engine, settings.database_url)
        self._measuring = Measuring(blobs, settings.database_url)
        self._keeping_house: list[asyncio.Task[None]] = []
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow the logs; returns at once, whatever servers are up."""
        await self._direct.start()
        await self._publisher.start()
        await self._engine.open()
        self._running = asyncio.create_task(self.runner.run())
        self._running.add_done_callback(self._ended)
        for each in (self._collector, self._retention, self._erasure, self._measuring):
            keeping = asyncio.create_task(each.run())
            keeping.add_done_callback(self._ended)
            self._keeping_house.append(keeping)

    async def stop(self) -> None:
        """Finish the batch in hand and leave; the next writer goes on from the checkpoint."""
        self.runner.stop()
        for keeping in self._keeping_house:
            keeping.cancel()
        await asyncio.gather(*self._keeping_house, return_exceptions=True)
        if self._running is not None:
            await self._running
        await self._engine.close()
        await self._publisher.stop()
        await self._direct.stop()

    async def ready(self) -> Mapping[str, bool]:
        """Whether it writes or could take over, on tables of this release."""
        return {
            "log": not self.runner.halted,
            "database": self.runner.is_connected,
            "migrated": await is_migrated(self._engine),
            **await self._blobs_check.answer(),
        }

    def _ended(self, running: asyncio.Task[None]) -> None:
        """A fault of ours ends the process: a new one begins at the checkpoint."""
        if not running.cancelled() and (error := running.exception()) is not None:
            _log.error("projecting failed", exc_info=error)
            self._end(f"projecting failed: {error}")


def now_ms() -> int:
    """Now, in ms since the epoch."""
    return time.time_ns() // 1_000_000


async def build(context: Context[ProjectorSettings]) -> Projector:
    """The projector of this process."""
    return Projector(context.nc, context.settings, end=context.end)
