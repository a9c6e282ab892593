"""Runs lived to their end without a stack: random drawings, and somebody who answers for all.

Everything is drawn from one seeded random source, so a life that goes wrong can be lived again.
"""

from random import Random

from msgspec import UNSET

from penstock.domain import payload
from penstock.domain.errors import Refused
from penstock.domain.run.commands import (
    CancelRun,
    CompleteStep,
    ContinueRun,
    DecideApproval,
    EndChild,
    FailStep,
    FireTimer,
    PauseRun,
    ReportLost,
    ResumeRun,
    RunCommand,
    SignalRun,
    StartRun,
    SuspendStep,
)
from penstock.domain.run.decide import play
from penstock.domain.run.draft import Room
from penstock.domain.run.events import RunEvent, StepError, Verdict, WaitKind
from penstock.domain.run.evolve import fold
from penstock.domain.run.paths import Evaluation, evaluated_for
from penstock.domain.run.state import HELD, Run, StepStatus, unborn
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import (
    AtLeast,
    Condition,
    Definition,
    Edge,
    EdgeType,
    Join,
    Node,
    drawing_to_wire,
)

RUN = "0190aaaa-0000-7000-8000-000000000001"
AT = 1_000_000
KINDS = (
    "noop",
    "noop",
    "condition",
    "delay",
    "wait_for_signal",
    "approval",
    "sub_workflow",
    "loop",
)
BRANCHES = {
    "condition": ("true", "false"),
    "approval": ("approve", "reject"),
    "wait_for_signal": ("received",),
}
DEPTH_MAX = 2
STEPS_MAX = 3_000
"""Turns after which a life that has not ended is taken to be stuck."""

START = StartRun(
    workflow_id="w",
    workflow_name="drawn",
    version=1,
    definition="d",
    input=payload.NULL,
    created_at=AT,
)


def random_graph(random: Random) -> Graph:
    """A drawing of any constructs, with loops in loops."""
    nodes, edges = random_drawing(random, depth=0)
    output = "{{ nodes.n0.output }}" if random.random() < 0.3 else UNSET
    return Graph.of(Definition(name="drawn", nodes=nodes, edges=edges, output=output))


def random_drawing(random: Random, depth: int) -> tuple[tuple[Node, ...], tuple[Edge, ...]]:
    size = random.randint(1, 7 if depth == 0 else 3)
    kinds = [random.choice(KINDS if depth < DEPTH_MAX else KINDS[:-1]) for _ in range(size)]
    edges: list[Edge] = []
    for target in range(1, size):
        for source in random.sample(range(target), random.randint(0, min(target, 3))):
            condition = random_condition(random, kinds[source])
            edges.append(Edge(f"n{source}", f"n{target}", condition))
    nodes = tuple(random_node(random, n, kind, edges, depth) for n, kind in enumerate(kinds))
    return nodes, tuple(edges)


def random_node(random: Random, number: int, kind: str, edges: list[Edge], depth: int) -> Node:
    incoming = sum(edge.target == f"n{number}" for edge in edges)
    joins: list[Join | AtLeast] = [Join.ALL, Join.ALL, Join.ANY]
    if incoming > 1:
        joins.append(AtLeast(at_least=random.randint(1, incoming), cancel_others=True))
    config: dict[str, object] = {}
    if kind == "loop":
        body, inner = random_drawing(random, depth + 1)
        config = {"items": [1, 2, 3], "body": drawing_to_wire(body, inner)}
    return Node(
        id=f"n{number}",
        type=kind,
        join=random.choice(joins),
        config=config,
        continue_on_error=random.random() < 0.1,
    )


def random_condition(random: Random, kind: str) -> Condition:
    choices = [Condition()] * 4 + [
        Condition(EdgeType.ON_FAILURE),
        Condition(EdgeType.ALWAYS),
        Condition(EdgeType.EXPRESSION, expression="true"),
    ]
    choices += [Condition(EdgeType.BRANCH, branch) for branch in BRANCHES.get(kind, ())]
    return random.choice(choices)


