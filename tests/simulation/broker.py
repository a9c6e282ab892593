"""The broker: streams, durable consumers, timers; as unreliable as it can be, and no more.

A log never loses what it has. Streams that are written hastily lose their newest messages in a
power cut. A consumer delivers at least once, in any order, and forgets acknowledgements when it
is restarted.
"""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct

from penstock.infra.nats.delivery import Delivery
from penstock.infra.nats.publish import Unavailable, WrongSequence
from penstock.infra.nats.streams import (
    COMMANDS,
    DEAD_LETTERS,
    EVENTS,
    LEASES,
    REGISTRY,
    REPORTS,
    SCHEDULER_ACK_WAIT_S,
    SHARED,
    TIMERS,
    WORK,
    WORK_ACK_WAIT_S,
    scheduler_consumer,
    work_consumer,
)
from tests.simulation.loop import Process
from tests.simulation.world import EPOCH_MS, World

HASTY = frozenset({REPORTS, WORK, TIMERS})
"""Streams that acknowledge before they write."""

UNSYNCED_S = 1.5
"""What a power cut can take is this new."""

ACKNOWLEDGED_MAX = 12
"""So many acknowledgements a consumer may forget."""

FAMILIES = {
    "cmd": COMMANDS,
    "rep": REPORTS,
    "evt": EVENTS,
    "reg": REGISTRY,
    "work": WORK,
    "timer": TIMERS,
    "lease": LEASES,
    "dead": DEAD_LETTERS,
}


class Message(Struct, frozen=True):
    """A stored message. at: when it was stored, seconds. by: who sent it."""

    seq: int
    subject: str
    body: bytes
    headers: dict[str, str] | None
    at: float
    by: Process


class Taker(Protocol):
    """Whoever pulls from a consumer."""

    def has_room(self) -> bool:
        """Whether it would take one more."""

    def deliver(self, consumer: str, message: Message, delivered: int) -> None:
        """Send it one."""


class OnDone(Protocol):
    """Looks at a message that is acknowledged."""

    def __call__(
        self, stream: str, message: Message, *, times: int, is_out_again: bool, by: Process
    ) -> None:
        """times: how often it was delivered. is_out_again: once more since what is answered.

        by: who answers.
        """


class Consumer:
    """A durable consumer of a work queue. waiting, out: times delivered, by sequence."""

    def __init__(self, stream: str, name: str, ack_wait_s: float) -> None:
        self.stream = stream
        self.name = name
        self.ack_wait_s = ack_wait_s
        self.waiting: dict[int, int] = {}
        self.out: dict[int, int] = {}
        self.deadlines: dict[int, float] = {}
        self.takers: list[Taker] = []
        self.acknowledged: deque[Message] = deque(maxlen=ACKNOWLEDGED_MAX)


