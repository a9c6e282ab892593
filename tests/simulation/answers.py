"""What attempts come to: plausible words of an executor that pretends, drawn from the dice."""

from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple, Protocol

from penstock.domain import payload
from penstock.domain.ids import fraction
from penstock.domain.payload import Payload
from penstock.domain.run.commands import CompleteStep, FailStep, Report, SuspendStep
from penstock.domain.run.events import StepError, WaitKind
from penstock.domain.run.paths import Evaluation, evaluated_for, node_of
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Node
from penstock.executor.holdings import Held
from penstock.messages.envelope import Task
from tests.simulation.constructs import chosen_by
from tests.simulation.tempers import Temper, temper_of
from tests.simulation.world import World

LARGE_BYTES = 1_500
"""More than run state keeps, so that what reads it gets a place in the log."""

SECRET = "secret:token"
SECRETIVE = 0.3
"""How many steps use a secret."""

ROUNDS_SHARE = 0.6
"""How often a `while` goes on."""


class Asked(NamedTuple):
    """An attempt, and what is known of its step. now: ms. node: None of an evaluation."""

    held: Held
    graph: Graph
    node: Node | None
    temper: Temper
    executor_id: str
    now: int

    @property
    def task(self) -> Task:
        """The task of the attempt."""
        return self.held.task


class Answers(Protocol):
    """Decides how long attempts take and what they come to."""

    def seconds(self, asked: Asked) -> float:
        """How long an attempt takes."""

    def report(self, asked: Asked) -> Report:
        """What it comes to."""

    def listens(self) -> bool:
        """Whether an attempt hears that it is to stop."""


class Dice:
    """Everything is left to chance, within what the step's temper allows."""

    def __init__(self, world: World) -> None:
        self._random = world.random

    def listens(self) -> bool:
        """See Answers."""
        return self._random.random() < 0.8

    def seconds(self, asked: Asked) -> float:
        """See Answers."""
        random = self._random
        if asked.temper is Temper.SLUGGISH:
            return 0.5 + 3 * random.random()
        return 0.0 if random.random() < 0.6 else random.random() * 0.1

    def report(self, asked: Asked) -> Report:
        """See Answers."""
        random, temper = self._random, asked.temper
        flaky = temper is Temper.FLAKY and random.random() < 0.5
        if flaky or temper in {Temper.HOPELESS, Temper.BROKEN}:
            return self._failure(asked, retryable=temper is not Temper.BROKEN)
        if asked.node is None:
            return self._evaluation(asked)
        rest = waiting(asked, asked.node, self._output(asked))
        if rest is not None:
            return rest
        is_event = asked.node.type == "emit_event"
        if temper is Temper.RESTING and not is_event and random.random() < 0.9:
            until = asked.now + random.choice((0, 50, 800, 4_000))
            return suspended(asked, until=until, output=self._output(asked))
        branch = random.choice(chosen_by(asked.node) or ("",)) or None
        output = emitted(asked) if is_event else self._output(asked)
        return succeeded(asked, output, branch=branch, edges=self._edges(asked))

    def _evaluation(self, asked: Asked) -> Report:
        random = self._random
        if random.random() < 0.04:
            return self._failure(asked, retryable=random.random() < 0.8)
        goes_on = str(random.random() < ROUNDS_SHARE).lower()
        output = self._output(asked)
        return succeeded(asked, output, branch=goes_on, edges=self._edges(asked))

    def _edges(self, asked: Asked) -> tuple[int, ...] | None:
        told = expressions(asked)
        if told is None:
            return None
        return tuple(number for number in told if self._random.random() < 0.6)

    def _failure(self, asked: Asked, *, retryable: bool) -> FailStep:
        random = self._random
        large = random.random() < 0.1
        return failed(
            asked,
            StepError(
                code="BROKEN",
                message="it broke",
                retryable=retryable,
                details=payload.of_value("why " * 500) if large else None,
            ),
            timed_out=random.random() < 0.2,
            retry_after_ms=900 if random.random() < 0.05 else None,
            edges=self._edges(asked),
        )

    def _output(self, asked: Asked) -> Payload:
        return unique(asked.task, self._random)


