"""The worker: runs the attempts that this executor holds, each to exactly one report.

What never waits runs at once, in the turn of the event loop that brought it. All else gets a task
of its own, `concurrency` of them at a time, and waits here for its turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping

from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.domain.run.commands import ConfirmCancel, FailStep, Report, StartStep
from penstock.executor.context import StepContext
from penstock.executor.credentials import Credentials
from penstock.executor.edges import told
from penstock.executor.holdings import Held, Stop
from penstock.executor.measures import measured
from penstock.executor.outcome import Outcome, StepFault, TimedOut
from penstock.executor.payloads import Payloads
from penstock.executor.plans import Plan, Plans
from penstock.executor.report import Reporter
from penstock.executor.supplies import Supplies
from penstock.executor.transport import GuardedTransport
from penstock.executor.verdict import (
    NOTHING_KEPT,
    burden_of,
    kept,
    kept_at_once,
    lost,
    now_ms,
    report_of,
)
from penstock.infra.telemetry.logs import logger
from penstock.infra.telemetry.metrics import executor_in_flight
from penstock.infra.telemetry.tracing import span, trace_id

MENTION_AFTER_SECONDS = 0.3
"""A shorter attempt tells when it started in its report."""
RELEASED = "released"

_log = logger(__name__)


class Worker:
    """Runs attempts."""

    def __init__(
        self,
        *,
        plans: Plans,
        payloads: Payloads,
        reporter: Reporter,
        transport: GuardedTransport,
        credentials: Credentials,
        concurrency: int,
    ) -> None:
        self._plans = plans
        self._payloads = payloads
        self._supplies = Supplies(payloads)
        self._reporter = reporter
        self._transport = transport
        self._credentials = credentials
        self._executor_id = reporter.executor_id
        self._concurrency = concurrency
        self._running: set[Held] = set()
        self._waiting: deque[Held] = deque()
        self._leaving = False

    @property
    def free(self) -> int:
        """How many attempts could begin now."""
        busy = len(self._running) + len(self._waiting)
        return 0 if self._leaving else max(0, self._concurrency - busy)

    def begin(self, held: Held) -> None:
        """Run an attempt as soon as possible."""
        if self._leaving:
            self._lose(held, RELEASED)
            return
        plan = self._plans.at_hand(held.pack.tenant, held.task)
        if plan is not None and plan.handler.immediate is not None:
            payloads = self._supplies.at_hand(held.pack.tenant, held.task)
            if payloads is not None:
                held.plan = plan
                if self._at_once(held, plan, payloads):
                    return
        if len(self._running) < self._concurrency:
            self._start(held)
        else:
            self._waiting.append(held)

    def cancel(
        self, tenant: str, run_id: str, steps: Collection[tuple[str, int]] | None = None
    ) -> None:
        """Stop attempts of a run, those that run and those that wait here for their turn.

        steps: which of them, by path and attempt; None for all.
        """

        def is_of_it(held: Held) -> bool:
            task = held.task
            if task.run_id != run_id or held.pack.tenant != tenant:
                return False
            return steps is None or (task.step_id, task.attempt) in steps

        self._drop_waiting([held for held in self._waiting if is_of_it(held)], self._confirm)
        for held in [held for held in self._running if is_of_it(held)]:
            self._stop(held, Stop.CANCEL)

    async def leave(self, grace_seconds: float, stop_seconds: float) -> None:
        """Begin nothing more, finish what ends within the grace, hand back the rest.

        stop_seconds: what those get that have to be told to stop.
        """
        self._leaving = True
        self._drop_waiting(list(self._waiting), lambda held: self._lose(held, RELEASED))
        await self._ended_within(grace_seconds)
        for held in list(self._running):
            self._stop(held, Stop.RELEASE)
        await self._ended_within(stop_seconds)

    # --- at once ---------------------------------------------------------------------------------

    def _at_once(self, held: Held, plan: Plan, payloads: Mapping[str, Payload]) -> bool:
        """Run an attempt to its report; False when that is too large to be sent at once.

        Such an attempt is run again at leisure, which does no harm: what never waits has no
        effect on anything either.
        """
        held.started_at = now_ms()
        found = self._found_at_once(held, plan, payloads)
        edges = None
        if plan.edges is not None:
            found, edges = told(plan.edges, held.given, found)
        kept = kept_at_once(burden_of(held, found), self._payloads, held)
        if kept is None:
            return False
        self._say(held, report_of(held, self._executor_id, found, kept, edges=edges))
        return True

    def _found_at_once(
        self, held: Held, plan: Plan, payloads: Mapping[str, Payload]
    ) -> Outcome | StepFault:
        assert plan.handler.immediate is not None
        task = held.task
        try:
            held.given = given = plan.given(task, payloads)
            config = plan.filled(task, payloads, given)
            found = plan.handler.immediate(self._context(held, task.traceparent), config, given)
            return plan.bounded(found, held.started_at)
        except StepFault as fault:
            return fault
        except Exception as error:  # noqa: BLE001 - a fault of ours ends the step, not the process
            return unforeseen(held, error)

    def _context(self, held: Held, traceparent: str) -> StepContext:
        task = held.task
        return StepContext(
            held.pack.tenant,
            task.run_id,
            task.step_id,
            task.attempt,
            held.started_at,
            traceparent,
            self._transport,
            openai=self._credentials.openai,
        )

    # --- at leisure ------------------------------------------------------------------------------

    def _start(self, held: Held) -> None:
        self._running.add(held)
        executor_in_flight.set(len(self._running))
        held.started_at = now_ms()
        held.runner = asyncio.create_task(self._run(held))
        mention = asyncio.get_running_loop().call_later(MENTION_AFTER_SECONDS, self._mention, held)
        held.alarms = (mention,)

    async def _run(self, held: Held) -> None:
        """From the start of an attempt to its report."""
        held.begun = True
        try:
            if held.stop is None:
                report = await self._word(held)
            else:
                report = await self._stopped(held, held.stop)
        except asyncio.CancelledError:
            if held.stop is None:
                raise
            report = await self._stopped(held, held.stop)
        finally:
            self._end(held)
        self._say(held, report)

    def _end(self, held: Held) -> None:
        for alarm in held.alarms:
            alarm.cancel()
        self._running.discard(held)
        executor_in_flight.set(len(self._running))
        while self._waiting and len(self._running) < self._concurrency:
            self._start(self._waiting.popleft())

    async def _word(self, held: Held) -> Report:
        """What is to be said about an attempt that is left to come to its end."""
        try:
            found: Outcome | StepFault = await self._outcome(held)
        except StepFault as fault:
            found = fault
        except Exception as error:  # noqa: BLE001 - a fault of ours ends the step, not the process
            found = unforeseen(held, error)
        return await self._report(held, found)

    async def _outcome(self, held: Held) -> Outcome:
        task, tenant = held.task, held.pack.tenant
        held.plan = plan = await self._plans.plan(tenant, task)
        self._limit(held, plan.limit_ms)
        payloads = await self._supplies.fetched(tenant, task, plan)
        held.given = given = plan.given(task, payloads)
        if plan.handler.immediate is not None:
            config = plan.filled(task, payloads, given)
            found = plan.handler.immediate(self._context(held, task.traceparent), config, given)
            return plan.bounded(found, held.started_at)
        with span(f"step {plan.node.type}", task.traceparent, **about(held)) as traceparent:
            found = await self._called(held, plan, payloads, traceparent)
        return plan.bounded(found, held.started_at)

    async def _called(
        self, held: Held, plan: Plan, payloads: Mapping[str, Payload], traceparent: str
    ) -> Outcome:
        """What a node comes to that calls the outside; of one that uses secrets, without them."""
        context = self._context(held, traceparent)
        if plan.wants is None:
            return await self._waited(held, plan, payloads, context, None)
        used = await self._credentials.used(held.pack.tenant, plan.wants)
        held.used = tuple(name.reference(held.pack.tenant) for name in plan.wants.names)
        _log.info("secrets used", names=[str(n) for n in plan.wants.names], **about(held))
        waited = self._waited(held, plan, payloads, replace(context, used=used), used.secrets)
        return await used.scrubber.guarding(waited)

    async def _waited(
        self,
        held: Held,
        plan: Plan,
        payloads: Mapping[str, Payload],
        context: StepContext,
        secrets: Mapping[str, str] | None,
    ) -> Outcome:
        assert held.given is not None
        assert plan.handler.waiting is not None
        config = plan.filled(held.task, payloads, held.given, secrets)
        if (limit_ms := plan.limit_under(config)) != held.limit_ms:
            self._limit(held, limit_ms)
        return await plan.handler.waiting(context, config, held.given)

    def _limit(self, held: Held, limit_ms: int) -> None:
        """Stop the attempt when it has taken so long; what was said before counts no more."""
        mention, *former = held.alarms
        for alarm in former:
            alarm.cancel()
        held.limit_ms = limit_ms
        left = max(0.0, (held.started_at + limit_ms - now_ms()) / 1000)
        limit = asyncio.get_running_loop().call_later(left, self._stop, held, Stop.TIME)
        held.alarms = (mention, limit)

    async def _report(self, held: Held, found: Outcome | StepFault) -> Report:
        """The report, with the edges that hold, and large payloads in the blob store."""
        tests = None if held.plan is None else held.plan.edges
        found, edges = told(tests, held.given, found)
        try:
            payloads = await kept(burden_of(held, found), self._payloads, held)
        except StepFault as fault:
            # Of a fault about keeping bytes, nothing more is kept than its words, which are ours.
            found, edges = told(tests, held.given, fault)
            payloads = NOTHING_KEPT
        return report_of(held, self._executor_id, found, payloads, edges=edges)

    # --- stopping --------------------------------------------------------------------------------

    def _mention(self, held: Held) -> None:
        task = held.task
        start = StartStep(
            step_id=task.step_id,
            attempt=task.attempt,
            started_at=held.started_at,
            executor_id=self._executor_id,
        )
        self._reporter.mention(held, start)

    def _stop(self, held: Held, stop: Stop) -> None:
        """Tell a running attempt to stop; the first reason counts.

        One that has a task and no turn yet looks by itself: a task that is cancelled before its
        first turn never runs, and would say nothing.
        """
        if held.stop is None and held.runner is not None:
            held.stop = stop
            if held.begun:
                held.runner.cancel()

    async def _stopped(self, held: Held, stop: Stop) -> Report:
        task = held.task
        match stop:
            case Stop.CANCEL:
                return ConfirmCancel(step_id=task.step_id, attempt=task.attempt, used=held.used)
            case Stop.RELEASE:
                return lost(task, RELEASED, held.used)
            case Stop.TIME:
                return await self._report(held, TimedOut(held.limit_ms))

    def _drop_waiting(self, dropped: list[Held], say: Callable[[Held], None]) -> None:
        for held in dropped:
            self._waiting.remove(held)
            say(held)

    def _confirm(self, held: Held) -> None:
        task = held.task
        self._say(held, ConfirmCancel(step_id=task.step_id, attempt=task.attempt))

    def _lose(self, held: Held, reason: str) -> None:
        self._say(held, lost(held.task, reason))

    def _say(self, held: Held, report: Report) -> None:
        measured(held, report)
        if isinstance(report, FailStep):
            _log.info("step failed", code=report.error.code, **about(held))
        self._reporter.say(held, report)

    async def _ended_within(self, seconds: float) -> None:
        runners = [held.runner for held in self._running if held.runner is not None]
        if runners:
            await asyncio.wait(runners, timeout=seconds)


def about(held: Held) -> dict[str, str | int]:
    """What a log line or a span about an attempt names."""
    task = held.task
    return {
        "tenant": held.pack.tenant,
        "run_id": task.run_id,
        "step_id": task.step_id,
        "attempt": task.attempt,
        "traceId": trace_id(task.traceparent),
    }


def unforeseen(held: Held, error: Exception) -> StepFault:
    """The fault of an attempt that failed in a way nobody thought of; its log line says how."""
    _log.error("step failed by our fault", exc_info=error, **about(held))
    return StepFault("INTERNAL_ERROR", "the executor failed; its log says why")
