"""What comes in: the commands, reports and due timers of one partition, as letters.

Most are to runs, some to gates.
"""

from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace
from nats.aio.client import Client

from penstock.domain.gate.commands import GateCommand, OpenGate
from penstock.domain.payload import AT_REST_MAX_BYTES
from penstock.domain.run.commands import FireTimer, Report, RunCommand, StartRun
from penstock.infra.eventlog.transact import Addressed
from penstock.infra.nats import subjects
from penstock.infra.nats.dead import DeadLetters
from penstock.infra.nats.delivery import Delivery
from penstock.infra.nats.pull import Pull
from penstock.infra.nats.streams import COMMANDS, REPORTS, TIMERS, scheduler_consumer
from penstock.infra.telemetry import logs, metrics
from penstock.messages.catalogue import GATE, RUN
from penstock.messages.codec import Undecodable, read
from penstock.messages.envelope import CommandMessage, GateMessage, Reports, RunReport
from penstock.scheduler.keys import GateKey, RunKey
from penstock.scheduler.letters import FAILURES_HEADER, GateLetter, Letter
from penstock.scheduler.receipts import Receipts
from penstock.scheduler.timers import GATE_TIMER

OUTSTANDING_MAX = 512
"""Messages of one partition and stream in hand; they must be settled within the broker's 5 s."""

TIMER = "scheduler:timer"
"""Whose word it is that a timer came due."""

Post = Callable[[RunKey, Letter], None]
PostToGate = Callable[[GateKey, GateLetter], None]
M = TypeVar("M")

logger = logs.logger(__name__)


class ToRun(NamedTuple):
    """What a message has for a run. reply_to: as in `Letter`."""

    key: RunKey
    addressed: Addressed[RunCommand]
    reply_to: str = ""


class ToGate(NamedTuple):
    """What a message has for a gate."""

    key: GateKey
    addressed: Addressed[GateCommand]


Addressee = ToRun | ToGate

decode_command = msgspec.json.Decoder(CommandMessage).decode
decode_gate_command = msgspec.json.Decoder(GateMessage).decode
decode_reports = msgspec.json.Decoder(Reports).decode


class Intake:
    """Reads one partition as long as its lease is held. post: where letters go, each kind."""

    def __init__(
        self,
        nc: Client,
        partition: int,
        post: tuple[Post, PostToGate],
        receipts: Receipts,
        dead: DeadLetters,
    ) -> None:
        self._post, self._post_to_gate = post
        self._receipts = receipts
        self._dead = dead
        doors = ((COMMANDS, commanded), (REPORTS, reported), (TIMERS, came_due))
        self._pulls = [
            Pull(
                nc,
                stream,
                scheduler_consumer(stream, partition),
                Door(stream, opened, self).on_message,
                max_outstanding=OUTSTANDING_MAX,
            )
            for stream, opened in doors
        ]

    async def start(self) -> None:
        """Begin to read."""
        for pull in self._pulls:
            await pull.start()

    async def stop(self) -> None:
        """Read no more; what is in hand can still be settled."""
        for pull in self._pulls:
            await pull.stop()

    def take(self, delivery: Delivery, inside: list[Addressee]) -> None:
        """Hand the letters of one message over, unless they are in hand already."""
        receipt = self._receipts.open(delivery, max(1, len(inside)))
        if receipt is None:
            return
        if not inside:
            receipt.done()
        failures = int((delivery.headers or {}).get(FAILURES_HEADER, 0))
        often = delivery.num_delivered
        for item in inside:
            if isinstance(item, ToRun):
                letter = Letter(item.addressed, receipt, item.reply_to, often, failures)
                self._post(item.key, letter)
            else:
                self._post_to_gate(item.key, GateLetter(item.addressed, receipt, often, failures))

    async def bury(self, stream: str, delivery: Delivery, reason: str) -> None:
        """Put a message aside that nobody can read."""
        logger.error("a message cannot be read", stream=stream, reason=reason)
        metrics.nats_dead_letters.labels(stream).inc()
        await self._dead.bury(delivery, stream, reason)


