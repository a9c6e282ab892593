"""Where messages go that nobody can handle: never dropped, never delivered again.

The letter's body is the message's own; headers say where it came from and why it was given up.
"""

from penstock.infra.nats import subjects
from penstock.infra.nats.delivery import Delivery
from penstock.infra.nats.publish import Publisher

REASON_CHARACTERS_MAX = 1024

REASON = "Penstock-Reason"
SUBJECT = "Penstock-Subject"
SEQUENCE = "Penstock-Sequence"
DELIVERED = "Penstock-Delivered"


class DeadLetters:
    """Gives up on deliveries, through a publisher that somebody else owns."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def bury(self, delivery: Delivery, stream: str, reason: str) -> None:
        """Stores the letter, then ends the message's delivery.

        Raises `PublishError` when the letter is not stored; the message stays alive then.
        """
        headers = {
            REASON: reason[:REASON_CHARACTERS_MAX],
            SUBJECT: delivery.subject,
            SEQUENCE: str(delivery.stream_seq),
            DELIVERED: str(delivery.num_delivered),
        }
        await self._publisher.publish(subjects.dead(stream), delivery.data, headers=headers)
        delivery.term()
