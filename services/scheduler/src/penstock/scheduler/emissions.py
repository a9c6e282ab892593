"""Events that steps emit: each becomes an event of the tenant's own in the log, exactly once.

Its id follows from run and step, so that whoever does it again finds it done.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Raw, Struct

from penstock.domain.event.decide import EVENT, EmitEvent
from penstock.domain.event.events import EventEmitted
from penstock.domain.ids import derived
from penstock.domain.payload import NULL, Payload
from penstock.infra.eventlog.cache import Cache
from penstock.infra.eventlog.log import EventLog
from penstock.infra.eventlog.transact import Addressed, Ledger
from penstock.infra.nats import subjects
from penstock.infra.telemetry import logs
from penstock.messages import catalogue
from penstock.messages.codec import Undecodable, codec_for, read
from penstock.scheduler.payloads import LOST, Payloads
from penstock.scheduler.watch import RunKey

EMITS = "emit_event"
"""The type of the nodes whose output is an event."""

HELD_MAX = 1
"""Nobody asks for an event twice, but after a fault."""

logger = logs.logger(__name__)


class Said(Struct):
    """The part of a step's output that becomes the tenant's event."""

    type: str
    source: str = ""
    data: Raw = Raw(b"null")


decode_said = msgspec.json.Decoder(Said).decode


class Emissions:
    """Appends tenants' events. now: ms since the epoch."""

    def __init__(
        self, log: EventLog, payloads: Payloads, *, me: str, now: Callable[[], int]
    ) -> None:
        self._payloads = payloads
        self._actor = f"scheduler:{me}"
        self._under_way: set[asyncio.Task[int]] = set()
        self._ledger: Ledger[EmitEvent, EventEmitted, EventEmitted | None] = Ledger(
            log=log,
            cache=Cache(HELD_MAX),
            decider=EVENT,
            codec=codec_for(catalogue.EVENT),
            now=now,
            is_new=always,
        )

    def emit(self, key: RunKey, step_id: str, output: Payload | None) -> "asyncio.Future[int]":
        """Put what a step of a run has emitted on record; the future of its sequence."""
        emitting = self._emit(key, step_id, NULL if output is None else output)
        task = asyncio.get_running_loop().create_task(emitting)
        self._under_way.add(task)
        task.add_done_callback(self._emitted)
        return task

    async def _emit(self, key: RunKey, step_id: str, output: Payload) -> int:
        event_id = derived(key.run_id, step_id, "event")
        try:
            said = read(decode_said, bytes(await self._payloads.text(output, tenant=key.tenant)))
        except (Undecodable, *LOST):
            logger.exception("no event", run_id=key.run_id, step_id=step_id)
            return 0
        data = await self._payloads.said(bytes(said.data), tenant=key.tenant, run_id=key.run_id)
        command = EmitEvent(
            event_id=event_id,
            event_type=said.type,
            source=await self._payloads.words(said.source, tenant=key.tenant),
            data=data,
            run_id=key.run_id,
            step_id=step_id,
        )
        subject = subjects.events(key.tenant, catalogue.EVENT, event_id)
        addressed = Addressed(command, id=event_id, actor=self._actor, correlation_id=key.run_id)
        outcome = await self._ledger.transact(subject, [addressed])
        return outcome.seq

    def _emitted(self, task: "asyncio.Task[int]") -> None:
        """What could not be appended is when the report that led to it comes again."""
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.warning("an event must wait", error=repr(error))


def always(_commands: Sequence[Addressed[EmitEvent]]) -> bool:
    """An event that is emitted is new, unless it is emitted again."""
    return True
