"""A simulated executor: the intake, holdings and reporter that ship; steps that only pretend.

`Hands` stands for the worker: it lets each attempt take its time and come to the end that the
step's temper and the dice say.
"""

import asyncio
from collections.abc import Callable

from penstock.domain import payload
from penstock.domain.payload import Payload
from penstock.domain.run.commands import (
    CompleteStep,
    ConfirmCancel,
    FailStep,
    Report,
    ReportLost,
    StartStep,
    SuspendStep,
)
from penstock.domain.run.events import StepError
from penstock.executor.holdings import Held, Holdings
from penstock.executor.intake import Intake
from penstock.executor.report import Reporter
from penstock.infra.nats.dead import DeadLetters
from penstock.infra.nats.delivery import Delivery
from penstock.infra.nats.subjects import parse_cancel
from penstock.messages.envelope import encode
from penstock.messages.rollcall import RollCall
from tests.simulation.doors import Connection, Publisher
from tests.simulation.drawings import BRANCHES, Temper, Workflow
from tests.simulation.loop import Entry
from tests.simulation.world import World

CONCURRENCY = 16
MENTION_S = 0.3
LARGE_BYTES = 1_500
"""More than run state keeps, so that what reads it gets a place in the log."""

TempersOf = Callable[[str], Workflow]


class Hands:
    """Runs attempts. workflow_of: by the definition's hash."""

    def __init__(
        self, world: World, reporter: Reporter, executor_id: str, workflow_of: TempersOf
    ) -> None:
        self._world = world
        self._reporter = reporter
        self._executor_id = executor_id
        self._workflow_of = workflow_of
        self._alarms: dict[Held, list[Entry]] = {}
        self.leaving = False

    @property
    def free(self) -> int:
        """How many attempts could begin now."""
        return 0 if self.leaving else max(0, CONCURRENCY - len(self._alarms))

    def begin(self, held: Held) -> None:
        """Run an attempt; one that takes no time ends in this very turn."""
        if self.leaving:
            self._say(held, lost(held, "released"))
            return
        world, loop = self._world, self._world.loop
        held.started_at = world.wall_ms()
        temper = self._temper(held)
        world.note("step begun", *held.key, temper)
        seconds = duration(world, temper)
        if seconds == 0:
            self._end(held)
            return
        process = loop.process
        alarms = [loop.after(seconds, process, self._end, held)]
        if seconds > MENTION_S:
            alarms.append(loop.after(MENTION_S, process, self._mention, held))
        self._alarms[held] = alarms

    def cancel(self, tenant: str, run_id: str) -> None:
        """Stop the attempts of a run; some do not listen."""
        for held in list(self._alarms):
            ours = held.task.run_id == run_id and held.pack.tenant == tenant
            if ours and self._world.random.random() < 0.8:
                self._stop(held)
                self._say(held, confirmed(held))

    def leave(self) -> None:
        """Begin nothing more, hand back what runs."""
        self.leaving = True
        for held in list(self._alarms):
            self._stop(held)
            self._say(held, lost(held, "released"))

    @property
    def busy_with(self) -> set[str]:
        """The runs whose steps are being run."""
        return {held.task.run_id for held in self._alarms}

    def _temper(self, held: Held) -> Temper:
        return self._workflow_of(held.task.definition).tempers[held.task.step_id]

    def _stop(self, held: Held) -> None:
        for alarm in self._alarms.pop(held):
            alarm.cancel()

    def _mention(self, held: Held) -> None:
        task = held.task
        start = StartStep(
            step_id=task.step_id,
            attempt=task.attempt,
            started_at=held.started_at,
            executor_id=self._executor_id,
        )
        self._reporter.mention(held, start)

    def _end(self, held: Held) -> None:
        self._alarms.pop(held, None)
        self._say(held, self._outcome(held))

    def _say(self, held: Held, report: Report) -> None:
        self._world.note("step ended", *held.key, type(report).__name__)
        self._reporter.say(held, report)

    def _outcome(self, held: Held) -> Report:
        world, task, random = self._world, held.task, self._world.random
        temper = self._temper(held)
        flaky = temper is Temper.FLAKY and random.random() < 0.5
        if flaky or temper in {Temper.HOPELESS, Temper.BROKEN}:
            return self._failure(held, retryable=temper is not Temper.BROKEN)
        if temper is Temper.RESTING and random.random() < 0.9:
            return SuspendStep(
                step_id=task.step_id,
                attempt=task.attempt,
                until=world.wall_ms() + random.choice((0, 50, 800, 4_000)),
                output=self._output(held),
                started_at=held.started_at,
                executor_id=self._executor_id,
            )
        return CompleteStep(
            step_id=task.step_id,
            attempt=task.attempt,
            output=self._output(held),
            branch=random.choice(BRANCHES),
            started_at=held.started_at,
            finished_at=world.wall_ms(),
            executor_id=self._executor_id,
        )

    def _failure(self, held: Held, *, retryable: bool) -> FailStep:
        random, task = self._world.random, held.task
        large = random.random() < 0.1
        error = StepError(
            code="BROKEN",
            message="it broke",
            retryable=retryable,
            details=payload.of_value("why " * 500) if large else None,
        )
        return FailStep(
            step_id=task.step_id,
            attempt=task.attempt,
            error=error,
            timed_out=random.random() < 0.2,
            retry_after_ms=900 if random.random() < 0.05 else None,
            input=payload.of_value(task.step_id),
            started_at=held.started_at,
            finished_at=self._world.wall_ms(),
            executor_id=self._executor_id,
        )

    def _output(self, held: Held) -> Payload:
        """No two attempts say the same."""
        random = self._world.random
        said = f"{held.task.run_id}/{held.task.step_id}/{held.task.attempt}/{random.random()}"
        return payload.of_value(said + "." * (LARGE_BYTES if random.random() < 0.15 else 0))


