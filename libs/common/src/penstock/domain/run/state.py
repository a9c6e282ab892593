"""A run as a value: all that the rules need to know of it.

Nothing here or in `evolve` iterates over a `Map`, because its order is not the same in every
process.
"""

from __future__ import annotations

from enum import StrEnum

from immutables import Map
from msgspec import Struct

from penstock.domain.gate.events import GateUse
from penstock.domain.payload import Payload
from penstock.domain.queue import Queue
from penstock.domain.run.events import (
    CancelCause,
    RunError,
    RunQueued,
    RunStarted,
    StepError,
    Verdict,
    WaitKind,
)
from penstock.domain.workflow.graph import Graph


class RunStatus(StrEnum):
    """Where a run stands; `unborn` has no history yet."""

    UNBORN = "unborn"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


NOT_OVER = frozenset({RunStatus.UNBORN, RunStatus.QUEUED, RunStatus.RUNNING})


class StepStatus(StrEnum):
    """Where a step stands. `dispatched` is shown to clients as `ready`: nobody has begun."""

    PENDING = "pending"
    READY = "ready"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    RETRYING = "retrying"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


HELD = frozenset({StepStatus.DISPATCHED, StepStatus.RUNNING})
"""An executor owes the next word."""

SETTLED = frozenset(
    {
        StepStatus.SUCCEEDED,
        StepStatus.FAILED,
        StepStatus.TIMED_OUT,
        StepStatus.SKIPPED,
        StepStatus.CANCELLED,
    }
)
"""The step's last word is said."""


class TimerKind(StrEnum):
    """What a timer is for."""

    RETRY = "retry"
    WAIT = "wait"
    DEADLINE = "deadline"
    QUEUE = "queue"
    GRACE = "grace"


class Timer(Struct, frozen=True, gc=False):
    """A moment the run waits for. `step_id` is empty for the timers of the run itself."""

    kind: TimerKind
    due_at: int
    step_id: str = ""


class Wait(Struct, frozen=True, gc=False):
    """What a step waits for. name: of the signal. child_id: of the child run.

    exceeds, on_timeout: what it means that its timer fires, as in `StepWaiting`. workflow_id,
    version: what the child runs, as it was asked for.
    """

    kind: WaitKind = WaitKind.DELAY
    name: str = ""
    child_id: str = ""
    exceeds: bool = False
    on_timeout: str | None = None
    workflow_id: str = ""
    version: int | None = None


class Step(Struct, frozen=True, gc=False):
    """One step's life so far.

    attempt: the number of the last one, 0 before the first. tries: attempts that failed.
    losses: attempts whose holder was lost. discarded: last attempt whose late result was put
    on record. timer_id: of the retry or wait it is in. wait: while it waits. edges: which of its
    EXPRESSION edges came to true, None where nobody has told.
    """

    status: StepStatus = StepStatus.PENDING
    attempt: int = 0
    tries: int = 0
    losses: int = 0
    discarded: int = 0
    timer_id: str = ""
    output: Payload | None = None
    input: Payload | None = None
    error: StepError | None = None
    branch: str | None = None
    wait: Wait | None = None
    edges: tuple[int, ...] | None = None


class Arrival(Struct, frozen=True, gc=False):
    """What has come in over the edges into a step that is not ready yet."""

    settled: int = 0
    taken: int = 0
    queued: bool = False


class Ending(Struct, frozen=True, gc=False):
    """The run is being brought to its end; `told` when what runs was asked to stop."""

    cause: CancelCause
    error: RunError
    told: bool = False


class Result(Struct, frozen=True, gc=False):
    """What one iteration of a loop came to: what its body's sinks said, by node id.

    keyed: its value is an object by node id, else the one output or null. Of an iteration that
    failed in a loop that goes on there is nothing, and its value is null.
    """

    sinks: tuple[tuple[str, Payload], ...] = ()
    keyed: bool = False


class Loop(Struct, frozen=True, gc=False):
    """A loop that is going on. The first fields are its `StepWaiting`'s.

    opened: number of iterations that have begun. active: those that have not ended, in the order
    of their beginning. results: of those that have, but for those that brought the loop to its
    end. error: why it is being brought there. again: iterations that a retry has to open once more.

    One that did not succeed is kept with its results, for a retry to go on with.
    """

    count: int | None
    items: Payload | None
    width: int
    most: int
    tolerant: bool
    opened: int = 0
    active: tuple[int, ...] = ()
    results: Map[int, Result] = Map()
    error: StepError | None = None
    timed_out: bool = False
    again: tuple[int, ...] = ()