def expressions(asked: Asked) -> tuple[int, ...] | None:
    """The EXPRESSION edges that this attempt has to tell about, None where there are none."""
    step_id = asked.task.step_id
    found = evaluated_for(step_id)
    if found is not None and found[1] is not Evaluation.EDGES:
        return None
    graph, node_id = asked.graph.scope(step_id if found is None else found[0])
    return graph.expressions[node_id] or None


def unique(task: Task, random: Random) -> Payload:
    """No two attempts say the same."""
    said = f"{task.run_id}/{task.step_id}/{task.attempt}/{random.random()}"
    return payload.of_value(said + "." * (LARGE_BYTES if random.random() < 0.15 else 0))


def emitted(asked: Asked) -> Payload:
    """The event that a step emits."""
    task = asked.task
    said = f"{task.run_id}/{task.step_id}/{task.attempt}"
    return payload.of_value({"type": "done", "source": node_of(task.step_id), "data": said})


def waiting(asked: Asked, node: Node, output: Payload) -> SuspendStep | None:
    """How a step of this type goes to rest; None of one that does not."""
    config: Mapping[str, Any] = node.config
    match node.type:
        case "delay" if config["durationMs"]:
            return suspended(asked, until=asked.now + config["durationMs"], output=output)
        case "wait_for_signal" | "approval":
            kind = WaitKind.APPROVAL if node.type == "approval" else WaitKind.SIGNAL
            limit, late = config.get("timeoutMs"), config.get("onTimeout")
            return suspended(
                asked,
                kind=kind,
                until=asked.now + limit if limit else 0,
                on_timeout=late,
                output=output if late else None,
                name=config.get("name", ""),
            )
        case "sub_workflow":
            return suspended(
                asked,
                kind=WaitKind.CHILD,
                workflow_id=config["workflowId"],
                version=config.get("version"),
                input=output,
            )
        case "loop":
            return looping(asked, config)
        case _:
            return None


def looping(asked: Asked, config: Mapping[str, Any]) -> SuspendStep | None:
    """A loop's rest; None where it has nothing to go over."""
    tolerant = config.get("onItemError") == "continue"
    if "while" in config:
        most = config["maxIterations"]
        return suspended(asked, kind=WaitKind.LOOP, most=most, tolerant=tolerant)
    items = config["items"]
    if not items:
        return None
    return suspended(
        asked,
        kind=WaitKind.LOOP,
        count=len(items),
        items=payload.of_value(items),
        width=1 if config.get("mode") == "sequential" else config["maxConcurrency"],
        most=100,
        tolerant=tolerant,
    )


def suspended(asked: Asked, **members: Any) -> SuspendStep:
    """The report of an attempt that rests."""
    return SuspendStep(
        step_id=asked.task.step_id,
        attempt=asked.task.attempt,
        started_at=asked.held.started_at,
        executor_id=asked.executor_id,
        **members,
    )


def succeeded(asked: Asked, output: Payload, **members: Any) -> CompleteStep:
    """The report of an attempt that came to a good end."""
    return CompleteStep(
        step_id=asked.task.step_id,
        attempt=asked.task.attempt,
        output=output,
        started_at=asked.held.started_at,
        finished_at=asked.now,
        executor_id=asked.executor_id,
        used=used_by(asked.held),
        **members,
    )


def failed(asked: Asked, error: StepError, **members: Any) -> FailStep:
    """The report of an attempt that came to a bad end."""
    return FailStep(
        step_id=asked.task.step_id,
        attempt=asked.task.attempt,
        error=error,
        input=payload.of_value(asked.task.step_id),
        started_at=asked.held.started_at,
        finished_at=asked.now,
        executor_id=asked.executor_id,
        used=used_by(asked.held),
        **members,
    )


def used_by(held: Held) -> tuple[str, ...]:
    """What an attempt was given: some steps use a secret."""
    return (SECRET,) if fraction(held.task.run_id, held.task.step_id) < SECRETIVE else ()


def asked_of(held: Held, graph: Graph, *, executor_id: str, now: int) -> Asked:
    """An attempt with what is known of its step."""
    step_id = held.task.step_id
    is_evaluation = evaluated_for(step_id) is not None
    node = None if is_evaluation else graph.node(step_id)
    temper = Temper.SOUND if node is None else temper_of(node)
    return Asked(held, graph, node, temper, executor_id, now)
