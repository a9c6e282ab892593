"""A simulated executor: the intake, holdings and reporter that ship; steps that only pretend.

`Hands` stands for the worker: it lets each attempt take its time and come to the end that
somebody (`answers.py`) says.
"""

import asyncio
from collections.abc import Callable

from penstock.domain.run.commands import ConfirmCancel, Report, ReportLost, StartStep
from penstock.domain.workflow.graph import Graph
from penstock.executor.control import steps_of
from penstock.executor.holdings import Held, Holdings
from penstock.executor.intake import Intake
from penstock.executor.report import Reporter
from penstock.infra.nats.dead import DeadLetters
from penstock.infra.nats.delivery import Delivery
from penstock.infra.nats.subjects import parse_cancel
from penstock.messages.envelope import encode
from penstock.messages.rollcall import RollCall
from tests.simulation.answers import Answers, Asked, asked_of, used_by
from tests.simulation.doors import Connection, Publisher
from tests.simulation.loop import Entry
from tests.simulation.world import World

CONCURRENCY = 16
MENTION_S = 0.3
QUEUES = ("default", "slow")

GraphOf = Callable[[str], Graph]


class Hands:
    """Runs attempts. graph_of: by the definition's hash."""

    def __init__(
        self,
        world: World,
        reporter: Reporter,
        executor_id: str,
        graph_of: GraphOf,
        answers: Answers,
    ) -> None:
        self._world = world
        self._reporter = reporter
        self._executor_id = executor_id
        self._graph_of = graph_of
        self._answers = answers
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
        asked = self._asked(held)
        world.note("step begun", *held.key, asked.temper)
        seconds = self._answers.seconds(asked)
        if seconds == 0:
            self._end(held)
            return
        process = loop.process
        alarms = [loop.after(seconds, process, self._end, held)]
        if seconds > MENTION_S:
            alarms.append(loop.after(MENTION_S, process, self._mention, held))
        self._alarms[held] = alarms

    def cancel(self, tenant: str, run_id: str, steps: frozenset[tuple[str, int]] | None) -> None:
        """Stop attempts of a run, all or those that are named; some do not listen."""
        for held in list(self._alarms):
            task = held.task
            ours = task.run_id == run_id and held.pack.tenant == tenant
            meant = steps is None or (task.step_id, task.attempt) in steps
            if ours and meant and self._answers.listens():
                self._world.note("step stopped", *held.key)
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

    def _asked(self, held: Held) -> Asked:
        graph = self._graph_of(held.task.definition)
        return asked_of(held, graph, executor_id=self._executor_id, now=self._world.wall_ms())

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
        self._say(held, self._answers.report(self._asked(held)))

    def _say(self, held: Held, report: Report) -> None:
        self._world.note("step ended", *held.key, type(report).__name__)
        self._reporter.say(held, report)


class Executor:
    """One executor process."""

    def __init__(self, nc: Connection, graph_of: GraphOf, answers: Answers) -> None:
        self.process = nc.process
        self._nc = nc
        publisher = Publisher(nc)
        self.holdings = Holdings(Delivery.ack)
        name = nc.process.name
        self._reporter = Reporter(publisher, name, self.holdings.settle)  # type: ignore[arg-type]
        self.hands = Hands(nc.world, self._reporter, name, graph_of, answers)
        self._intake = Intake(
            nc,  # type: ignore[arg-type]
            QUEUES,
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

    def _hear_cancel(self, subject: str, body: bytes, _reply: str) -> None:
        self.hands.cancel(*parse_cancel(subject), steps_of(body))

    def _hear_roll_call(self, _subject: str, _body: bytes, reply: str) -> None:
        answer = RollCall(
            executor_id=self.process.name,
            held=self.holdings.keys,
            queues=QUEUES,
            free=self.hands.free,
            capacity=self.hands.free,
        )
        self._nc.network.say(reply, encode(answer))


def lost(held: Held, reason: str) -> ReportLost:
    """What is said of an attempt that nobody works on."""
    task = held.task
    used = used_by(held)
    return ReportLost(step_id=task.step_id, attempt=task.attempt, reason=reason, used=used)


def confirmed(held: Held) -> ConfirmCancel:
    """What is said of an attempt that was stopped."""
    task = held.task
    return ConfirmCancel(step_id=task.step_id, attempt=task.attempt, used=used_by(held))
