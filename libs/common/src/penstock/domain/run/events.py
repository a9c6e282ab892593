"""What can have happened to a run. Names and shapes are stored for ever.

A step is named by its path (`price`; inside a loop `loop.3.inner`). An attempt counts from 1 and
rises with every dispatch that follows a lost executor or a retry. Moments are milliseconds since
the epoch, UTC. `started_at`, `finished_at` and `executor_id` are the executor's own words.
"""

from penstock.domain.gate.events import GateUse
from penstock.domain.message import Message
from penstock.domain.payload import Payload
from penstock.domain.run.terms import (
    CancelCause,
    Origin,
    Parent,
    RunError,
    StepError,
    Verdict,
    WaitKind,
)

__all__ = [
    "CancelCause",
    "Origin",
    "Parent",
    "RunError",
    "StepError",
    "Verdict",
    "WaitKind",
]

SINKS_MAX = 1000
"""How many step ids `RunSucceeded` names at most, so that it fits into a decision."""


class Event(Message, frozen=True, kw_only=True):
    """The shape that all events of a run share: tagged by their name, compact on the wire."""


class RunStarted(Event, frozen=True, kw_only=True):
    """The run is accepted; its definition is fixed by `definition`, the content hash.

    traceparent: of the request that began it, so that every step belongs to its trace. vars: an
    object of the tenant's variables that the definition reads, as they were then; None where it
    reads none.
    """

    workflow_id: str
    workflow_name: str
    version: int
    definition: str
    input: Payload
    created_at: int
    vars: Payload | None = None
    trigger: str = "api"
    tags: tuple[str, ...] = ()
    priority: int = 0
    request_hash: str = ""
    traceparent: str = ""
    timer_id: str | None = None
    deadline_at: int | None = None
    parent: Parent | None = None
    forked_from: Origin | None = None


class RunQueued(Event, frozen=True, kw_only=True):
    """The run is accepted, and waits for the first of its gates.

    start: what is going to be `RunStarted`. state: of a fork, what it will begin with. timer_id,
    until: when it has waited for too long, empty and 0 for never.
    """

    start: RunStarted
    gates: tuple[GateUse, ...]
    state: Payload | None = None
    timer_id: str = ""
    until: int = 0


class RunAdmitted(Event, frozen=True, kw_only=True):
    """The run has passed a gate; it waits for the next one, or starts."""

    gate_id: str


class RunForked(Event, frozen=True, kw_only=True):
    """The run goes on from where another one stood; it comes right behind `RunStarted`.

    state: a snapshot (`penstock.domain.run.snapshot`) of what is kept of the other run.
    """

    run_id: str
    position: str
    state: Payload


class RunSnapshotTaken(Event, frozen=True, kw_only=True):
    """The run stands like this: who reads its history may begin here.

    start: how it began or is going to begin; what is said there lies elsewhere. queued, admitted:
    its gates, where it had any, and how many of them it has passed.
    """

    start: RunStarted
    state: Payload
    queued: RunQueued | None = None
    admitted: int = 0


class RunCarriedForward(RunSnapshotTaken, frozen=True, kw_only=True):
    """The same, of a run whose earlier history has left the log; the archive has it."""


class RunPaused(Event, frozen=True, kw_only=True):
    """Nothing new starts until the run is resumed; what runs goes on to its end."""

    reason: str = ""


class RunResumed(Event, frozen=True, kw_only=True):
    """The run goes on."""


class RunCancelRequested(Event, frozen=True, kw_only=True):
    """Nothing new starts from here on; what runs has until `grace_until` to stop."""

    cause: CancelCause
    timer_id: str
    grace_until: int
    reason: str = ""
    error: RunError | None = None


class RunSucceeded(Event, frozen=True, kw_only=True):
    """Every step has settled and every failure was handled.

    The run's output is `output` where the definition has an output template. Else it is made of
    what the `sinks` said (those of the definition's sinks that succeeded): an object by step id
    if `keyed`, which is when the definition has several sinks, else the one output or null.
    With more than `SINKS_MAX` of them `sinks` is empty and the definition tells which they are.
    """

    sinks: tuple[str, ...] = ()
    keyed: bool = False
    output: Payload | None = None


class RunFailed(Event, frozen=True, kw_only=True):
    """A step failed and nothing handled it; all steps have settled."""

    error: RunError


class RunCancelled(Event, frozen=True, kw_only=True):
    """The run was cancelled and all its steps have settled."""

    error: RunError


class RunTimedOut(Event, frozen=True, kw_only=True):
    """The run went over its own time limit and all its steps have settled."""

    error: RunError


class StepReady(Event, frozen=True, kw_only=True):
    """Everything the step waits for has settled, so it may be dispatched."""

    step_id: str
    attempt: int


class StepDispatched(Event, frozen=True, kw_only=True):
    """The attempt is owed to the executors of `queue`; the work message follows."""

    step_id: str
    attempt: int
    queue: str = "default"


class StepStarted(Event, frozen=True, kw_only=True):
    """An executor has been working on the attempt for a while (short attempts leave it out)."""

    step_id: str
    attempt: int
    started_at: int
    executor_id: str


