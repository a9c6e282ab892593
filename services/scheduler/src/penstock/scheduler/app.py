"""The scheduler, put together: partitions in, decisions, work out, and nobody forgotten."""

import asyncio
import time
from collections.abc import Iterator, Mapping

from nats import errors

from penstock.domain.run.commands import ContinueRun
from penstock.infra.blobs.choice import BlobsCheck, blobs_of
from penstock.infra.definitions import Definitions
from penstock.infra.eventlog.jetstream import JetStreamLog
from penstock.infra.eventlog.transact import Addressed
from penstock.infra.keyring.choice import seals_of
from penstock.infra.nats import subjects
from penstock.infra.nats.bootstrap import Topology
from penstock.infra.nats.dead import DeadLetters
from penstock.infra.nats.direct import Direct, ReadUnavailable
from penstock.infra.nats.publish import Publisher
from penstock.infra.nats.streams import DEFAULT_QUEUE
from penstock.infra.postgres.engine import DatabaseUnavailable, Engine
from penstock.infra.service import Context
from penstock.infra.settings import SchedulerSettings
from penstock.infra.telemetry import logs
from penstock.scheduler.admission import Admission
from penstock.scheduler.aged import Aged
from penstock.scheduler.archive import Archived
from penstock.scheduler.aside import Aside
from penstock.scheduler.cancels import Cancels
from penstock.scheduler.ceilings import Terms
from penstock.scheduler.children import Children, Sources
from penstock.scheduler.configs import Configs
from penstock.scheduler.departures import Departures
from penstock.scheduler.dispatch import Dispatch
from penstock.scheduler.effects import Effects, Ways
from penstock.scheduler.emissions import Emissions
from penstock.scheduler.forks import Forks
from penstock.scheduler.gate_calls import GateCalls
from penstock.scheduler.gate_ledger import GateStore
from penstock.scheduler.gatehouse import Gatehouse
from penstock.scheduler.horizon import Horizon
from penstock.scheduler.intake import Intake
from penstock.scheduler.leases import Leases
from penstock.scheduler.ledger import Keeping, run_ledger
from penstock.scheduler.letters import Letter
from penstock.scheduler.live_runs import LiveRuns
from penstock.scheduler.loads import Loads
from penstock.scheduler.mailboxes import Mailboxes
from penstock.scheduler.payloads import Payloads
from penstock.scheduler.receipts import Receipts
from penstock.scheduler.reconciler import Reconciler
from penstock.scheduler.registry import Registry
from penstock.scheduler.runs import Clock, Runs
from penstock.scheduler.snapshots import RunSnapshots
from penstock.scheduler.timers import Timers
from penstock.scheduler.watch import RunKey, Watch

DRAIN_S = 4.0
"""What a graceful stop gives the letters in hand."""

ADOPT_TOGETHER = 64
"""Runs loaded at once after a take-over."""

ADOPT_RETRY_S = 2.0

DATABASE_CONNECTIONS_MAX = 2

ADMISSION = "scheduler:admission"
"""Who has runs go on that waited for room at the executors."""

logger = logs.logger(__name__)


