"""A checker that knows the rules and not the code: what each event may follow, told naively.

It shares no line with `evolve` or `decide`: it keeps what the events said, and looks again at the
whole neighbourhood of a step whenever the step begins or is given up.
"""

from collections.abc import Callable

from msgspec import Struct

from penstock.domain.run import consequences
from penstock.domain.run.events import (
    CancelCause,
    ResultDiscarded,
    RunCancelRequested,
    RunEvent,
    RunFailed,
    RunStarted,
    StepFailed,
    StepLost,
    StepReady,
    StepRetryScheduled,
    StepSucceeded,
    StepTimedOut,
)
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Edge, EdgeType, Join

LOSSES_MAX = 105
"""However an attempt is lost or handed back, nobody repeats it more often."""

HELD = ("dispatched", "running")
SETTLED = ("succeeded", "failed", "skipped", "cancelled")
FOLLOWS = {
    "StepDispatched": (("ready",), "dispatched"),
    "StepStarted": (("dispatched",), "running"),
    "StepWaiting": (HELD, "waiting"),
    "StepRetryScheduled": (HELD, "retrying"),
    "StepLost": (HELD, "lost"),
    "StepSucceeded": ((*HELD, "waiting"), "succeeded"),
    "StepFailed": (HELD, "failed"),
    "StepTimedOut": (HELD, "failed"),
    "StepSkipped": (("pending", "ready", "lost"), "skipped"),
    "StepCancelled": ((*HELD, "waiting", "retrying"), "cancelled"),
    "StepAbandoned": (HELD, "cancelled"),
}
"""What may come before an event of a step, and what comes of it."""

ENDS = {
    "RunSucceeded": None,
    "RunFailed": CancelCause.FAILURE,
    "RunCancelled": CancelCause.USER,
    "RunTimedOut": CancelCause.TIMEOUT,
}
NOT_AFTER_CANCEL = {"StepReady", "StepDispatched", "StepWaiting", "StepRetryScheduled", "StepLost"}


class StepTale(Struct):
    """What the events have said about a step."""

    status: str = "pending"
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    branch: str | None = None
    discarded: int = 0