class Scope(Struct, frozen=True, gc=False):
    """An iteration that is going on. unsettled: its own steps without a last word.

    is_closing: one of its steps failed, or its loop has: all of them are being put out.
    """

    unsettled: int
    is_closing: bool = False


class Answer(Struct, frozen=True, gc=False):
    """What a waiting step is going to say as soon as it is its turn."""

    step_id: str
    output: Payload | None = None
    branch: str | None = None
    error: StepError | None = None
    timed_out: bool = False


class Flow(Struct, frozen=True, gc=False):
    """What only some runs have: loops, waits for somebody's word, and steps to be put out.

    hungry: loops that may open one more iteration. closing: steps to be put out though the run
    goes on. answers: what waiting steps say next. signals: those that nobody has waited for yet,
    by name. listeners: steps that wait for a signal, by its name, the first comer first. heard:
    ids of all signals. approvals: what steps will say that do not wait yet and were decided about.
    decisions: all of those. children: number of
    steps that wait for a child run. evaluating: evaluations among the steps that are held.
    output: the run's, once it is evaluated.
    """

    loops: Map[str, Loop] = Map()
    scopes: Map[str, Scope] = Map()
    hungry: tuple[str, ...] = ()
    closing: Queue[str] = Queue()
    answers: Queue[Answer] = Queue()
    signals: Map[str, tuple[Payload, ...]] = Map()
    listeners: Map[str, tuple[str, ...]] = Map()
    heard: Map[str, bool] = Map()
    approvals: Map[str, Answer] = Map()
    decisions: Map[str, Verdict] = Map()
    children: int = 0
    evaluating: int = 0
    output: Payload | None = None


PENDING = Step()
NOTHING = Arrival()
PLAIN = Flow()


class Run(Struct, frozen=True, gc=False):
    """All that the rules need to know of a run.

    steps: those that have left `pending`. agenda: steps whose join is decided and that have not
    been made ready or skipped yet. waiting: steps that are ready and not dispatched. held: number
    of steps an executor owes a word about. unsettled: number of steps without a last word, those
    of open iterations included. paused: nothing new starts. queued: how it came in, where it had
    gates to pass; admitted: how many of them it has passed.
    """

    id: str
    graph: Graph | None = None
    status: RunStatus = RunStatus.UNBORN
    started: RunStarted | None = None
    started_at: int = 0
    queued: RunQueued | None = None
    admitted: int = 0
    steps: Map[str, Step] = Map()
    arrivals: Map[str, Arrival] = Map()
    agenda: Queue[str] = Queue()
    waiting: Queue[str] = Queue()
    timers: Map[str, Timer] = Map()
    held: int = 0
    unsettled: int = 0
    ending: Ending | None = None
    paused: bool = False
    flow: Flow = PLAIN

    def step(self, step_id: str) -> Step:
        """The step, as it stands."""
        return self.steps.get(step_id, PENDING)

    def awaits(self, step_id: str, attempt: int) -> bool:
        """Whether an executor owes a word about exactly this attempt.

        A run that has ended awaits nothing, though nobody waited for its last evaluations.
        """
        step = self.step(step_id)
        return step.attempt == attempt and step.status in HELD and self.is_live

    def located(self, step_id: str) -> tuple[Graph, str]:
        """The drawing that a step stands in, and its node's id there. Raises KeyError."""
        return self.drawn.scope(step_id) if "." in step_id else (self.drawn, step_id)

    @property
    def owed(self) -> int:
        """Number of steps about which somebody owes a word: an executor, or a child run."""
        return self.held - self.flow.evaluating + self.flow.children

    @property
    def drawn(self) -> Graph:
        """The graph of the run's definition; every run that has started has one."""
        assert self.graph is not None, "a run was folded without its definition"
        return self.graph

    @property
    def is_live(self) -> bool:
        """Whether the run has started and not ended."""
        return self.status is RunStatus.RUNNING

    @property
    def is_over(self) -> bool:
        """Whether the run has ended: nothing is added to its history any more."""
        return self.status not in NOT_OVER

    @property
    def gate(self) -> GateUse | None:
        """The gate that a queued run waits for."""
        if self.queued is None or self.status is not RunStatus.QUEUED:
            return None
        return self.queued.gates[self.admitted]

    @property
    def start(self) -> RunStarted | None:
        """How the run began, or is going to begin."""
        return self.started if self.queued is None else self.queued.start


def unborn(run_id: str, graph: Graph | None) -> Run:
    """The run before its first event; `graph` is its definition's where one is known."""
    return Run(id=run_id, graph=graph)
