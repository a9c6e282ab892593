"""Work comes in: every message becomes attempts in hand, or is answered without running anything.

A message that was delivered before belongs to somebody who fell silent, and may still be at work.
It is never run again under the same attempt: its attempts are reported lost, and the scheduler
decides on new ones. Those that this very process holds it just goes on with.
"""

import asyncio
from collections.abc import Iterable

import msgspec
from nats.aio.client import Client

from penstock.executor.holdings import Held, Holdings, Pack, key_of
from penstock.executor.measures import measured
from penstock.executor.report import Reporter
from penstock.executor.verdict import lost
from penstock.executor.worker import Worker
from penstock.infra.nats.dead import DeadLetters
from penstock.infra.nats.delivery import Delivery
from penstock.infra.nats.pull import Pull
from penstock.infra.nats.streams import SHARED, WORK, work_consumer
from penstock.infra.telemetry.logs import logger
from penstock.infra.telemetry.metrics import nats_dead_letters
from penstock.messages.codec import Undecodable, read
from penstock.messages.envelope import Work

BATCH = 8
"""Few messages at a time, so that executors share what there is: one holds up to 50 tasks."""
HELD_MAX = 4096
"""Attempts in hand, those included whose report is on its way: as many as fit into a roll call."""
MESSAGES_MAX = 1024
"""Messages in hand; each holds an attempt at least, so HELD_MAX is the nearer bound mostly."""
HEARTBEAT_SECONDS = 5.0
"""A third of the time after which the broker takes the holder for dead."""

REDELIVERED = "redelivered"

_decode = msgspec.json.Decoder(Work).decode
_log = logger(__name__)


class Intake:
    """Pulls work of some queues and hands it to the worker, as much as that can hold."""

    def __init__(
        self,
        nc: Client,
        queues: Iterable[str],
        *,
        worker: Worker,
        reporter: Reporter,
        holdings: Holdings,
        letters: DeadLetters,
    ) -> None:
        self._worker = worker
        self._reporter = reporter
        self._holdings = holdings
        self._letters = letters
        self._paused = False
        self._burials: set[asyncio.Task[None]] = set()
        self._pulls = {
            queue: Pull(
                nc,
                WORK,
                work_consumer(SHARED, queue),
                self._on_work,
                batch=BATCH,
                max_outstanding=MESSAGES_MAX,
            )
            for queue in queues
        }
        holdings.when_eased(self._go_on)

    @property
    def missing(self) -> list[str]:
        """The queues for which the broker has no consumer."""
        return [queue for queue, pull in self._pulls.items() if pull.missing]

    async def start(self) -> None:
        """Take in work from now on."""
        for pull in self._pulls.values():
            await pull.start()

    async def stop(self) -> None:
        """Take in nothing more."""
        for pull in self._pulls.values():
            await pull.stop()

    async def keep_alive(self) -> None:
        """Until cancelled, tell the broker that the messages in hand are being worked on."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            for delivery in self._holdings.deliveries:
                delivery.in_progress()

    def _on_work(self, delivery: Delivery) -> None:
        try:
            work = read(_decode, delivery.data)
        except Undecodable as error:
            self._bury(delivery, f"not a work message: {error}")
            return
        if delivery.num_delivered > 1:
            self._give_up(work, delivery)
        else:
            self._take(work, delivery)
        if not self._has_room():
            self._paused = True
            for pull in self._pulls.values():
                pull.pause()

    def _take(self, work: Work, delivery: Delivery) -> None:
        """Begin all tasks; one that is in hand already came in a message that was sent twice."""
        tasks = [task for task in work.tasks if self._holdings.get(key_of(task)) is None]
        pack = Pack(work.tenant, [delivery], len(tasks))
        self._holdings.open(pack)
        taken = [Held(task, pack) for task in tasks]
        for held in taken:
            self._holdings.take(held)
        for held in taken:
            self._worker.begin(held)

    def _give_up(self, work: Work, delivery: Delivery) -> None:
        """Report as lost what is not in hand.

        What is in hand came in an earlier delivery of this very message; both are acknowledged
        together.
        """
        found = [self._holdings.get(key_of(task)) for task in work.tasks]
        gone = [task for task, held in zip(work.tasks, found, strict=True) if held is None]
        _log.warning("work was delivered before", lost=len(gone), held=len(found) - len(gone))
        first = next((held for held in found if held is not None), None)
        if first is None:
            pack = Pack(work.tenant, [delivery], len(gone))
            self._holdings.open(pack)
        else:
            pack = first.pack
            pack.deliveries.append(delivery)
            pack.owed += len(gone)
        for task in gone:
            held = Held(task, pack)
            report = lost(task, REDELIVERED)
            measured(held, report)
            self._reporter.say(held, report)

    def _bury(self, delivery: Delivery, reason: str) -> None:
        _log.error("work cannot be read", reason=reason, sequence=delivery.stream_seq)
        nats_dead_letters.labels(WORK).inc()
        burial = asyncio.create_task(self._letters.bury(delivery, WORK, reason))
        self._burials.add(burial)
        burial.add_done_callback(self._buried)

    def _buried(self, burial: asyncio.Task[None]) -> None:
        """A letter that could not be stored leaves its message alive, to come again."""
        self._burials.discard(burial)
        if not burial.cancelled() and (error := burial.exception()) is not None:
            _log.warning("a dead letter was not stored", error=str(error))

    def _has_room(self) -> bool:
        return self._worker.free > 0 and len(self._holdings) < HELD_MAX

    def _go_on(self) -> None:
        if self._paused and self._has_room():
            self._paused = False
            for pull in self._pulls.values():
                pull.resume()
