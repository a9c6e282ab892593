"""What executors are told and asked over core NATS: cancels and roll calls.

Both are repeated by whoever sends them, so a lost one does no harm, and one that comes twice
finds nothing left to do.
"""

from faststream.nats import NatsMessage, NatsRouter

from penstock.executor.holdings import Holdings
from penstock.executor.worker import Worker
from penstock.infra.nats.streams import DEFAULT_QUEUE
from penstock.infra.nats.subjects import ANY_CANCEL, ROLL_CALL, parse_cancel
from penstock.messages.envelope import encode
from penstock.messages.rollcall import RollCall


def router(executor_id: str, worker: Worker, holdings: Holdings) -> NatsRouter:
    """The subscribers of an executor; every executor hears every message."""
    made = NatsRouter()

    @made.subscriber(ANY_CANCEL, title="Cancel", description="Stop what runs of a run")
    async def on_cancel(message: NatsMessage) -> None:
        worker.cancel(*parse_cancel(message.raw_message.subject))

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
