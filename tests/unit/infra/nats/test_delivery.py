"""A delivery says by its reply subject which one it is."""

import pytest

from penstock.infra.nats.delivery import Delivery, delivery_of
from penstock.infra.nats.reader import Frame

Answers = list[tuple[str, bytes, bool]]


def delivered(reply: str, answers: Answers | None = None) -> Delivery:
    def answer(delivery: Delivery, body: bytes, settles: bool) -> None:
        if answers is not None:
            answers.append((delivery.reply, body, settles))

    return delivery_of(Frame(b"s", reply.encode(), b"", b"d"), answer)


V1 = "$JS.ACK.WORK.work-shared-default.2.17.23.1700000000000000000.5"
V2 = "$JS.ACK._.hash.WORK.work-shared-default.2.17.23.1700000000000000000.5.random"


@pytest.mark.parametrize("reply", [V1, V2, V2.removesuffix(".random")])
def test_both_forms_of_the_reply_are_understood(reply: str) -> None:
    delivery = delivered(reply)
    assert delivery.consumer == "work-shared-default"
    assert (delivery.num_delivered, delivery.stream_seq, delivery.consumer_seq) == (2, 17, 23)
    assert delivery.pending == 5


def test_what_is_no_delivery_is_refused() -> None:
    with pytest.raises(ValueError, match="not a delivery"):
        delivered("_INBOX.abc")


def test_answers_are_what_jetstream_expects() -> None:
    answers: Answers = []
    delivery = delivered(V1, answers)
    delivery.in_progress()
    delivery.nack(1.5)
    delivery.nack()
    delivery.term()
    delivery.ack()
    assert [(body, settles) for _, body, settles in answers] == [
        (b"+WPI", False),
        (b'-NAK {"delay":1500000000}', True),
        (b"-NAK", True),
        (b"+TERM", True),
        (b"+ACK", True),
    ]