def wall_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Scheduler:
    """One replica."""

    def __init__(self, context: Context[SchedulerSettings]) -> None:
        nc, me = context.nc, context.settings.instance
        clock = Clock(wall_ms, time.monotonic)
        self._nc = nc
        self._topology = Topology(nc, context.settings.queues)
        self._publisher = Publisher(nc)
        self._direct = Direct(nc)
        url = context.settings.database_url
        self._engine = Engine(url, name=f"penstock-{me}", connections_max=DATABASE_CONNECTIONS_MAX)
        self._blobs = blobs_of(context.settings, nc)
        self._blobs_check = BlobsCheck(self._blobs)
        self._dead = DeadLetters(self._publisher)
        self._receipts = Receipts()
        self._cancels = Cancels(nc)
        log = JetStreamLog(self._publisher, self._direct)
        registry = Registry(log, clock.monotonic)
        queues = (DEFAULT_QUEUE, *context.settings.queues)
        configs = Configs(registry.standing, clock.monotonic)
        admission = Admission(queues, self._admit, self._terms(configs))
        self._watch = Watch(self._holds, admission)
        seals = seals_of(context.settings, self._engine)
        doors = (self._reply, seals.close)
        self._departures = Departures(nc, configs, self._watch, doors, clock.monotonic)
        self._loads = Loads(nc, me, admission.load)
        archive = Archived(self._engine)
        self._horizon = Horizon(self._direct, wall_ms)
        definitions = Definitions(self._blobs)
        payloads = Payloads(self._blobs, self._direct, archive, seals)
        dispatch = Dispatch(self._publisher, self._blobs, Aged(payloads, self._horizon))
        timers = Timers(self._publisher)
        calls = GateCalls(self._publisher, me=me, now=wall_ms)
        store = GateStore(log, payloads, archive, self._horizon.is_old)
        before = self._departures.before
        self._gatehouse = Gatehouse(self._publisher, store, calls, timers, clock, before=before)
        sources = Sources(registry, definitions, payloads, log)
        keeping = Keeping(RunSnapshots(payloads), archive, self._horizon.is_old)
        children = Children(self._publisher, sources, me=me, now=wall_ms)
        emissions = Emissions(log, payloads, me=me, now=wall_ms)
        publisher, cancels = self._publisher, self._cancels
        ways = Ways(publisher, dispatch, timers, cancels, children, emissions, calls)
        self._runs = Runs(
            run_ledger(log, definitions, Forks(payloads), wall_ms, keeping),
            log,
            Effects(ways, me=me, now=wall_ms),
            self._watch,
            clock,
            (self._reply, self._departures.instead_of(Aside(self._publisher).put)),
        )
        self._mailboxes: Mailboxes[RunKey, Letter] = Mailboxes(before(self._runs.work_off))
        self._live_runs = LiveRuns(self._engine, self._direct)
        mailbox = (self._mailboxes.post, self._mailboxes.is_busy)
        self._reconciler = Reconciler(nc, self._watch, dispatch, clock, mailbox, self._share)
        self._leases = Leases(
            self._publisher, self._direct, me, on_taken=self._take, on_lost=self._lose
        )
        self._intakes: dict[int, Intake] = {}
        self._adoptions: dict[int, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Take a share of the partitions and begin."""
        await self._engine.open()
        await self._publisher.start()
        await self._direct.start()
        await self._horizon.start()
        self._cancels.start()
        self._reconciler.start()
        self._gatehouse.start()
        self._loads.start()
        await self._departures.start(self._mailboxes.post)
        await self._leases.start()

    async def stop(self) -> None:
        """Take nothing more in, finish what is in hand, give the partitions back, leave."""
        await self._leases.stop()
        await self._reconciler.stop()
        await self._loads.stop()
        await self._departures.stop()
        for adoption in self._adoptions.values():
            adoption.cancel()
        await asyncio.gather(*(intake.stop() for intake in self._intakes.values()))
        await self._mailboxes.drained(DRAIN_S)
        await self._gatehouse.stop(DRAIN_S)
        await self._receipts.stop(DRAIN_S)
        await self._cancels.stop()
        await self._leases.give_back()
        await self._publisher.stop()
        await self._horizon.stop()
        await self._direct.stop()
        await self._engine.close()

    async def ready(self) -> Mapping[str, bool]:
        """Whether streams and database are there."""
        return {
            "streams": await self._topology.is_whole(),
            "database": await self._engine.is_reachable(),
            **await self._blobs_check.answer(),
        }

    async def _take(self, partition: int) -> None:
        """A partition has become this replica's: read it, and look after its live runs."""
        self._gatehouse.forget(partition)
        doors = (self._mailboxes.post, self._gatehouse.post)
        intake = Intake(self._nc, partition, doors, self._receipts, self._dead)
        self._intakes[partition] = intake
        await intake.start()
        self._adoptions[partition] = asyncio.create_task(self._adopt(partition))

    async def _lose(self, partition: int) -> None:
        """A partition is somebody else's from now on."""
        adoption = self._adoptions.pop(partition, None)
        if adoption is not None:
            adoption.cancel()
        intake = self._intakes.pop(partition, None)
        if intake is not None:
            await intake.stop()
        self._gatehouse.forget(partition)
        for key in [k for k in self._watch.runs if subjects.partition_of(k.run_id) == partition]:
            self._watch.forget(key)

    async def _adopt(self, partition: int) -> None:
        """Find the live runs of a partition and let each go on, so that all are being watched.

        What is held of one from an earlier time, somebody else may have gone on with meanwhile.
        A run that cannot be read now is tried again for as long as the partition is held.
        """
        keys = await self._find(partition)
        missing = dict.fromkeys(keys)
        while missing:
            for together in batched(list(missing), ADOPT_TOGETHER):
                for key in together:
                    self._runs.forget(key)
                    self._mailboxes.post(key, go_on(Adoption(key, missing)))
                await self._mailboxes.drained(DRAIN_S)
            if missing:
                await asyncio.sleep(ADOPT_RETRY_S)
        logger.info("partition taken over", partition=partition, live_runs=len(keys))

    def _holds(self, key: RunKey) -> bool:
        """Whether a run is in a partition of this replica's."""
        return subjects.partition_of(key.run_id) in self._intakes

    def _share(self) -> float:
        """How much of all partitions is this replica's."""
        return len(self._intakes) / subjects.PARTITIONS

    def _terms(self, configs: Configs) -> Terms:
        """What the turns of tenants go by."""
        return Terms(configs.weight, configs.steps_max, self._share, configs.know)

    def _admit(self, key: RunKey) -> None:
        """Have a run go on that was granted room at the executors."""
        self._mailboxes.post(key, Letter(Addressed(ContinueRun(), "admission", ADMISSION)))

    async def _find(self, partition: int) -> list[RunKey]:
        """The live runs of a partition, as soon as they can be known."""
        while True:
            try:
                return await self._live_runs.of_partition(partition)
            except (DatabaseUnavailable, ReadUnavailable) as error:
                logger.warning("live runs unknown", partition=partition, error=str(error))
            await asyncio.sleep(ADOPT_RETRY_S)

    async def _reply(self, subject: str, body: bytes) -> None:
        """Answer whoever waits; somebody who has gone is no error."""
        try:
            await self._nc.publish(subject, body)
        except errors.Error as error:
            logger.debug("no reply", error=str(error))


class Adoption:
    """The receipt of a letter that nobody has sent: tells which runs are still missing."""

    def __init__(self, key: RunKey, missing: dict[RunKey, None]) -> None:
        self._key = key
        self._missing = missing

    def done(self) -> None:
        """The run is looked after."""
        self._missing.pop(self._key, None)

    def failed(self, delay_s: float) -> None:
        """It is not, yet."""


def go_on(adoption: Adoption) -> Letter:
    """The letter that only has a run loaded and its open consequences drawn."""
    return Letter(
        Addressed(command=ContinueRun(), id="adopt", actor="scheduler:adopt"), receipt=adoption
    )


def batched(keys: list[RunKey], size: int) -> Iterator[list[RunKey]]:
    """The keys in turn, so many together."""
    for first in range(0, len(keys), size):
        yield keys[first : first + size]


async def build(context: Context[SchedulerSettings]) -> Scheduler:
    """The scheduler of a process."""
    return Scheduler(context)
