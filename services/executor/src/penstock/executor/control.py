"""What executors are told and asked over core NATS: cancels of runs or steps, and roll calls.

Both are repeated by whoever sends them, so a lost one does no harm, and one that comes twice
finds nothing left to do.
"""

import msgspec
from faststream.nats import NatsMessage, NatsRouter

from penstock.executor.holdings import Holdings
from penstock.executor.worker import Worker
from penstock.infra.nats.streams import DEFAULT_QUEUE
from penstock.infra.nats.subjects import ANY_CANCEL, ROLL_CALL, parse_cancel
from penstock.infra.telemetry.logs import logger
from penstock.messages.codec import Undecodable, read
from penstock.messages.envelope import encode
from penstock.messages.rollcall import RollCall


class Cancel(msgspec.Struct, frozen=True):
    """The body of a cancel. steps: path and attempt of those that stop."""

    steps: tuple[tuple[str, int], ...]


decode_cancel = msgspec.json.Decoder(Cancel).decode
_log = logger(__name__)


def steps_of(body: bytes) -> frozenset[tuple[str, int]] | None:
    """Which attempts a cancel is about; None, of one without a body, for all of the run.

    Raises Undecodable.
    """
    return frozenset(read(decode_cancel, body).steps) if body else None


def router(executor_id: str, worker: Worker, holdings: Holdings) -> NatsRouter:
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
            executor_id=executor_id,
            held=holdings.keys,
            queues=(DEFAULT_QUEUE,),
            free=worker.free,
        )
        return encode(answer)

    return made