class Life:
    """One run, from its start to its end, with everybody who has a word to say about it."""

    def __init__(self, graph: Graph, random: Random, *, faults: float = 0.1) -> None:
        self.random = random
        self.faults = faults
        self.run: Run = unborn(RUN, graph)
        self.history: list[list[RunEvent]] = []
        self.say(START)

    def say(self, command: RunCommand) -> None:
        """One command, decided and folded; what is refused has no effect."""
        steps = self.random.choice((0, 1, 1000, 1000))
        room: Room = lambda _queue: steps  # noqa: E731 - as many of whatever queue
        try:
            events, run = play(command, self.run, at=AT + len(self.history), room=room)
        except Refused:
            return
        if events:
            assert fold(self.run, events) == run, "deciding found another run than the fold"
            self.history.append(events)
            self.run = run

    def live(self) -> None:
        """Until the run has ended."""
        for _ in range(STEPS_MAX):
            if self.run.is_over:
                return
            self.say(self.next_command())
        raise AssertionError(f"stuck in {self.run.status} after {STEPS_MAX} turns")

    def next_command(self) -> RunCommand:
        """What somebody says next, drawn from all that could be said."""
        random, run = self.random, self.run
        if random.random() < self.faults / 5:
            return random.choice((PauseRun(), CancelRun(), signal(random)))
        words: list[RunCommand] = [ContinueRun()]
        for step_id, step in sorted(run.steps.items()):
            if step.status in HELD:
                words.append(self.report(step_id, step.attempt))
            elif step.status is StepStatus.WAITING and step.wait is not None:
                words += self.heard(step_id, step.attempt, step.wait.kind, step.wait.child_id)
        words += [FireTimer(timer_id=timer_id) for timer_id in sorted(run.timers)]
        if run.paused:
            words.append(ResumeRun())
        return random.choice(words)

    def heard(self, step_id: str, attempt: int, kind: WaitKind, child_id: str) -> list[RunCommand]:
        """What may end a wait."""
        random = self.random
        match kind:
            case WaitKind.CHILD:
                error = broken() if random.random() < self.faults else None
                ended = EndChild(
                    step_id=step_id,
                    attempt=attempt,
                    child_id=child_id,
                    output=payload.NULL,
                    error=error,
                )
                return [ended]
            case WaitKind.SIGNAL:
                return [signal(random)]
            case WaitKind.APPROVAL:
                verdict = random.choice(list(Verdict))
                return [DecideApproval(step_id=step_id, decision=verdict, output=payload.NULL)]
            case _:
                return []

    def report(self, step_id: str, attempt: int) -> RunCommand:
        """What an executor says about an attempt."""
        random = self.random
        if random.random() < self.faults:
            if random.random() < 0.3:
                return ReportLost(step_id=step_id, attempt=attempt, reason="vanished")
            return failure(step_id, attempt, retryable=random.random() < 0.5)
        purpose = evaluated_for(step_id)
        if purpose is not None:
            goes_on = purpose[1] is Evaluation.WHILE and random.random() < 0.6
            return done(step_id, attempt, branch=str(goes_on).lower(), edges=self.edges())
        node = self.run.drawn.node(step_id)
        kind = {
            "delay": WaitKind.DELAY,
            "wait_for_signal": WaitKind.SIGNAL,
            "approval": WaitKind.APPROVAL,
            "sub_workflow": WaitKind.CHILD,
            "loop": WaitKind.LOOP,
        }.get(node.type)
        if kind is None:
            branch = random.choice(BRANCHES.get(node.type, ("",))) or None
            return done(step_id, attempt, branch=branch, edges=self.edges())
        return suspension(random, step_id, attempt, kind)

    def edges(self) -> tuple[int, ...]:
        return tuple(n for n in range(4) if self.random.random() < 0.5)


def suspension(random: Random, step_id: str, attempt: int, kind: WaitKind) -> SuspendStep:
    limit = AT if kind is WaitKind.DELAY or random.random() < 0.2 else 0
    return SuspendStep(
        step_id=step_id,
        attempt=attempt,
        kind=kind,
        until=limit,
        output=payload.NULL,
        name=random.choice("ab"),
        count=random.choice((None, 0, 1, 3)),
        width=random.choice((1, 2, 512)),
        most=4,
        tolerant=random.random() < 0.5,
        workflow_id="w",
        started_at=AT,
        executor_id="e",
    )


def signal(random: Random) -> SignalRun:
    name = random.choice("ab")
    return SignalRun(name=name, signal_id=str(random.random()), payload=payload.NULL)


def broken() -> StepError:
    return StepError(code="BROKEN", message="it broke")


def failure(step_id: str, attempt: int, *, retryable: bool) -> FailStep:
    error = StepError(code="BROKEN", message="it broke", retryable=retryable)
    return FailStep(
        step_id=step_id,
        attempt=attempt,
        error=error,
        started_at=AT,
        finished_at=AT,
        executor_id="e",
    )


def done(
    step_id: str, attempt: int, *, branch: str | None = None, edges: tuple[int, ...] | None = None
) -> CompleteStep:
    return CompleteStep(
        step_id=step_id,
        attempt=attempt,
        output=payload.of_value(step_id),
        branch=branch,
        edges=edges,
        started_at=AT,
        finished_at=AT,
        executor_id="e",
    )
