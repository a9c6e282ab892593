"""Builders that keep a test about runs on one line: a drawing, commands, and what came of them."""

from collections.abc import Iterable

from penstock.domain import payload
from penstock.domain.run.commands import (
    CompleteStep,
    ConfirmCancel,
    FailStep,
    ReportLost,
    RunCommand,
    StartRun,
    StartStep,
    SuspendStep,
)
from penstock.domain.run.decide import decide
from penstock.domain.run.events import RunEvent, StepError
from penstock.domain.run.evolve import fold
from penstock.domain.run.state import Run, unborn
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import (
    Condition,
    Definition,
    Edge,
    EdgeType,
    Join,
    Node,
    Retry,
)

RUN = "0190aaaa-0000-7000-8000-000000000001"
AT = 1_000_000


def drawing(
    *edges: str,
    joins: dict[str, Join] | None = None,
    retry: Retry | None = None,
    timeout_ms: int | None = None,
) -> Graph:
    """A graph of noops from `a>b` (on success), `a!b` (failure), `a*b` (always), `a?yes>b`.

    A word without an arrow is a node by itself.
    """
    names: dict[str, None] = {}
    made = []
    for text in edges:
        source, condition, target = arrow(text)
        names |= dict.fromkeys(name for name in (source, target) if name)
        if target:
            made.append(Edge(source, target, condition))
    nodes = tuple(
        Node(id=name, type="noop", join=(joins or {}).get(name, Join.ALL)) for name in names
    )
    definition = Definition(
        name="drawn", nodes=nodes, edges=tuple(made), retry=retry, timeout_ms=timeout_ms
    )
    return Graph.of(definition)


def arrow(text: str) -> tuple[str, Condition, str]:
    """The two ends of an edge and its condition."""
    if "?" in text:
        source, _, rest = text.partition("?")
        branch, _, target = rest.partition(">")
        return source, Condition(EdgeType.BRANCH, branch), target
    for sign, kind in (
        ("!", EdgeType.ON_FAILURE),
        ("*", EdgeType.ALWAYS),
        (">", EdgeType.ON_SUCCESS),
    ):
        source, found, target = text.partition(sign)
        if found:
            return source, Condition(kind), target
    return text, Condition(), ""


class Story:
    """A run and its history so far."""

    def __init__(self, graph: Graph) -> None:
        self.run: Run = unborn(RUN, graph)
        self.history: list[RunEvent] = []

    def when(self, *commands: RunCommand, at: int = AT) -> list[str]:
        """What each command adds, in short words such as `Ready b`."""
        said: list[str] = []
        for command in commands:
            events = decide(command, self.run, at=at)
            self.run = fold(self.run, events)
            self.history += events
            said += [brief(event) for event in events]
        return said

    def last(self, kind: type[RunEvent]) -> RunEvent:
        """The latest event of a kind."""
        return next(event for event in reversed(self.history) if isinstance(event, kind))


def brief(event: RunEvent) -> str:
    """An event in two or three words: `StepReady(b)` as `Ready b`, attempts above 1 as `b#2`."""
    name = type(event).__name__
    step_id = getattr(event, "step_id", None)
    if step_id is None:
        return name
    attempt = getattr(event, "attempt", 1)
    return f"{name.removeprefix('Step')} {step_id}" + (f"#{attempt}" if attempt > 1 else "")


def start(request_hash: str = "h") -> StartRun:
    return StartRun(
        workflow_id="w",
        workflow_name="drawn",
        version=1,
        definition="d",
        input=payload.NULL,
        created_at=AT,
        request_hash=request_hash,
    )


def complete(step_id: str, attempt: int = 1, branch: str | None = None) -> CompleteStep:
    return CompleteStep(
        step_id=step_id,
        attempt=attempt,
        output=payload.of_value(step_id),
        branch=branch,
        started_at=AT,
        finished_at=AT,
        executor_id="e",
    )


def fail(
    step_id: str,
    attempt: int = 1,
    *,
    retryable: bool = False,
    timed_out: bool = False,
    retry_after_ms: int | None = None,
) -> FailStep:
    return FailStep(
        step_id=step_id,
        attempt=attempt,
        error=StepError(code="BROKEN", message="it broke", retryable=retryable),
        timed_out=timed_out,
        retry_after_ms=retry_after_ms,
        started_at=AT,
        finished_at=AT,
        executor_id="e",
    )


def suspend(step_id: str, attempt: int = 1) -> SuspendStep:
    return SuspendStep(
        step_id=step_id,
        attempt=attempt,
        until=AT + 5,
        output=payload.of_value("rested"),
        started_at=AT,
        executor_id="e",
    )


def begin(step_id: str, attempt: int = 1) -> StartStep:
    return StartStep(step_id=step_id, attempt=attempt, started_at=AT, executor_id="e")


def lost(step_id: str, attempt: int = 1, reason: str = "redelivered") -> ReportLost:
    return ReportLost(step_id=step_id, attempt=attempt, reason=reason)


def stopped(step_id: str, attempt: int = 1) -> ConfirmCancel:
    return ConfirmCancel(step_id=step_id, attempt=attempt)


def begun(step_ids: Iterable[str]) -> list[str]:
    """What is said when steps become ready and are dispatched together."""
    step_ids = list(step_ids)
    return [f"Ready {s}" for s in step_ids] + [f"Dispatched {s}" for s in step_ids]
