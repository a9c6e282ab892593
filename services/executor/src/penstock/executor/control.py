"""What executors are told and asked over core NATS: cancels of runs or steps, and roll calls.

Both are repeated by whoever sends them, so a lost one does no harm, and one that comes twice
finds nothing left to do.
"""

from typing import NamedTuple

import msgspec
from faststream.nats import NatsMessage, NatsRouter

from penstock.executor.holdings import Holdings
from penstock.executor.worker import Worker
from penstock.infra.nats.subjects import ANY_CANCEL, ROLL_CALL, parse_cancel
from penstock.infra.telemetry.logs import logger
from penstock.messages.codec import Undecodable, read
from penstock.messages.envelope import StepCancels, encode
from penstock.messages.rollcall import RollCall


class About(NamedTuple):
    """Who an executor is, and what it can do: the queues that it serves, and steps at once."""

    executor_id: str
    queues: tuple[str, ...]
    capacity: int


decode_steps = msgspec.json.Decoder(StepCancels).decode
_log = logger(__name__)


def steps_of(body: bytes) -> frozenset[tuple[str, int]] | None:
    """Which attempts a cancel is about; None, of one without a body, for all of the run.

    Raises Undecodable.
    """
    return frozenset(read(decode_steps, body).steps) if body else None


def router(about: About, worker: Worker, holdings: Holdings) -> NatsRouter:
    """The subscribers of an executor; every executor hears every message."""
    made = NatsRouter()

    @made.subscriber(
        ANY_CANCEL, title="Cancel", description="Stop what runs of a run, or some of it"
    )
    async def on_cancel(message: NatsMessage) -> None:
        raw = message.raw_message
        try:
            steps = steps_of(raw.data)
        except Undecodable as error:
            _log.warning("a cancel cannot be read", subject=raw.subject, reason=str(error))
            return
        worker.cancel(*parse_cancel(raw.subject), steps)

    @made.subscriber(ROLL_CALL, title="RollCall", description="Say which attempts are in hand")
    async def on_roll_call(message: NatsMessage) -> bytes:
        answer = RollCall(
            executor_id=about.executor_id,
            held=holdings.keys,
            queues=about.queues,
            free=worker.free,
            capacity=about.capacity,
        )
        return encode(answer)

    return made
