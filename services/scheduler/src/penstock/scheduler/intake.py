"""What comes in: the commands, reports and due timers of one partition, as letters to runs."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace
from nats.aio.client import Client

from penstock.domain.payload import AT_REST_MAX_BYTES
from penstock.domain.run.commands import FireTimer, Report, RunCommand, StartRun
from penstock.infra.eventlog.transact import Addressed
from penstock.infra.nats import subjects
from penstock.infra.nats.dead import DeadLetters
from penstock.infra.nats.delivery import Delivery
from penstock.infra.nats.pull import Pull
from penstock.infra.nats.streams import COMMANDS, REPORTS, TIMERS, scheduler_consumer
from penstock.infra.telemetry import logs, metrics
from penstock.messages.codec import Undecodable, read
from penstock.messages.envelope import CommandMessage, Reports, RunReport
from penstock.scheduler.letters import FAILURES_HEADER, Letter
from penstock.scheduler.receipts import Receipts
from penstock.scheduler.watch import RunKey

OUTSTANDING_MAX = 512
"""Messages of one partition and stream in hand; they must be settled within the broker's 5 s."""

Addressee = tuple[RunKey, Addressed[RunCommand], str]
Post = Callable[[RunKey, Letter], None]
M = TypeVar("M")

logger = logs.logger(__name__)

decode_command = msgspec.json.Decoder(CommandMessage).decode
decode_reports = msgspec.json.Decoder(Reports).decode


class Intake:
    """Reads one partition as long as its lease is held."""

    def __init__(
        self, nc: Client, partition: int, post: Post, receipts: Receipts, dead: DeadLetters
    ) -> None:
        self._post = post
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
        """Hand the letters of one message to their runs, unless they are in hand already."""
        receipt = self._receipts.open(delivery, max(1, len(inside)))
        if receipt is None:
            return
        if not inside:
            receipt.done()
        failures = int((delivery.headers or {}).get(FAILURES_HEADER, 0))
        for key, addressed, reply_to in inside:
            letter = Letter(addressed, receipt, reply_to, delivery.num_delivered, failures)
            self._post(key, letter)

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
    if about.kind != "run":
        raise subjects.BadSubject(delivery.subject)
    key = run_key(about.tenant, about.id)
    message = read(decode_command, delivery.data)
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
    )
    yield key, addressed, message.reply_to


def run_key(tenant: str, run_id: str) -> RunKey:
    """The run of some tenant; BadToken for a text that no subject may hold.

    A stream takes more than we ever write: whatever is not of ours has to be found out here.
    """
    return RunKey(subjects.token(tenant), subjects.token(run_id))


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
        yield key, addressed, ""


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
    key, timer_id = run_key(about.tenant, about.run_id), subjects.token(about.timer_id)
    metrics.scheduler_timers_fired.inc()
    yield key, timer_fired(timer_id), ""


def timer_fired(timer_id: str) -> Addressed[RunCommand]:
    """The command that a timer is."""
    return Addressed(
        command=FireTimer(timer_id=timer_id),
        id=f"timer:{timer_id}",
        actor="scheduler:timer",
    )