class Broker:
    """on_append, on_store, on_done, on_cut: who looks at each append, and at each message that is
    stored, acknowledged, or lost in a power cut.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_down = False
        self.events: list[Message] = []
        self.histories: dict[str, list[Message]] = {}
        self.leases: dict[str, Message] = {}
        self.dead: list[Message] = []
        self.messages: dict[str, dict[int, Message]] = {name: {} for name in FAMILIES.values()}
        self.consumers: dict[str, Consumer] = {}
        self.timers: dict[str, float] = {}
        self.on_append: Callable[[Message], None] = lambda message: None
        self.on_store: Callable[[str, Message], None] = lambda stream, message: None
        self.on_done: OnDone = nobody_looks
        self.on_cut: Callable[[str, Message], None] = lambda stream, message: None
        self._sender = world.loop.nature
        self._seq = dict.fromkeys(FAMILIES.values(), 0)

    # --- storing ---------------------------------------------------------------------------------

    def store(
        self,
        subject: str,
        body: bytes,
        headers: dict[str, str] | None,
        expected: int | None,
        by: Process,
    ) -> int:
        """The sequence of the message in its stream. Raises WrongSequence or Unavailable.

        by: who sent it.
        """
        self._sender = by
        if self.is_down:
            raise Unavailable("the broker is down")
        stream = FAMILIES[subject.split(".", 2)[1]]
        if stream == LEASES:
            return self._leased(subject, body, expected)
        if stream == EVENTS:
            return self._appended(subject, body, expected)
        message = self._message(stream, subject, body, headers)
        self.world.note("stored", stream, message.seq, subject)
        if stream == DEAD_LETTERS:
            self.dead.append(message)
        elif subject.startswith("penstock.timer.set."):
            self._set(message)
        else:
            self._queued(stream, message)
        self.on_store(stream, message)
        return message.seq

    def next_seq(self, stream: str) -> int:
        """The number of the next message in a stream."""
        self._seq[stream] += 1
        return self._seq[stream]

    def _message(
        self, stream: str, subject: str, body: bytes, headers: dict[str, str] | None
    ) -> Message:
        now = self.world.loop.now
        return Message(self.next_seq(stream), subject, body, headers, now, self._sender)

    def _leased(self, subject: str, body: bytes, expected: int | None) -> int:
        last = self.leases.get(subject)
        if expected is not None and expected != (last.seq if last else 0):
            raise WrongSequence(subject)
        self.leases[subject] = message = self._message(LEASES, subject, body, None)
        return message.seq

    def _appended(self, subject: str, body: bytes, expected: int | None) -> int:
        history = self.histories.setdefault(subject, [])
        if expected is not None and expected != (history[-1].seq if history else 0):
            self.world.note("conflict", subject, expected)
            raise WrongSequence(subject)
        message = self._message(EVENTS, subject, body, None)
        self.events.append(message)
        history.append(message)
        self.world.note("appended", message.seq, subject)
        self.on_append(message)
        return message.seq

    def _queued(self, stream: str, message: Message) -> None:
        if stream == WORK and self.world.chance(self.world.faults.lost_work):
            self.world.note("work lost", message.seq)
            return
        self.messages[stream][message.seq] = message
        consumer = self.consumer_of(stream, message.subject)
        consumer.waiting[message.seq] = 0
        self.hand_out(consumer)

    # --- timers ----------------------------------------------------------------------------------

    def _set(self, message: Message) -> None:
        """One timer a subject; setting it again replaces it."""
        headers, world = message.headers or {}, self.world
        moment = datetime.fromisoformat(headers["Nats-Schedule"].removeprefix("@at "))
        due = max(0.0, (moment.timestamp() * 1000 - EPOCH_MS) / 1000 - world.loop.now)
        if world.chance(world.faults.lost_timer):
            world.note("timer lost", message.subject)
            return
        self.timers[message.subject] = message.seq
        times = 2 if world.chance(world.faults.twice_timer) else 1
        for _ in range(times):
            late = 4 * world.random.random() if world.chance(world.faults.late_timer) else 0.0
            target = headers["Nats-Schedule-Target"]
            world.loop.after(due + late, world.loop.nature, self._due, message, target)

    def _due(self, message: Message, target: str) -> None:
        if self.timers.get(message.subject) != message.seq:
            return
        self.world.note("timer due", target)
        due = self._message(TIMERS, target, b"", None)
        self._queued(TIMERS, due)
        self.on_store(TIMERS, due)

    # --- consumers -------------------------------------------------------------------------------

    def consumer_of(self, stream: str, subject: str) -> Consumer:
        """The one consumer that a message of a work queue is for."""
        if stream == WORK:
            return self.consumer(WORK, work_consumer(SHARED, subject.split(".")[3]))
        return self.consumer(stream, scheduler_consumer(stream, int(subject.split(".")[3])))

    def consumer(self, stream: str, name: str) -> Consumer:
        """The durable of that name."""
        found = self.consumers.get(name)
        if found is None:
            wait_s = WORK_ACK_WAIT_S if stream == WORK else SCHEDULER_ACK_WAIT_S
            found = self.consumers[name] = Consumer(stream, name, wait_s)
        return found

    def hand_out(self, consumer: Consumer) -> None:
        """Give what waits to those who pull."""
        while consumer.waiting and not self.is_down:
            takers = [taker for taker in consumer.takers if taker.has_room()]
            if not takers:
                return
            seq = next(iter(consumer.waiting))
            delivered = consumer.out[seq] = consumer.waiting.pop(seq) + 1
            self._await(consumer, seq)
            taker = takers[0] if len(takers) == 1 else self.world.random.choice(takers)
            taker.deliver(consumer.name, self.messages[consumer.stream][seq], delivered)

    def answered(self, delivery: Delivery, answer: bytes, by: Process) -> None:
        """A taker's answer has arrived."""
        name, seq, delivered = delivery.consumer, delivery.stream_seq, delivery.num_delivered
        consumer = self.consumers[name]
        if self.is_down or seq not in self.messages[consumer.stream]:
            return
        if answer == b"+WPI":
            if seq in consumer.out:
                consumer.deadlines[seq] = self.world.loop.now + consumer.ack_wait_s
        elif answer.startswith(b"-NAK"):
            self.world.note("handed back", consumer.name, seq)
            self._again_after(consumer, seq, delay_of(answer))
        else:
            is_out_again = consumer.out.get(seq, delivered) != delivered
            self._done(consumer, seq, is_out_again=is_out_again, by=by)

    def _done(self, consumer: Consumer, seq: int, *, is_out_again: bool, by: Process) -> None:
        message = self.messages[consumer.stream].pop(seq)
        times = consumer.out.get(seq, consumer.waiting.get(seq, 0))
        for memory in (consumer.waiting, consumer.out, consumer.deadlines):
            memory.pop(seq, None)
        consumer.acknowledged.append(message)
        self.world.note("acknowledged", consumer.name, seq)
        self.on_done(consumer.stream, message, times=times, is_out_again=is_out_again, by=by)

    def _await(self, consumer: Consumer, seq: int) -> None:
        now = self.world.loop.now
        consumer.deadlines[seq] = now + consumer.ack_wait_s
        delivered = consumer.out[seq]
        nature = self.world.loop.nature
        self.world.loop.after(consumer.ack_wait_s, nature, self._expire, consumer, seq, delivered)

    def _expire(self, consumer: Consumer, seq: int, delivered: int) -> None:
        if consumer.out.get(seq) != delivered:
            return
        left = consumer.deadlines[seq] - self.world.loop.now
        if left > 0:
            nature = self.world.loop.nature
            self.world.loop.after(left, nature, self._expire, consumer, seq, delivered)
            return
        self.world.note("redelivered", consumer.name, seq)
        self._again(consumer, seq)

    def _again_after(self, consumer: Consumer, seq: int, delay_s: float) -> None:
        if seq not in consumer.out:
            return
        consumer.deadlines[seq] = self.world.loop.now + delay_s + consumer.ack_wait_s
        nature, delivered = self.world.loop.nature, consumer.out[seq]
        self.world.loop.after(delay_s, nature, self._again_once, consumer, seq, delivered)

    def _again_once(self, consumer: Consumer, seq: int, delivered: int) -> None:
        if consumer.out.get(seq) == delivered:
            self._again(consumer, seq)

    def _again(self, consumer: Consumer, seq: int) -> None:
        delivered = consumer.out.pop(seq, None)
        if delivered is None:
            return
        del consumer.deadlines[seq]
        consumer.waiting[seq] = delivered
        self.hand_out(consumer)

    # --- failing ---------------------------------------------------------------------------------

    def go_down(self) -> None:
        """Nothing is stored, delivered or read any more."""
        self.world.note("broker down")
        self.is_down = True

    def come_back(self, *, cut: bool, forgetful: bool) -> None:
        """Again; after a power cut without the newest of what is written hastily."""
        self.world.note("broker up", "cut" * cut, "forgetful" * forgetful)
        self.is_down = False
        for consumer in list(self.consumers.values()):
            if cut and consumer.stream in HASTY:
                self._cut(consumer)
            if forgetful:
                self._forget(consumer)
            for seq in list(consumer.out):
                self._again(consumer, seq)
            self.hand_out(consumer)

    def _cut(self, consumer: Consumer) -> None:
        messages, now = self.messages[consumer.stream], self.world.loop.now
        for seq in [*consumer.waiting, *consumer.out]:
            if now - messages[seq].at < UNSYNCED_S:
                self.world.note("cut", consumer.stream, seq)
                self.on_cut(consumer.stream, messages.pop(seq))
                for memory in (consumer.waiting, consumer.out, consumer.deadlines):
                    memory.pop(seq, None)

    def _forget(self, consumer: Consumer) -> None:
        """Messages that were acknowledged are there again, as if never delivered."""
        for message in consumer.acknowledged:
            self.world.note("forgotten", consumer.stream, message.seq)
            self.messages[consumer.stream][message.seq] = message
            consumer.waiting[message.seq] = 0
            self.on_store(consumer.stream, message)
        consumer.acknowledged.clear()


def delay_of(answer: bytes) -> float:
    """The seconds that a message is handed back for."""
    _, _, options = answer.partition(b" ")
    return float(msgspec.json.decode(options)["delay"]) / 1e9 if options else 0.0


def nobody_looks(
    stream: str, message: Message, *, times: int, is_out_again: bool, by: Process
) -> None:
    """Until somebody does."""
