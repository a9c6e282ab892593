"""The executor, put together: work comes in, runs, and leaves as reports."""

import asyncio
from collections.abc import Mapping
from time import monotonic

from faststream.nats import NatsRouter
from msgspec import Struct
from nats.aio.client import Client

from penstock.executor import control
from penstock.executor.allowances import Allowances
from penstock.executor.connections import Connection
from penstock.executor.credentials import Credentials
from penstock.executor.holdings import Holdings
from penstock.executor.intake import Intake
from penstock.executor.payloads import Payloads
from penstock.executor.planning import plan_at
from penstock.executor.plans import Plans
from penstock.executor.report import Reporter
from penstock.executor.transport import GuardedTransport
from penstock.executor.worker import Worker
from penstock.infra.blobs.choice import BlobsCheck, blobs_of
from penstock.infra.definitions import Definitions
from penstock.infra.egress.allowed import parse_allowed
from penstock.infra.egress.guard import Guard
from penstock.infra.eventlog.jetstream import JetStreamLog
from penstock.infra.expressions import Expressions
from penstock.infra.farewells import Farewells
from penstock.infra.keyring.choice import data_keys_of
from penstock.infra.keyring.payloads import Seals
from penstock.infra.nats.dead import DeadLetters
from penstock.infra.nats.delivery import Delivery
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.publish import Publisher
from penstock.infra.nats.streams import EVENTS
from penstock.infra.postgres.engine import Engine
from penstock.infra.secrets import Vault
from penstock.infra.service import FLUSH_S, Context, StartRefused
from penstock.infra.settings import ExecutorSettings
from penstock.infra.telemetry.logs import logger
from penstock.infra.telemetry.metrics import executor_capacity

GRACE_SECONDS_MAX = 5.0
"""What running steps get to come to their end when the process is told to stop."""
STOP_SECONDS_MAX = 0.5
"""What those that did not get to stop."""
LAST_WORDS_SECONDS_MAX = 0.5
"""What the last reports get to be acknowledged."""
DATABASE_CONNECTIONS_MAX = 2
"""Look-ups of secrets are rare, short, and shared by all steps that ask the same."""
OPENAI = "OPENAI_API_KEY"
"""What the installation's own way to models is called where something is wrong with it."""
SPARE_SECONDS = 0.1
"""What is left over, for the bound on all of it must not be what ends it."""

_log = logger(__name__)


class Farewell(Struct, frozen=True):
    """How a stop spends its seconds."""

    grace: float
    stop: float
    last_words: float


def farewell(seconds: float) -> Farewell:
    """The parts of a stop that may take `seconds` in all, the process's own part included."""
    ours = max(seconds - FLUSH_S, FLUSH_S)
    stop = min(STOP_SECONDS_MAX, ours / 4)
    last_words = min(LAST_WORDS_SECONDS_MAX, ours / 4)
    grace = min(GRACE_SECONDS_MAX, ours - stop - last_words - SPARE_SECONDS)
    return Farewell(grace, stop, last_words)


class Executor:
    """One executor on a connection that somebody else owns."""

    def __init__(self, nc: Client, settings: ExecutorSettings) -> None:
        self.executor_id = settings.instance
        self.queues = tuple(dict.fromkeys(settings.executor_queues))
        self.concurrency = settings.executor_concurrency
        self._farewell = farewell(settings.graceful_timeout_s)
        self._publisher = Publisher(nc)
        self._direct = Direct(nc)
        self._engine = Engine(
            settings.database_url,
            name=f"penstock-executor:{self.executor_id}",
            connections_max=DATABASE_CONNECTIONS_MAX,
        )
        data_keys = data_keys_of(settings, self._engine)
        seals = Seals(data_keys)
        log = JetStreamLog(self._publisher, self._direct)
        allowances = Allowances(log, seals.texts, monotonic)
        guard = Guard(
            parse_allowed(settings.egress_allow),
            ports=settings.egress_ports,
            allowed_of=allowances.of,
        )
        self._transport = GuardedTransport(guard)
        blobs = blobs_of(settings, nc)
        self._blobs_check = BlobsCheck(blobs)
        self.holdings = Holdings(Delivery.ack)
        self._reporter = Reporter(self._publisher, self.executor_id, self.holdings.settle)
        payloads = Payloads(blobs, seals, allowances, self._events_at)
        self._farewells = Farewells(nc, payloads.close)
        self.worker = Worker(
            plans=Plans(Definitions(blobs), Expressions().evaluate, plan_at),
            payloads=payloads,
            reporter=self._reporter,
            transport=self._transport,
            credentials=Credentials(Vault(self._engine, data_keys), openai=openai_of(settings)),
            concurrency=settings.executor_concurrency,
        )
        self._intake = Intake(
            nc,
            self.queues,
            worker=self.worker,
            reporter=self._reporter,
            holdings=self.holdings,
            letters=DeadLetters(self._publisher),
        )
        self._tasks: list[asyncio.Task[None]] = []
        executor_capacity.set(settings.executor_concurrency)

    async def start(self) -> None:
        """Take in work from now on."""
        await self._engine.open()
        await self._publisher.start()
        await self._direct.start()
        await self._farewells.start()
        self._tasks = [
            asyncio.create_task(self._intake.keep_alive()),
        ]
        await self._intake.start()

    async def stop(self) -> None:
        """Finish or hand back what is in hand, say so, and leave."""
        await self._farewells.stop()
        await self._intake.stop()
        await self.worker.leave(self._farewell.grace, self._farewell.stop)
        try:
            async with asyncio.timeout(self._farewell.last_words):
                await self._reporter.silence()
                await self._publisher.stop()
        except TimeoutError:
            _log.warning("left with reports unacknowledged", reports=self._reporter.unacknowledged)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transport.close()
        await self._direct.stop()
        await self._engine.close()

    async def ready(self) -> Mapping[str, bool]:
        """Whether its stream, the consumer of each of its queues and the object store are there."""
        missing = self._intake.missing
        queues = {f"queue {queue}": False for queue in missing}
        return {"streams": not missing, **queues, **await self._blobs_check.answer()}

    async def _events_at(self, sequence: int) -> bytes | None:
        recorded = await self._direct.by_seq(EVENTS, sequence)
        return None if recorded is None else recorded.body


def openai_of(settings: ExecutorSettings) -> Connection | None:
    """How the installation asks models; None where it has no key."""
    key = settings.openai_api_key.get_secret_value()
    if not key:
        return None
    return Connection("openai", {"baseUrl": settings.openai_base_url}, {"apiKey": key}, OPENAI)


async def build(context: Context[ExecutorSettings]) -> Executor:
    """The executor of this process."""
    try:
        return Executor(context.nc, context.settings)
    except ValueError as error:
        raise StartRefused(f"PENSTOCK_EGRESS_ALLOW: {error}") from error


def subscribers(executor: Executor) -> NatsRouter:
    """What it hears besides work."""
    about = control.About(executor.executor_id, executor.queues, executor.concurrency)
    return control.router(about, executor.worker, executor.holdings)
