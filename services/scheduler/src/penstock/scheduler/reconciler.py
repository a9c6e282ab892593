"""Every live run has exactly one owner of its next move; here is who makes sure.

Every two seconds the fold's open ends are held against what executors say they hold and against
the clock. What nobody owns is mended by an ordinary command that goes the way of all commands, so
that being wrong costs a repetition and never a wrong history.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from penstock.domain.run.commands import ContinueRun, ReportLost, RunCommand
from penstock.infra.eventlog.transact import Addressed
from penstock.infra.nats import subjects
from penstock.infra.nats.streams import SHARED, WORK, work_consumer
from penstock.infra.telemetry import logs, metrics
from penstock.messages.rollcall import RollCall
from penstock.scheduler.dispatch import Dispatch
from penstock.scheduler.intake import Post, timer_fired
from penstock.scheduler.letters import Letter
from penstock.scheduler.runs import Clock
from penstock.scheduler.watch import Attempt, RunKey, Watch

EVERY_S = 2.0

ANSWER_S = 0.5
"""How long executors have to answer a roll call."""

SILENCE_S = 10.0
"""An executor that answered so recently is taken to be busy, not dead: nothing is concluded."""

OUT_S = 3.0
"""Younger attempts may still be on their way to an executor."""

MISSES_MAX = 2
"""After so many roll calls in a row without it an attempt is lost."""

OVERDUE_MS = 2_000
"""A timer that is late by so much is fired from here."""

MENDED_MAX = 1_000
"""Runs mended in one round; the others follow in the next."""

PATIENCE_S = 10.0
"""A child run, or a gate, of which nothing was heard for so long is asked once more."""

ASKED_MAX = 200
"""Child runs, and runs at gates, looked at in one round; the others follow in the next."""

ACTOR = "scheduler:reconciler"

logger = logs.logger(__name__)
read_answer = msgspec.json.Decoder(RollCall).decode


class RollCalls:
    """Asks all executors which attempts they hold."""

    def __init__(self, nc: Client, now: Callable[[], float]) -> None:
        self._nc = nc
        self._now = now
        self._heard: dict[str, tuple[float, RollCall]] = {}

    @property
    def capacity(self) -> dict[str, int]:
        """How many steps the executors that were heard of lately run at once, by queue."""
        found: Counter[str] = Counter()
        for _, answer in self._heard.values():
            found.update(dict.fromkeys(answer.queues, answer.capacity))
        return found

    async def call(self) -> tuple[set[Attempt] | None, int]:
        """The attempts that are held, None if somebody who should be there did not answer.

        Also the number of executors that answered. Run ids are unique over tenants, so attempts
        are named without one.
        """
        answers: list[RollCall] = []

        async def hear(msg: Msg) -> None:
            if msg.data:  # without one, the broker says that nobody listens
                answers.append(read_answer(msg.data))

        inbox = self._nc.new_inbox()
        hearing = await self._nc.subscribe(inbox, cb=hear)
        with metrics.scheduler_roll_call_seconds.time():
            await self._nc.publish(subjects.ROLL_CALL, b"", reply=inbox)
            await asyncio.sleep(ANSWER_S)
        await hearing.unsubscribe()
        now = self._now()
        self._heard.update({answer.executor_id: (now, answer) for answer in answers})
        self._heard = {e: heard for e, heard in self._heard.items() if now - heard[0] < SILENCE_S}
        held = {
            Attempt(RunKey("", run_id), step_id, attempt)
            for answer in answers
            for run_id, step_id, attempt in answer.held
        }
        complete = bool(answers) and len(self._heard) == len({a.executor_id for a in answers})
        return (held if complete else None), len(answers)


class Reconciler:
    """Looks after the runs of the partitions that this scheduler holds.

    mailbox: where letters to runs go, and whether a run has letters that are being worked on;
    such a run is looked at next time. share: how much of all partitions that is, 0 to 1.
    """

    def __init__(
        self,
        nc: Client,
        watch: Watch,
        dispatch: Dispatch,
        clock: Clock,
        mailbox: tuple[Post, Callable[[RunKey], bool]],
        share: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self._nc = nc
        self._watch = watch
        self._dispatch = dispatch
        self._clock = clock
        self._post, self._is_busy = mailbox
        self._share = share
        self._calls = RollCalls(nc, clock.monotonic)
        self._looker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look after them from now on."""
        self._looker = asyncio.create_task(self._look_for_ever())

    async def stop(self) -> None:
        """Look no more."""
        if self._looker is not None:
            self._looker.cancel()
            await asyncio.gather(self._looker, return_exceptions=True)

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S - ANSWER_S)
            try:
                await self._look()
            except (errors.Error, JetStreamError, OSError, TimeoutError) as error:
                logger.warning("no roll call now", error=repr(error))
                await asyncio.sleep(ANSWER_S)

    async def _look(self) -> None:
        """One round."""
        held, executors = await self._calls.call()
        self._dispatch.executors = max(1, executors)
        self._watch.admission.heard(self._calls.capacity, self._share())
        at = self._clock.wall() - OVERDUE_MS
        metrics.scheduler_live_runs.set(len(self._watch.runs))
        metrics.scheduler_queued_runs.set(len(self._watch.queued))
        metrics.scheduler_timers_waiting.set(self._watch.timers_waiting)
        if held is not None:
            await self._count_absent(held)
        metrics.scheduler_unowned_runs.set(self._watch.unowned(at))
        self._mend(at)
        now = self._clock.monotonic()
        self._ask_after_children(now)
        self._ask_gates(now)

    async def _count_absent(self, held: set[Attempt]) -> None:
        """Count the roll calls that did not find an attempt, unless it may still be queued."""
        idle: dict[str, bool] = {}
        before = self._clock.monotonic() - OUT_S
        for attempt, waited in list(self._watch.out_since(before)):
            if attempt._replace(run=RunKey("", attempt.run.run_id)) in held:
                waited.missed = 0
                continue
            if waited.queue not in idle:
                idle[waited.queue] = await self._is_drained(waited.queue)
            waited.missed = waited.missed + 1 if idle[waited.queue] else 0

    async def _is_drained(self, queue: str) -> bool:
        """Whether no task of the queue waits for an executor; where nobody reads it, some may."""
        consumer = work_consumer(SHARED, queue)
        try:
            info = await self._nc.jetstream().consumer_info(WORK, consumer)
        except NotFoundError:
            return False
        return not info.num_pending

    def _mend(self, at: int) -> None:
        """Tell the runs that lack an owner what they need to go on."""
        for key, addressed, cause in islice(self._pushes(at), MENDED_MAX):
            if not self._is_busy(key):
                metrics.scheduler_mended_runs.labels(cause).inc()
                self._post(key, Letter(addressed))

    def _ask_after_children(self, now: float) -> None:
        """Have runs ask for the children that they wait for, in case a word was lost."""
        for attempt in self._watch.silent(now - PATIENCE_S, now, ASKED_MAX):
            addressed = Addressed[RunCommand](ContinueRun(), id="child", actor=ACTOR)
            self._post(attempt.run, Letter(addressed, about=attempt.step_id))

    def _ask_gates(self, now: float) -> None:
        """Have queued runs ask their gates once more, in case a word was lost."""
        for key, gate_id in self._watch.unheard(now - PATIENCE_S, now, ASKED_MAX):
            addressed = Addressed[RunCommand](ContinueRun(), id="gate", actor=ACTOR)
            self._post(key, Letter(addressed, about=gate_id))

    def _pushes(self, at: int) -> Iterator[tuple[RunKey, Addressed[RunCommand], str]]:
        """A command for each open end that nobody owns, and what it mends."""
        for attempt, waited in list(self._watch.attempts.items()):
            if waited.missed >= MISSES_MAX:
                yield attempt.run, vanished(attempt), "attempt"
        for key, timer_id in list(self._watch.overdue(at)):
            yield key, timer_fired(timer_id), "timer"
        for key in list(self._watch.owed()):
            yield key, Addressed(ContinueRun(), id="continue", actor=ACTOR), "continue"
        for key in list(self._watch.overlooked()):
            yield key, Addressed(ContinueRun(), id="admission", actor=ACTOR), "admission"


def vanished(attempt: Attempt) -> Addressed[RunCommand]:
    """The report that no executor holds an attempt."""
    step_id, number = attempt.step_id, attempt.attempt
    report = ReportLost(step_id=step_id, attempt=number, reason="vanished")
    return Addressed(report, id=f"ReportLost:{step_id}:{number}", actor=ACTOR)
