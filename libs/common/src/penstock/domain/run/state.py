"""A run as a value: all that the rules need to know of it.

Nothing here or in `evolve` iterates over a `Map`, because its order is not the same in every
process.
"""

from __future__ import annotations

from enum import StrEnum

from immutables import Map
from msgspec import Struct

from penstock.domain.payload import Payload
from penstock.domain.queue import Queue
from penstock.domain.run.events import CancelCause, RunError, RunStarted, StepError
from penstock.domain.workflow.graph import Graph


class RunStatus(StrEnum):
    """Where a run stands; `unborn` has no history yet."""

    UNBORN = "unborn"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


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
    GRACE = "grace"


class Timer(Struct, frozen=True):
    """A moment the run waits for. `step_id` is empty for the timers of the run itself."""

    kind: TimerKind
    due_at: int
    step_id: str = ""


class Step(Struct, frozen=True):
    """One step's life so far.

    attempt: the number of the last one, 0 before the first. tries: attempts that failed.
    losses: attempts whose holder was lost. discarded: last attempt whose late result was put
    on record. timer_id: of the retry or wait it is in.
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


class Arrival(Struct, frozen=True):
    """What has come in over the edges into a step that is not ready yet."""

    settled: int = 0
    taken: int = 0
    queued: bool = False


class Ending(Struct, frozen=True):
    """The run is being brought to its end; `told` when what runs was asked to stop."""

    cause: CancelCause
    error: RunError
    told: bool = False


PENDING = Step()
NOTHING = Arrival()


class Run(Struct, frozen=True):
    """All that the rules need to know of a run.

    steps: those that have left `pending`. agenda: steps whose join is decided and that have not
    been made ready or skipped yet. waiting: steps that are ready and not dispatched. held: number
    of steps an executor owes a word about. unsettled: number of steps without a last word.
    """

    id: str
    graph: Graph | None = None
    status: RunStatus = RunStatus.UNBORN
    started: RunStarted | None = None
    started_at: int = 0
    steps: Map[str, Step] = Map()
    arrivals: Map[str, Arrival] = Map()
    agenda: Queue[str] = Queue()
    waiting: Queue[str] = Queue()
    timers: Map[str, Timer] = Map()
    held: int = 0
    unsettled: int = 0
    ending: Ending | None = None

    def step(self, step_id: str) -> Step:
        """The step, as it stands."""
        return self.steps.get(step_id, PENDING)

    def awaits(self, step_id: str, attempt: int) -> bool:
        """Whether an executor owes a word about exactly this attempt."""
        step = self.step(step_id)
        return step.attempt == attempt and step.status in HELD

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
        return self.status not in {RunStatus.UNBORN, RunStatus.RUNNING}


def unborn(run_id: str, graph: Graph | None) -> Run:
    """The run before its first event; `graph` is its definition's where one is known."""
    return Run(id=run_id, graph=graph)
