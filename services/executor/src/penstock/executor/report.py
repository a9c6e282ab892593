"""Reports to the scheduler: packed per partition, sent once per turn of the event loop.

A report is said again until REPORTS has acknowledged it, for as long as the process lives: an
outcome that nobody heard of would be worked for twice. The scheduler answers a repeated one with
nothing, so saying it once too often does no harm.
"""

import asyncio
from collections.abc import Callable, Iterator

from msgspec import Struct

from penstock.domain.payload import Payload
from penstock.domain.run.commands import Report
from penstock.executor.holdings import Held
from penstock.infra.nats.publish import Publisher
from penstock.infra.nats.streams import SHARED
from penstock.infra.nats.subjects import PARTITIONS, partition_of, reports
from penstock.infra.telemetry import metrics
from penstock.messages.envelope import Reports, RunReport, encode

REPORTS_MAX = 200
BYTES_MAX = 512 * 1024
ENVELOPE_BYTES = 1024
"""What a report takes besides its payloads, generously."""
USED_BYTES = 50
"""What the name of a secret or connection that was used takes."""
CARRIED = ("output", "input", "items")
"""The members of reports that are payloads."""
AGAIN_SECONDS_MIN = 0.1
AGAIN_SECONDS_MAX = 5.0


class Word(Struct, eq=False):
    """One report on its way. held: the attempt it settles, None when more is to come."""

    report: RunReport
    held: Held | None


class Reporter:
    """Says reports until they are acknowledged, then hands what they settle to `settled`."""

    def __init__(
        self, publisher: Publisher, executor_id: str, settled: Callable[[Held], None]
    ) -> None:
        self._publisher = publisher
        self.executor_id = executor_id
        self._settled = settled
        self._open: list[list[Word]] = [[] for _ in range(PARTITIONS)]
        self._scheduled = False
        self._unacknowledged = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def unacknowledged(self) -> int:
        """How many reports are not on record yet."""
        return self._unacknowledged

    def say(self, held: Held, report: Report) -> None:
        """Report the outcome of an attempt."""
        self._put(held, report, settles=True)

    def mention(self, held: Held, report: Report) -> None:
        """Report something about an attempt that goes on."""
        self._put(held, report, settles=False)

    async def silence(self) -> None:
        """Returns when everything that was said is acknowledged."""
        await self._idle.wait()

    def _put(self, held: Held, report: Report, *, settles: bool) -> None:
        task = held.task
        said = RunReport(
            tenant=held.pack.tenant,
            run_id=task.run_id,
            report=report,
            traceparent=task.traceparent,
        )
        self._open[partition_of(task.run_id)].append(Word(said, held if settles else None))
        self._unacknowledged += 1
        if not self._scheduled:
            self._scheduled = True
            self._idle.clear()
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        for partition, words in enumerate(self._open):
            if words:
                self._open[partition] = []
                subject = reports(SHARED, partition)
                for pack in packed(words):
                    self._send(subject, pack, AGAIN_SECONDS_MIN)

    def _send(self, subject: str, pack: list[Word], again_in: float) -> None:
        said = tuple(word.report for word in pack)
        body = encode(Reports(executor_id=self.executor_id, reports=said))
        sent = self._publisher.publish(subject, body)
        metrics.executor_reports.inc()

        def answered(sent: asyncio.Future[int]) -> None:
            if sent.cancelled() or sent.exception() is not None:
                metrics.executor_report_errors.inc()
                loop = asyncio.get_running_loop()
                longer = min(again_in * 2, AGAIN_SECONDS_MAX)
                loop.call_later(again_in, self._send, subject, pack, longer)
            else:
                self._acknowledged(pack)

        sent.add_done_callback(answered)

    def _acknowledged(self, pack: list[Word]) -> None:
        for word in pack:
            if word.held is not None:
                self._settled(word.held)
        self._unacknowledged -= len(pack)
        if not self._unacknowledged:
            self._idle.set()


def packed(words: list[Word]) -> Iterator[list[Word]]:
    """`words` in order, in lists that each fit into one message."""
    pack: list[Word] = []
    size = 0
    for word in words:
        weight = weight_of(word.report.report)
        if pack and (len(pack) >= REPORTS_MAX or size + weight > BYTES_MAX):
            yield pack
            pack, size = [], 0
        pack.append(word)
        size += weight
    if pack:
        yield pack


def weight_of(report: Report) -> int:
    """About how many bytes the report takes on the wire."""
    weight = ENVELOPE_BYTES
    for member in CARRIED:
        weight += inline_bytes(getattr(report, member, None))
    weight += USED_BYTES * len(getattr(report, "used", ()))
    error = getattr(report, "error", None)
    if error is not None:
        weight += len(error.message) + inline_bytes(error.details)
    return weight


def inline_bytes(payload: Payload | None) -> int:
    """How many bytes of a message the payload takes."""
    return payload.size if payload is not None and payload.inline else 0
