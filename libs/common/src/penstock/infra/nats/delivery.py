"""A message that a consumer delivered, and what can be answered to it."""

from collections.abc import Callable

from msgspec import Struct

from penstock.infra.nats.reader import Frame, legible

_V1_TOKENS = 9
"""`$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`."""
_V2_EXTRA = 2
"""The newer form has `<domain>.<account>` before the stream."""

_NANOSECONDS = 1_000_000_000

Answer = Callable[["Delivery", bytes, bool], None]


class Delivery(Struct, frozen=True, eq=False):
    """One delivery of one message.

    stream_seq: the message's number in its stream. consumer_seq: the delivery's number.
    num_delivered: 1 for the first delivery. pending: how many messages were still to come.
    reply: where its answers go, unique among deliveries.
    """

    subject: str
    data: bytes
    headers: dict[str, str] | None
    reply: str
    consumer: str
    stream_seq: int
    consumer_seq: int
    num_delivered: int
    pending: int
    answer: Answer

    def ack(self) -> None:
        """It is done with."""
        self.answer(self, b"+ACK", True)

    def nack(self, delay_s: float = 0.0) -> None:
        """Deliver it again, not before `delay_s` have passed."""
        body = b'-NAK {"delay":%d}' % int(delay_s * _NANOSECONDS) if delay_s > 0 else b"-NAK"
        self.answer(self, body, True)

    def term(self) -> None:
        """Never deliver it again, although nobody handled it."""
        self.answer(self, b"+TERM", True)

    def in_progress(self) -> None:
        """Somebody is still at work on it: the wait for its answer begins anew."""
        self.answer(self, b"+WPI", False)


def delivery_of(frame: Frame, answer: Answer) -> Delivery:
    """The delivery that a frame is, told by its reply subject; ValueError when it is none."""
    reply = legible(frame.reply)
    tokens = reply.split(".")
    at = 2 if len(tokens) == _V1_TOKENS else 2 + _V2_EXTRA
    if len(tokens) < _V1_TOKENS or tokens[1] != "ACK":
        raise ValueError(f"not a delivery: {reply!r}")
    return Delivery(
        legible(frame.subject),
        frame.data,
        frame.headers if frame.head else None,
        reply,
        tokens[at + 1],
        int(tokens[at + 3]),
        int(tokens[at + 4]),
        int(tokens[at + 2]),
        int(tokens[at + 6]),
        answer,
    )
