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


class StepRow(Struct, frozen=True, kw_only=True):
    """The columns of one step. Moments in ms, None and 0 mean unknown.

    is_stored: the table has the row. A payload that is stored is dropped from here: None then
    means that the column stays.
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
    is_stored: bool = False


def stored(row: StepRow) -> StepRow:
    """What stays in memory of a row that the table has now."""
    return replace(row, input=None, output=None, error=None, is_stored=True)


def step_after(row: StepRow | None, event: StepEvent, at: int) -> StepRow | None:
    """The row after one more event, decided at `at`; None while there is none.

    A row that `event` leaves as it was is returned itself.
    """
    match event:
        case StepSucceeded():
            return _succeeded(_row(row, event.step_id), event, at)
        case StepReady():
            return _ready(row, event, at)
        case StepDispatched() | ResultDiscarded():
            return row
        case StepStarted():
            return replace(_begun(_row(row, event.step_id), event), status=Status.RUNNING)
        case StepWaiting():
            return replace(
                _begun(_row(row, event.step_id), event),
                status=Status.WAITING,
                output=event.output,
                wake_at=event.until,
            )
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
        input=event.input,
        output=event.output if event.output is not None else row.output,
    )


def _failed(row: StepRow, event: StepFailed | StepTimedOut, at: int) -> StepRow:
    return replace(
        _begun(row, event),
        status=Status.FAILED if isinstance(event, StepFailed) else Status.TIMED_OUT,
        finished_at=event.finished_at or at,
        wake_at=None,
        input=event.input,
        error=event.error,
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
    return replace(row, status=status, finished_at=at, wake_at=None)
