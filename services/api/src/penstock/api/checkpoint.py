"""How far the read models are: what reads that must see a certain write wait for.

A projector that fills another database announces what it has, too. So each announcement names its
database, and only those of our own count.
"""

import asyncio
from heapq import heappop, heappush
from itertools import count

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from penstock.api.positions import EVENTS, REGISTRY
from penstock.infra.nats import subjects
from penstock.infra.postgres.engine import DatabaseUnavailable, Engine
from penstock.infra.postgres.schema import DATABASE
from penstock.infra.telemetry import logs

WAIT_S = 2.0
"""How long an answer waits for the read models to pass its position."""

REFRESH_S = 0.5
"""How long the rows are asked themselves; they answer at once, or their server is away."""

STORED = "select log, seq from penstock.checkpoints"

_log = logs.logger(__name__)


class Announced(Struct):
    """What a projector says after each batch: the last sequence of each log in its rows."""

    database: str = ""
    events: int = 0
    registry: int = 0


_decode = msgspec.json.Decoder(Announced).decode


class Checkpoint:
    """Follows the projector's announcements; one subscription for all who wait."""

    def __init__(self, nc: Client, engine: Engine) -> None:
        self._nc = nc
        self._engine = engine
        self._passed = {EVENTS: 0, REGISTRY: 0}
        self._waiting: dict[str, list[tuple[int, int, asyncio.Future[None]]]] = {
            EVENTS: [],
            REGISTRY: [],
        }
        self._order = count()
        self._database = ""
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._subscription = await self._nc.subscribe(subjects.CHECKPOINT, cb=self._on_announced)

    async def stop(self) -> None:
        """Listen no more."""
        if self._subscription is not None and not self._nc.is_closed:
            await self._subscription.unsubscribe()

    def passed(self, log: str) -> int:
        """The sequence up to which the rows hold `log`, as far as is known here."""
        return self._passed[log]

    async def reached(self, log: str, seq: int, *, timeout_s: float = WAIT_S) -> bool:
        """Whether the rows hold `log` up to `seq`, at the latest after `timeout_s`."""
        if self._passed[log] >= seq:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting[log], (seq, next(self._order), future))
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            await self.refresh()
        return self._passed[log] >= seq

    async def _on_announced(self, msg: Msg) -> None:
        try:
            announced = _decode(msg.data)
        except msgspec.DecodeError as error:
            _log.warning("unreadable checkpoint", error=str(error))
            return
        if not self._database:
            await self.refresh()
        if announced.database != self._database:
            return
        self._pass(EVENTS, announced.events)
        self._pass(REGISTRY, announced.registry)

    async def refresh(self) -> bool:
        """Ask the rows themselves; whether they answered.

        An announcement may have been missed, or none made since this process started.
        """
        try:
            async with asyncio.timeout(REFRESH_S), self._engine.transaction() as session:
                own = await session.one(DATABASE)
                rows = await session.all(STORED)
        except (DatabaseUnavailable, TimeoutError):
            return False
        self._database = own["database"] if own else ""
        for row in rows:
            self._pass(row["log"], row["seq"])
        return True

    def _pass(self, log: str, seq: int) -> None:
        """A projector that was restored may begin anew lower; whoever waits is told by what is."""
        if log not in self._passed:
            return
        self._passed[log] = seq
        waiting = self._waiting[log]
        while waiting and waiting[0][0] <= seq:
            future = heappop(waiting)[2]
            if not future.done():
                future.set_result(None)