class StepWaiting(Event, frozen=True, kw_only=True):
    """The attempt waits and holds no executor.

    timer_id, until: when the wait is over if nothing else ends it; empty and 0 for never. Then a
    delay has its `output`, and any step with `on_timeout` takes that branch, also with its
    `output`; everything else is timed out, and so is a delay that `exceeds` its time limit.
    name: of the signal. count, items, width, most, tolerant: of a loop, which has so many items
    (None: as many as its `while` says, `most` at the most), `width` of them at a time, and goes on
    after one has failed if `tolerant`. workflow_id, version, input, child_id: of a child run.
    """

    step_id: str
    attempt: int
    kind: WaitKind = WaitKind.DELAY
    timer_id: str = ""
    until: int = 0
    exceeds: bool = False
    on_timeout: str | None = None
    output: Payload | None = None
    name: str = ""
    count: int | None = None
    items: Payload | None = None
    width: int = 1
    most: int = 0
    tolerant: bool = False
    workflow_id: str = ""
    version: int | None = None
    input: Payload | None = None
    child_id: str = ""
    started_at: int
    executor_id: str


class StepRetryScheduled(Event, frozen=True, kw_only=True):
    """The attempt failed and the next one becomes ready at `due_at`."""

    step_id: str
    attempt: int
    error: StepError
    timer_id: str
    due_at: int
    started_at: int
    finished_at: int
    executor_id: str


class StepLost(Event, frozen=True, kw_only=True):
    """Whoever held the attempt is gone or gave it back; it says nothing about the step."""

    step_id: str
    attempt: int
    reason: str


class StepSucceeded(Event, frozen=True, kw_only=True):
    """The step has its output (None: the one that `StepWaiting` announced).

    input: what the step's own `input` template came to; None where the input rule applies.
    edges: which of the edges that leave the step are EXPRESSION edges that came to true, by their
    number among these; None where nobody has evaluated them.
    """

    step_id: str
    attempt: int
    output: Payload | None = None
    branch: str | None = None
    input: Payload | None = None
    started_at: int = 0
    finished_at: int = 0
    executor_id: str = ""
    edges: tuple[int, ...] | None = None


class StepFailed(Event, frozen=True, kw_only=True):
    """The step failed for good. `input` is what it had worked on, for those that handle it."""

    step_id: str
    attempt: int
    error: StepError
    input: Payload | None = None
    started_at: int = 0
    finished_at: int = 0
    executor_id: str = ""
    edges: tuple[int, ...] | None = None


class StepTimedOut(Event, frozen=True, kw_only=True):
    """The step's last attempt went over its time limit; counts as failed."""

    step_id: str
    attempt: int
    error: StepError
    input: Payload | None = None
    started_at: int = 0
    finished_at: int = 0
    executor_id: str = ""
    edges: tuple[int, ...] | None = None


class StepSkipped(Event, frozen=True, kw_only=True):
    """No edge into the step can be taken any more, or the run ended before its turn."""

    step_id: str


class StepCancelled(Event, frozen=True, kw_only=True):
    """The step had started or waited, and was stopped."""

    step_id: str
    attempt: int


class StepAbandoned(Event, frozen=True, kw_only=True):
    """Nobody answered the cancel in time; what the attempt may still do is unknown."""

    step_id: str
    attempt: int


class SignalReceived(Event, frozen=True, kw_only=True):
    """Somebody signalled the run: the step that waits for `name`, or the next one that will."""

    name: str
    signal_id: str
    payload: Payload


class ApprovalDecided(Event, frozen=True, kw_only=True):
    """Somebody decided about a step that waits for it, or will. output: the step's, with that."""

    step_id: str
    decision: Verdict
    output: Payload


class ResultDiscarded(Event, frozen=True, kw_only=True):
    """A result came for an attempt that had already been given up, and was not used."""

    step_id: str
    attempt: int
    reason: str


class SecretUsed(Event, frozen=True, kw_only=True):
    """An attempt was given secrets or a connection of the tenant, whatever it came to.

    used: `secret:<id>` and `connection:<id>`; never what they hold.
    """

    step_id: str
    attempt: int
    used: tuple[str, ...]


RunEvent = (
    RunStarted
    | RunQueued
    | RunAdmitted
    | RunForked
    | RunSnapshotTaken
    | RunCarriedForward
    | RunPaused
    | RunResumed
    | RunCancelRequested
    | RunSucceeded
    | RunFailed
    | RunCancelled
    | RunTimedOut
    | StepReady
    | StepDispatched
    | StepStarted
    | StepWaiting
    | StepRetryScheduled
    | StepLost
    | StepSucceeded
    | StepFailed
    | StepTimedOut
    | StepSkipped
    | StepCancelled
    | StepAbandoned
    | SignalReceived
    | ApprovalDecided
    | ResultDiscarded
    | SecretUsed
)

TERMINAL = (RunSucceeded, RunFailed, RunCancelled, RunTimedOut)
"""After one of these a run's history has no further event."""