class Executor:
    """One executor process."""

    def __init__(self, nc: Connection, workflow_of: TempersOf) -> None:
        self.process = nc.process
        self._nc = nc
        publisher = Publisher(nc)
        self.holdings = Holdings(Delivery.ack)
        name = nc.process.name
        self._reporter = Reporter(publisher, name, self.holdings.settle)  # type: ignore[arg-type]
        self.hands = Hands(nc.world, self._reporter, name, workflow_of)
        self._intake = Intake(
            nc,  # type: ignore[arg-type]
            ("default",),
            worker=self.hands,  # type: ignore[arg-type]
            reporter=self._reporter,
            holdings=self.holdings,
            letters=DeadLetters(publisher),  # type: ignore[arg-type]
        )

    async def start(self) -> None:
        """Take in work from now on."""
        loop, network = self._nc.world.loop, self._nc.network
        loop.create_task(self._intake.keep_alive())
        network.listen(self.process, "penstock.ctl.cancel", self._hear_cancel)
        network.listen(self.process, "penstock.ctl.rollcall", self._hear_roll_call)
        await self._intake.start()

    async def stop(self) -> None:
        """Hand back what is in hand, say so, and leave."""
        await self._intake.stop()
        self.hands.leave()
        try:
            async with asyncio.timeout(1.0):
                await self._reporter.silence()
        except TimeoutError:
            self._nc.world.note("left in silence", self.process.name)
        self.process.alive = False

    def _hear_cancel(self, subject: str, _body: bytes, _reply: str) -> None:
        self.hands.cancel(*parse_cancel(subject))

    def _hear_roll_call(self, _subject: str, _body: bytes, reply: str) -> None:
        answer = RollCall(
            executor_id=self.process.name,
            held=self.holdings.keys,
            queues=("default",),
            free=self.hands.free,
            capacity=self.hands.free,
        )
        self._nc.network.say(reply, encode(answer))


def duration(world: World, temper: Temper) -> float:
    """Seconds that an attempt takes."""
    random = world.random
    if temper is Temper.SLUGGISH:
        return 0.5 + 3 * random.random()
    return 0.0 if random.random() < 0.6 else random.random() * 0.1


def lost(held: Held, reason: str) -> ReportLost:
    """What is said of an attempt that nobody works on."""
    return ReportLost(step_id=held.task.step_id, attempt=held.task.attempt, reason=reason)


def confirmed(held: Held) -> ConfirmCancel:
    """What is said of an attempt that was stopped."""
    return ConfirmCancel(step_id=held.task.step_id, attempt=held.task.attempt)
