"""What each event changes in the row of its step.

Written without the run aggregate's `evolve`, so that `audit verify` compares two accounts of the
same history.
"""

from enum import StrEnum
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.domain.run.events import (
    ResultDiscarded,
    SecretUsed,
    StepAbandoned,
    StepCancelled,
    StepDispatched,
    StepError,
    StepFailed,
    StepLost,
    StepReady,
    StepRetryScheduled,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepTimedOut,
    StepWaiting,
    WaitKind,
)

StepEvent = (
    StepReady
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
    | ResultDiscarded
    | SecretUsed
)


class Status(StrEnum):
    """A step's status as clients see it."""

    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    RETRYING = "retrying"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


SETTLED = frozenset(
    {Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT, Status.SKIPPED, Status.CANCELLED}
)
"""Nothing changes such a row any more."""

TIMEOUT = "TIMEOUT"
"""The error code of an attempt that went over its time limit."""


class Attempt(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An attempt before the last one, as the column `attempts` lists it. Moments in ms."""

    attempt: int
    status: str
    executor_id: str | None = None
    started_at: int | None = None
    finished_at: int | None = None
    error: StepError | None = None


class LoopMark(Struct, frozen=True, rename="camel", omit_defaults=True):
    """How far a loop is, as the column `loop` says it.

    opened: iterations of which at least one step has been heard of. evaluating: what executors
    owe the loop itself, `while` or `collect`; None while its iterations go on, and at its end.
    """

    opened: int = 0
    evaluating: str | None = None


class StepRow(Struct, frozen=True, kw_only=True):
    """The columns of one step. Moments in ms, None and 0 mean unknown.

    edges: numbers of the EXPRESSION edges that came to true; None where nobody has told. items,
    loop: of a loop that may open iterations, or did. is_stored: the table has the row. A payload
    that is stored is dropped from here: None then means that the column stays.
    """

    step_id: str
    status: Status
    attempt: int = 0
    ready_at: int | None = None
    started_at: int | None = None
    attempt_started_at: int | None = None
    finished_at: int | None = None
    wake_at: int | None = None
    executor_id: str | None = None
    branch: str | None = None
    input: Payload | None = None
    output: Payload | None = None
    error: StepError | None = None
    attempts: tuple[Attempt, ...] = ()
    edges: tuple[int, ...] | None = None
    items: Payload | None = None
    loop: LoopMark | None = None
    is_stored: bool = False


def stored(row: StepRow) -> StepRow:
    """What stays in memory of a row that the table has now."""
    return replace(row, input=None, output=None, error=None, edges=None, items=None, is_stored=True)


STIRRING = (Status.READY, Status.RUNNING, Status.RETRYING, Status.PENDING)
"""A tuple, for looking here costs less than the hash of an enumeration's member."""


def is_stirring(row: StepRow) -> bool:
    """Whether the step gets on by itself: it is about to be tried, is being tried, or will be.

    A loop does while something is evaluated for it; else its iterations say whether they do.
    """
    if row.loop is not None and row.loop.evaluating is None:
        return False
    return row.status in STIRRING


def counting(row: StepRow, index: int) -> StepRow:
    """A loop's row after something was heard of a step in the iteration with this index.

    The row itself if that iteration is not a new one.
    """
    if row.loop is None or row.status in SETTLED or index < row.loop.opened:
        return row
    return replace(row, loop=replace(row.loop, opened=index + 1))


def evaluating(row: StepRow, purpose: str | None) -> StepRow:
    """A loop's row after something has begun to be evaluated for it; None: after it was."""
    if row.loop is None or row.status in SETTLED or row.loop.evaluating == purpose:
        return row
    return replace(row, loop=replace(row.loop, evaluating=purpose))


def step_after(row: StepRow | None, event: StepEvent, at: int) -> StepRow | None:
    """The row after one more event, decided at `at`; None while there is none.

    A row that `event` leaves as it was is returned itself.
    """
    match event:
        case StepSucceeded():
            return _succeeded(_row(row, event.step_id), event, at)
        case StepReady():
            return _ready(row, event, at)
        case StepDispatched() | ResultDiscarded() | SecretUsed():
            return row
        case StepStarted():
            return replace(_begun(_row(row, event.step_id), event), status=Status.RUNNING)
        case StepWaiting():
            return _waiting(_begun(_row(row, event.step_id), event), event)
        case StepRetryScheduled():
            return _retrying(_row(row, event.step_id), event)
        case StepLost():
            return _lost(_row(row, event.step_id), event, at)
        case StepFailed() | StepTimedOut():
            return _failed(_row(row, event.step_id), event, at)
        case StepSkipped():
            return _settled(_row(row, event.step_id), Status.SKIPPED, at)
        case StepCancelled():
            return _settled(_row(row, event.step_id), Status.CANCELLED, at)
        case StepAbandoned():
            error = StepError(code="ABANDONED", message="nobody answered the cancel in time")
            abandoned = _settled(_row(row, event.step_id), Status.CANCELLED, at)
            return replace(abandoned, error=error)
        case _:
            assert_never(event)


def _row(row: StepRow | None, step_id: str) -> StepRow:
    return row if row is not None else StepRow(step_id=step_id, status=Status.PENDING)


def _ready(row: StepRow | None, event: StepReady, at: int) -> StepRow:
    if row is None:
        return StepRow(
            step_id=event.step_id, status=Status.READY, attempt=event.attempt, ready_at=at
        )
    return replace(
        row,
        status=Status.READY,
        attempt=event.attempt,
        ready_at=row.ready_at or at,
        attempt_started_at=None,
        executor_id=None,
        wake_at=None,
    )


Told = StepStarted | StepWaiting | StepRetryScheduled | StepSucceeded | StepFailed | StepTimedOut


def _begun(row: StepRow, event: Told) -> StepRow:
    """With the executor's own words about the attempt, where the event has them."""
    started_at = event.started_at or row.attempt_started_at
    return replace(
        row,
        attempt=event.attempt,
        started_at=row.started_at or started_at,
        attempt_started_at=started_at,
        executor_id=event.executor_id or row.executor_id,
    )


def _waiting(row: StepRow, event: StepWaiting) -> StepRow:
    """A loop's iterations run while it waits for them, so it is shown as running."""
    is_loop = event.kind is WaitKind.LOOP
    return replace(
        row,
        status=Status.RUNNING if is_loop else Status.WAITING,
        input=event.input,
        output=event.output,
        wake_at=event.until,
        items=event.items,
        loop=LoopMark() if is_loop else None,
    )


def _succeeded(row: StepRow, event: StepSucceeded, at: int) -> StepRow:
    started_at = event.started_at or row.attempt_started_at
    return replace(
        row,
        status=Status.SUCCEEDED,
        attempt=event.attempt,
        started_at=row.started_at or started_at,
        attempt_started_at=started_at,
        finished_at=event.finished_at or at,
        wake_at=None,
        executor_id=event.executor_id or row.executor_id,
        branch=event.branch,
        input=event.input if event.input is not None else row.input,
        output=event.output if event.output is not None else row.output,
        edges=event.edges,
        loop=_ended(row.loop),
    )


def _failed(row: StepRow, event: StepFailed | StepTimedOut, at: int) -> StepRow:
    return replace(
        _begun(row, event),
        status=Status.FAILED if isinstance(event, StepFailed) else Status.TIMED_OUT,
        finished_at=event.finished_at or at,
        wake_at=None,
        input=event.input if event.input is not None else row.input,
        error=event.error,
        edges=event.edges,
        loop=_ended(row.loop),
    )


def _retrying(row: StepRow, event: StepRetryScheduled) -> StepRow:
    begun = _begun(row, event)
    attempt = Attempt(
        attempt=event.attempt,
        status=Status.TIMED_OUT if event.error.code == TIMEOUT else Status.FAILED,
        executor_id=begun.executor_id,
        started_at=begun.attempt_started_at,
        finished_at=event.finished_at,
        error=event.error,
    )
    return replace(
        begun,
        status=Status.RETRYING,
        wake_at=event.due_at,
        attempts=(*row.attempts, attempt),
    )


def _lost(row: StepRow, event: StepLost, at: int) -> StepRow:
    attempt = Attempt(
        attempt=event.attempt,
        status="lost",
        executor_id=row.executor_id,
        started_at=row.attempt_started_at,
        finished_at=at,
        error=StepError(code="LOST", message=event.reason),
    )
    return replace(row, status=Status.PENDING, attempts=(*row.attempts, attempt))


def _settled(row: StepRow, status: Status, at: int) -> StepRow:
    return replace(row, status=status, finished_at=at, wake_at=None, loop=_ended(row.loop))


def _ended(loop: LoopMark | None) -> LoopMark | None:
    return None if loop is None else replace(loop, evaluating=None)