class Door(Generic[M]):
    """One stream's way in: decodes and hands over; what cannot be read is put aside."""

    def __init__(
        self, stream: str, opened: Callable[[Delivery], Iterator[Addressee]], intake: Intake
    ) -> None:
        self._stream = stream
        self._opened = opened
        self._intake = intake

    def on_message(self, delivery: Delivery) -> Awaitable[None] | None:
        """Never raises: a message that cannot be read must not stop those behind it.

        Only its burial is worth waiting for.
        """
        try:
            inside = list(self._opened(delivery))
        except (Undecodable, ValueError) as error:
            return self._intake.bury(self._stream, delivery, f"undecodable: {error}")
        self._intake.take(delivery, inside)
        return None


def commanded(delivery: Delivery) -> Iterator[Addressee]:
    """The one command of a message of COMMANDS."""
    about = subjects.parse_command(delivery.subject)
    if about.kind == GATE:
        gate = gate_key(about.tenant, about.id)
        yield to_gate(gate, read(decode_gate_command, delivery.data))
    elif about.kind == RUN:
        yield to_run(run_key(about.tenant, about.id), read(decode_command, delivery.data))
    else:
        raise subjects.BadSubject(delivery.subject)


def to_run(key: RunKey, message: CommandMessage) -> ToRun:
    """A command to a run, as its letter will hold it."""
    command = message.command
    if isinstance(command, StartRun):
        command = replace(command, traceparent=message.traceparent)
    metrics.scheduler_commands.labels(type(command).__name__).inc()
    addressed = Addressed(
        command=command,
        id=message.id,
        actor=message.actor,
        correlation_id=message.correlation_id,
        traceparent=message.traceparent,
        origin=message.origin,
    )
    return ToRun(key, addressed, message.reply_to)


def to_gate(key: GateKey, message: GateMessage) -> ToGate:
    """A command to a gate, as its letter will hold it."""
    metrics.scheduler_commands.labels(type(message.command).__name__).inc()
    return ToGate(key, Addressed(message.command, id=message.id, actor=message.actor))


@lru_cache(maxsize=subjects.RECENT)
def run_key(tenant: str, run_id: str) -> RunKey:
    """The run of some tenant; BadToken for a text that no subject may hold.

    A stream takes more than we ever write: whatever is not of ours has to be found out here.
    """
    return RunKey(subjects.token(tenant), subjects.token(run_id))


def gate_key(tenant: str, gate_id: str) -> GateKey:
    """The same for a gate."""
    return GateKey(subjects.token(tenant), subjects.token(gate_id))


def reported(delivery: Delivery) -> Iterator[Addressee]:
    """All reports of a message of REPORTS."""
    pack = read(decode_reports, delivery.data)
    for item in pack.reports:
        key = run_key(item.tenant, item.run_id)
        addressed: Addressed[RunCommand] = Addressed(
            command=unpacked(item.report),
            id=report_id(item),
            actor=f"executor:{pack.executor_id}",
            traceparent=item.traceparent,
        )
        yield ToRun(key, addressed)


def unpacked(report: Report) -> Report:
    """The report with a small output of its own, for a view into the pack keeps all of it alive."""
    output = getattr(report, "output", None)
    if output is None or not output.inline or output.size > AT_REST_MAX_BYTES:
        return report
    return replace(report, output=replace(output, inline=output.inline.copy()))


def report_id(item: RunReport) -> str:
    """What makes it the same report again."""
    report = item.report
    return f"{type(report).__name__}:{report.step_id}:{report.attempt}"


def came_due(delivery: Delivery) -> Iterator[Addressee]:
    """The one timer of a message of TIMERS."""
    about = subjects.parse_timer(delivery.subject)
    timer_id = subjects.token(about.timer_id)
    metrics.scheduler_timers_fired.inc()
    if timer_id == GATE_TIMER:
        opened = Addressed[GateCommand](OpenGate(), id=f"timer:{timer_id}", actor=TIMER)
        yield ToGate(gate_key(about.tenant, about.run_id), opened)
    else:
        yield ToRun(run_key(about.tenant, about.run_id), timer_fired(timer_id))


def timer_fired(timer_id: str) -> Addressed[RunCommand]:
    """The command that a timer is."""
    return Addressed(
        command=FireTimer(timer_id=timer_id),
        id=f"timer:{timer_id}",
        actor=TIMER,
    )