class RunTale:
    """What the events have said about a run. object_to: how a contradiction is told."""

    def __init__(self, run_id: str, graph: Graph, object_to: Callable[[str, str], None]) -> None:
        self.run_id = run_id
        self.graph = graph
        self.steps = {step_id: StepTale() for step_id in graph.order}
        self.started: RunStarted | None = None
        self.called_off: RunCancelRequested | None = None
        self.failed: str | None = None
        self.end = ""
        self._object = object_to

    def hear(self, event: RunEvent, at: int) -> None:
        """One more event, decided at a moment (ms)."""
        name = type(event).__name__
        self._must(not self.end, "S3", f"{name} after {self.end}")
        self._must(
            (self.started is None) == isinstance(event, RunStarted), "S3", f"{name} out of place"
        )
        if isinstance(event, RunStarted):
            self.started = event
        elif isinstance(event, RunCancelRequested):
            self._must(self.called_off is None, "S3", "called off twice")
            self.called_off = event
        elif name in ENDS:
            self._ends(name, event)
        elif isinstance(event, ResultDiscarded):
            tale = self.steps[event.step_id]
            self._must(event.attempt > tale.discarded, "S4", f"{name} {event.step_id} twice")
            tale.discarded = event.attempt
        else:
            self._of_step(name, event, at)

    def _of_step(self, name: str, event: RunEvent, at: int) -> None:
        step_id: str = event.step_id  # type: ignore[union-attr]
        tale = self.steps[step_id]
        what = (
            f"{name} {step_id}#{getattr(event, 'attempt', '-')} while {tale.status}#{tale.attempt}"
        )
        if name in NOT_AFTER_CANCEL:
            over = self.called_off is not None or self.failed is not None
            self._must(not over, "cancel", f"{what}, while the run ends")
        if isinstance(event, StepReady):
            self._ready(step_id, tale, event.attempt, what)
            return
        before, after = FOLLOWS[name]
        self._must(tale.status in before, "S4", what)
        if hasattr(event, "attempt"):
            self._must(event.attempt == tale.attempt, "S4", what)
        if name == "StepSkipped":
            self._skipped(step_id, tale, what)
        if name == "StepAbandoned":
            self._must(self.called_off is not None, "cancel", f"{what}, before any cancel")
        tale.status = after
        self._counted(step_id, tale, event, at)

    def _counted(self, step_id: str, tale: StepTale, event: RunEvent, at: int) -> None:
        """S17: attempts are bounded by the policy, rests are never negative."""
        if isinstance(event, StepSucceeded):
            tale.branch = event.branch
        if isinstance(event, StepLost):
            tale.losses += 1
            self._must(tale.losses <= LOSSES_MAX, "S17", f"{step_id} lost {tale.losses} times")
        if isinstance(event, StepRetryScheduled):
            tale.failures += 1
            allowed = self.graph.retry(step_id).max_attempts - 1
            self._must(tale.failures <= allowed, "S17", f"{step_id} retried {tale.failures} times")
            self._must(event.due_at >= at, "S17", f"{step_id} retries before it failed")
        if isinstance(event, StepFailed | StepTimedOut) and not self._is_handled(step_id):
            self.failed = self.failed or step_id

    def _ready(self, step_id: str, tale: StepTale, attempt: int, what: str) -> None:
        if attempt == 1:
            self._must(tale.status == "pending", "S5", what)
            self._must(self._may_begin(step_id), "S5", f"{what}, its predecessors do not let it")
        else:
            self._must(tale.status in {"lost", "retrying"}, "S4", what)
            self._must(attempt == tale.attempt + 1, "S4", what)
            spent = 1 + tale.failures + tale.losses
            self._must(attempt <= spent, "S17", f"{what}, after {spent - 1} bad ends")
        tale.status, tale.attempt = "ready", attempt

    def _may_begin(self, step_id: str) -> bool:
        incoming = self.graph.incoming[step_id]
        if not incoming:
            return True
        taken = sum(self._lets_go_on(edge) for edge in incoming)
        if self.graph.node(step_id).join is Join.ANY:
            return taken > 0
        return taken > 0 and self._all_settled(incoming)

    def _skipped(self, step_id: str, tale: StepTale, what: str) -> None:
        """A step is given up when its run ends, or when nothing can lead to it any more."""
        if self.called_off is not None or self.failed is not None:
            return
        incoming = self.graph.incoming[step_id]
        possible = not self._all_settled(incoming) or any(map(self._lets_go_on, incoming))
        self._must(tale.status == "pending" and not possible, "S5", f"{what}, too early")

    def _all_settled(self, incoming: tuple[Edge, ...]) -> bool:
        return all(self.steps[edge.source].status in SETTLED for edge in incoming)

    def _lets_go_on(self, edge: Edge) -> bool:
        source, kind = self.steps[edge.source], edge.condition.type
        if source.status == "succeeded":
            if kind is EdgeType.BRANCH:
                return source.branch == edge.condition.branch
            return kind in {EdgeType.ON_SUCCESS, EdgeType.ALWAYS}
        return source.status == "failed" and kind in {EdgeType.ON_FAILURE, EdgeType.ALWAYS}

    def contributors(self, step_id: str) -> list[str]:
        """The predecessors whose edges were taken, each once, in the order of the edges."""
        edges = self.graph.incoming[step_id]
        return list(dict.fromkeys(edge.source for edge in edges if self._lets_go_on(edge)))

    def _is_handled(self, step_id: str) -> bool:
        kinds = {edge.condition.type for edge in self.graph.outgoing[step_id]}
        return bool(kinds & {EdgeType.ON_FAILURE, EdgeType.ALWAYS})

    def _ends(self, name: str, event: RunEvent) -> None:
        """S3 and the cancel that wins: all steps have settled, and the end is the one asked for."""
        open_steps = [s for s, tale in self.steps.items() if tale.status not in SETTLED]
        self._must(not open_steps, "S3", f"{name} with {open_steps} open")
        asked = self.called_off.cause if self.called_off is not None else None
        if asked is None and self.failed is not None:
            asked = CancelCause.FAILURE
        self._must(ENDS[name] is asked, "cancel", f"{name}, asked for {asked}")
        if isinstance(event, RunFailed):
            self._must(event.error.step_id == self.failed, "S3", f"{name} blames another step")
        self.end = name

    def held(self) -> int:
        """How many attempts executors owe a word about."""
        return sum(tale.status in HELD for tale in self.steps.values())

    def owes(self) -> str:
        """What the run itself would have to do next; empty if it waits for somebody else."""
        if self.end:
            return ""
        ready = [s for s, tale in self.steps.items() if tale.status == "ready"]
        if ready and self.held() < consequences.HELD_MAX:
            return f"the dispatch of {ready}"
        busy = [
            s for s, tale in self.steps.items() if tale.status in {*HELD, "waiting", "retrying"}
        ]
        return "" if busy else "its end"

    def _must(self, holds: bool, invariant: str, what: str) -> None:
        if not holds:
            self._object(invariant, f"run {self.run_id}: {what}")
