"""Follows both logs and writes what they say, for ever.

One projector writes; others wait for its lock. Whatever fails in between, it begins again at the
checkpoint: the stream has everything. Only a log that does not hang together stops it for good.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

import msgspec
from nats import errors as nats_errors
from nats.aio.client import Client
from psycopg import Error as PostgresError

from penstock.infra.blobs.port import BlobsUnavailable
from penstock.infra.nats.direct import Direct, ReadUnavailable
from penstock.infra.nats.subjects import CHECKPOINT
from penstock.infra.nats.tail import Gap, Tail
from penstock.infra.telemetry import logs, metrics
from penstock.messages.chains import Broken, Head
from penstock.projector.entry import STREAMS, Entry, Log, read
from penstock.projector.intake import BATCH_MAX, Intake
from penstock.projector.sources import Sources
from penstock.projector.store import CheckpointMoved, Store

ORDER = (Log.REGISTRY, Log.EVENTS)
"""Where both have something the registry goes first, for events refer to it."""

STANDBY_S = 1.0
"""How often a standby asks for the lock; so long at most nobody writes after the writer died."""

IDLE_CHECK_S = 5.0
"""A quiet writer asks the database whether it is still there."""

BUSY_BATCH = 16
"""Messages in one batch that show that there is much to do."""

BREATH_S = 0.01
"""How long a writer lets messages come together after a batch: a large one costs half as much a
message, and a batch for every single step takes from the steps the processors that they run on.
Where there is little to do it ends as soon as something comes that somebody may wait for."""

RETRY_FIRST_S = 0.1
RETRY_MAX_S = 2.0

PASSING = (
    PostgresError,
    CheckpointMoved,
    BlobsUnavailable,
    ReadUnavailable,
    nats_errors.Error,
    OSError,
)
"""What another attempt may mend, a stream that is not made yet included."""

_log = logs.logger(__name__)


class Runner:
    """The projector's one task. halted: why it will write no more, empty while all is well."""

    def __init__(
        self, nc: Client, direct: Direct, database_url: str, *, name: str, sources: Sources
    ) -> None:
        self._nc = nc
        self._direct = direct
        self._url = database_url
        self._name = name
        self._sources = sources
        self._heads: dict[Log, Head] = {}
        self._database = ""
        self._stopping = asyncio.Event()
        self._arrived = asyncio.Event()
        self._pressing = asyncio.Event()
        self._retry_s = RETRY_FIRST_S
        self.is_connected = False
        self.halted = ""

    async def run(self) -> None:
        """Until `stop`; a batch that is being written is finished first."""
        while not self._stopping.is_set():
            try:
                await self._serve()
            except Halt as halt:
                self._halt(halt)
                return
            except PASSING as error:
                _log.warning("projecting interrupted", error=f"{type(error).__name__}: {error}")
                await self._pause()
            finally:
                self.is_connected = False
                for log in Log:
                    metrics.projector_active.labels(log).set(0)

    def stop(self) -> None:
        """Finish the batch in hand, then leave `run`."""
        self._stopping.set()
        self._arrived.set()
        self._pressing.set()

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), self._retry_s)
        except TimeoutError:
            self._retry_s = min(2 * self._retry_s, RETRY_MAX_S)

    def _halt(self, halt: "Halt") -> None:
        self.halted = str(halt)
        metrics.projector_halted.labels(halt.log).set(1)
        _log.critical("the log does not hang together; nothing is projected", reason=self.halted)

    async def _serve(self) -> None:
        """Connect, become the writer, write until something happens."""
        async with AsyncExitStack() as stack:
            store = await Store.connect(self._url, name=self._name)
            stack.push_async_callback(store.close)
            self.is_connected = True
            self._database = await store.database()
            while not await store.became_writer():
                if await self._stopped_within(STANDBY_S):
                    return
            followed = [await self._follow(log, store, stack) for log in ORDER]
            await self._announce()
            await self._write(store, followed)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _follow(self, log: Log, store: Store, stack: AsyncExitStack) -> "Followed":
        """Begin to read a log right after its checkpoint, whose message must be the known one."""
        head = await store.head(log)
        self._heads[log] = head
        await self._check_same_log(log, store, head)
        intake = Intake(log, self._arrived, self._pressing)
        tail = Tail(self._nc, STREAMS[log], (), head.seq + 1, intake.on_message)
        try:
            await tail.start()
        except Gap as gap:
            raise Halt(log, gap) from gap
        stack.push_async_callback(tail.stop)
        ended = asyncio.create_task(tail.wait())
        ended.add_done_callback(lambda _: self._arrived.set())
        stack.callback(ended.cancel)
        metrics.projector_active.labels(log).set(1)
        return Followed(intake, ended)

    async def _check_same_log(self, log: Log, store: Store, head: Head) -> None:
        """The stream must hold, at the checkpoint, what the archive holds there."""
        if head.seq == 0:
            return
        kept = await self._direct.by_seq(STREAMS[log], head.seq)
        if kept is None:
            return
        if not await store.has_archived(read(log, kept.seq, kept.subject, kept.body)):
            raise Halt(log, Broken(f"message {head.seq} is not the one that was archived"))

    async def _write(self, store: Store, followed: Sequence["Followed"]) -> None:
        """Batch after batch, of whatever has arrived."""
        while not self._stopping.is_set():
            self._arrived.clear()
            for each in followed:
                if batch := each.intake.batch():
                    await self._apply(store, each.intake, batch)
                    await self._breathe(len(batch), followed)
                    self._arrived.set()
                    break
                if each.ended.done():
                    raise_end(each)
            try:
                await asyncio.wait_for(self._arrived.wait(), IDLE_CHECK_S)
            except TimeoutError:
                await store.check()

    async def _breathe(self, messages: int, followed: Sequence["Followed"]) -> None:
        """Let messages come together after a batch of so many; a full one has to wait for none."""
        if messages >= BATCH_MAX:
            return
        if messages >= BUSY_BATCH:
            await asyncio.sleep(BREATH_S)
            return
        self._pressing.clear()
        if self._stopping.is_set() or any(each.intake.is_pressing for each in followed):
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._pressing.wait(), BREATH_S)

    async def _apply(self, store: Store, intake: Intake, batch: list[Entry]) -> None:
        log = intake.log
        metrics.projector_lag_events.labels(log).set(len(batch) + len(intake) + intake.pending)
        began = time.monotonic()
        try:
            now_ms = int(time.time() * 1000)
            await store.apply(log, batch, now_ms=now_ms, sources=self._sources)
        except Broken as broken:
            raise Halt(log, broken) from broken
        self._retry_s = RETRY_FIRST_S
        self._heads[log] = Head(batch[-1].seq)
        await self._announce()
        metrics.projector_batch_seconds.labels(log).observe(time.monotonic() - began)
        metrics.projector_batch_events.labels(log).observe(len(batch))
        metrics.projector_applied.labels(log).inc(len(batch))
        metrics.projector_lag_events.labels(log).set(len(intake) + intake.pending)
        flawed = sum(entry.decision is None for entry in batch)
        if flawed:
            metrics.projector_undecodable.labels(log).inc(flawed)
        last = batch[-1].decision
        lag_ms = now_ms - last.at if last is not None and (intake or intake.pending) else 0
        metrics.projector_lag_seconds.labels(log).set(max(0, lag_ms) / 1000)

    async def _announce(self) -> None:
        """Tell whoever waits for a position how far the rows are, and in which database."""
        reached = {str(log): head.seq for log, head in self._heads.items()}
        said = {"database": self._database, **reached}
        await self._nc.publish(CHECKPOINT, msgspec.json.encode(said))


class Halt(Exception):
    """A log does not hang together; going on would hide what was lost or changed."""

    def __init__(self, log: Log, why: Exception) -> None:
        super().__init__(f"{log}: {why}")
        self.log = log


class Followed(msgspec.Struct, frozen=True):
    """A log that is being read, and the task that ends when its tail does."""

    intake: Intake
    ended: "asyncio.Task[None]"


def raise_end(followed: Followed) -> None:
    """Raise what ended a tail."""
    try:
        followed.ended.result()
    except Gap as gap:
        raise Halt(followed.intake.log, gap) from gap
    raise ReadUnavailable("the tail ended")
