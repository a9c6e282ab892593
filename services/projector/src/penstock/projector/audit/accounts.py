"""A run's archived history as the domain tells it: `evolve` for what it is, events for when.

Nothing here is shared with the projections: this is the other account of the same history.
"""

from typing import Any

from msgspec import Struct, field

from penstock.domain.payload import Payload
from penstock.domain.run.events import (
    ApprovalDecided,
    ResultDiscarded,
    RunCancelled,
    RunError,
    RunFailed,
    RunForked,
    RunQueued,
    RunSnapshotTaken,
    RunStarted,
    RunSucceeded,
    RunTimedOut,
    SecretUsed,
    StepAbandoned,
    StepDispatched,
    StepError,
    StepLost,
    StepReady,
    StepRetryScheduled,
    StepSucceeded,
    StepWaiting,
    WaitKind,
)
from penstock.domain.run.evolve import evolve
from penstock.domain.run.paths import Evaluation, iteration_of, owner_of, scope_of
from penstock.domain.run.rest import at_rest
from penstock.domain.run.state import SETTLED, Run, Step, StepStatus, unborn
from penstock.domain.workflow.graph import Graph
from penstock.messages.envelope import Cause, Decision
from penstock.projector.entry import Entry

Ended = RunSucceeded | RunFailed | RunCancelled | RunTimedOut

SHOWN = {StepStatus.DISPATCHED: StepStatus.READY}
"""A status of the rules that clients see under another name."""


class Attempt(Struct):
    """When and where one attempt took place, as far as its events say."""

    number: int
    started_at: int = 0
    finished_at: int = 0
    executor_id: str = ""
    outcome: str = ""


class Moments(Struct):
    """When a step got where; 0 for not yet, or not told. until: of the wait it is in.

    edges: which EXPRESSION edges came to true, whoever said so.
    """

    ready_at: int = 0
    started_at: int = 0
    settled_at: int = 0
    until: int = 0
    edges: tuple[int, ...] | None = None
    attempts: list[Attempt] = field(default_factory=list)
    abandoned: bool = False

    @property
    def last(self) -> Attempt:
        """The last attempt."""
        return self.attempts[-1] if self.attempts else Attempt(0)


class Account:
    """One run.

    recorded_at, began_at: when it was accepted, and when it started; 0 before that.
    begun: by a loop's path, what it goes over, once it may open iterations. opened: of how many of
    them something was heard. scopes: those of them that count into the run's total.
    """

    def __init__(self, entry: Entry, graph: Graph) -> None:
        self.entry = entry
        self.graph = graph
        self.run: Run = unborn(entry.subject_id, graph)
        self.recorded_at = 0
        self.began_at = 0
        self.ended_at = 0
        self.ended: Ended | None = None
        self.cause: Cause | None = None
        self.last_seq = 0
        self.is_quarantined = False
        self.moments: dict[str, Moments] = {}
        self.begun: dict[str, Payload | None] = {}
        self.opened: dict[str, int] = {}
        self.scopes: set[str] = set()

    def absorb(self, seq: int, decision: Decision) -> None:
        """One more decision. Raises whatever `evolve` raises on a history that cannot be."""
        for index, recorded in enumerate(decision.events):
            event = at_rest(recorded, f"{seq}.{index}")
            if not isinstance(event, RunSnapshotTaken):  # it tells nothing new, and forgets
                self.run = evolve(self.run, event)
            if isinstance(event, RunQueued | RunStarted) and not self.recorded_at:
                self.recorded_at = decision.at
                self.cause = decision.causes[0] if decision.causes else None
            if isinstance(event, RunStarted):
                self.began_at = decision.at
            elif isinstance(event, RunSucceeded | RunFailed | RunCancelled | RunTimedOut):
                self.ended, self.ended_at = event, decision.at
            elif isinstance(event, RunForked):
                self._take_over()
            elif (step_id := getattr(event, "step_id", "")) != "":
                self._note(step_id, event, decision.at)
        self.last_seq = seq

    def _take_over(self) -> None:
        """What is there of the run that this one goes on from, which nobody knows the times of."""
        for step_id, step in self.run.steps.items():
            timer = self.run.timers.get(step.timer_id)
            until = 0 if timer is None else timer.due_at
            self.moments[step_id] = Moments(
                until=until, edges=step.edges, attempts=[Attempt(step.attempt)]
            )
        self.begun = {loop_id: loop.items for loop_id, loop in self.run.flow.loops.items()}
        self.opened = {loop_id: loop.opened for loop_id, loop in self.run.flow.loops.items()}
        self.scopes = set(self.run.flow.scopes)

    def _count_iteration(self, step_id: str) -> None:
        scope = scope_of(step_id)
        if scope in self.scopes or "@" in step_id or not scope:
            return
        loop_id, index = iteration_of(scope)
        if index >= self.opened.get(loop_id, 0):
            self.opened[loop_id] = index + 1
            self.scopes.add(scope)

    def step(self, step_id: str) -> Step:
        """What the rules make of a step."""
        return self.run.step(step_id)

    def _note(self, step_id: str, event: Any, at: int) -> None:
        self._count_iteration(step_id)
        if isinstance(event, StepDispatched | ResultDiscarded | SecretUsed | ApprovalDecided):
            return
        if isinstance(event, StepSucceeded) and step_id.endswith(f"@{Evaluation.EDGES}"):
            self.moments[owner_of(step_id)].edges = event.edges or ()
        noted = self.moments.get(step_id)
        if noted is None:
            noted = self.moments[step_id] = Moments()
        noted.until = 0
        if isinstance(event, StepReady):
            noted.ready_at = noted.ready_at or at
            noted.attempts.append(Attempt(event.attempt))
            return
        attempt = noted.last
        attempt.started_at = getattr(event, "started_at", 0) or attempt.started_at
        noted.started_at = noted.started_at or attempt.started_at
        attempt.executor_id = getattr(event, "executor_id", "") or attempt.executor_id
        finished_at = getattr(event, "finished_at", 0) or at
        match event:
            case StepWaiting(until=until):
                noted.until = until
                if event.kind is WaitKind.LOOP:
                    self.begun[step_id] = event.items
            case StepRetryScheduled(due_at=due_at, error=error):
                noted.until = due_at
                attempt.outcome = "timed_out" if error.code == "TIMEOUT" else "failed"
                attempt.finished_at = finished_at
            case StepLost():
                attempt.outcome, attempt.finished_at = "lost", at
            case _:
                noted.edges = getattr(event, "edges", None)
                if self.step(step_id).status in SETTLED and not noted.settled_at:
                    noted.settled_at = finished_at
                    noted.abandoned = isinstance(event, StepAbandoned)


def digest(payload: Payload | None) -> tuple[object, ...] | None:
    """What identifies a payload wherever its bytes are."""
    return None if payload is None else (payload.size, payload.sha256, payload.enc)


def told(error: StepError | None) -> tuple[object, ...] | None:
    """A step's error, its details as what identifies them."""
    if error is None:
        return None
    return error.code, error.message, error.retryable, digest(error.details)


def error_of(account: Account) -> RunError | None:
    """Why the run ended, where it did not succeed."""
    ended = account.ended
    return None if ended is None or isinstance(ended, RunSucceeded) else ended.error
