"""What each event changes in the row of its run.

Written without the run aggregate's `evolve`, so that `audit verify` compares two accounts of the
same history.
"""

from enum import StrEnum
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.domain.run.events import (
    ApprovalDecided,
    RunAdmitted,
    RunCancelled,
    RunCancelRequested,
    RunCarriedForward,
    RunError,
    RunFailed,
    RunForked,
    RunPaused,
    RunQueued,
    RunResumed,
    RunSnapshotTaken,
    RunStarted,
    RunSucceeded,
    RunTimedOut,
    SignalReceived,
)
from penstock.projector.projections.run_steps import Status


class RunStatus(StrEnum):
    """A run's status as clients see it."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


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
    | SignalReceived
    | ApprovalDecided
)


COUNTERS = ("succeeded", "failed", "skipped", "cancelled", "running", "waiting")
"""The columns that say how many steps stand where; `failed` has the timed out ones, too."""

COUNTED = {
    Status.SUCCEEDED: 0,
    Status.FAILED: 1,
    Status.TIMED_OUT: 1,
    Status.SKIPPED: 2,
    Status.CANCELLED: 3,
    Status.RUNNING: 4,
    Status.WAITING: 5,
}
"""Which of `COUNTERS` a step's status belongs to; the others are not counted."""


WAITING = COUNTED[Status.WAITING]


class Origin(Struct, frozen=True, kw_only=True):
    """What a run's row has from its first event and keeps. Moments in ms, ids in bytes.

    recorded_at: when that event was decided; the run may have had to wait for its start.
    """

    workflow_id: bytes
    started: RunStarted
    recorded_at: int
    correlation_id: str
    traceparent: str


class RunRow(Struct, frozen=True, kw_only=True):
    """The columns of one run that change, and `origin` until the table has the row.

    total: steps of the definition and of the iterations that were opened; None: unknown.
    evaluating: evaluations that executors owe the run, but for those that loops ask for.
    What is stored of payloads and of the start is dropped from here: None then means that the
    column stays.
    """

    status: RunStatus
    total: int | None = None
    started_at: int | None = None
    deadline_at: int | None = None
    evaluating: int = 0
    finished_at: int | None = None
    output: Payload | None = None
    sinks: tuple[str, ...] | None = None
    is_keyed: bool | None = None
    error: RunError | None = None
    is_quarantined: bool = False
    last_seq: int = 0
    origin: Origin | None = None


def stored(row: RunRow) -> RunRow:
    """What stays in memory of a row that the table has now."""
    return replace(
        row,
        started_at=None,
        deadline_at=None,
        output=None,
        sinks=None,
        is_keyed=None,
        error=None,
        origin=None,
    )


def run_after(row: RunRow, event: RunEvent, at: int) -> RunRow:
    """The row after one more event, decided at `at`; `row` is that of `born` at the first."""
    match event:
        case RunQueued():
            return replace(row, status=RunStatus.QUEUED)
        case RunStarted(deadline_at=deadline_at):
            return replace(row, status=RunStatus.RUNNING, started_at=at, deadline_at=deadline_at)
        case (
            RunAdmitted()
            | RunForked()
            | RunSnapshotTaken()
            | RunCarriedForward()
            | SignalReceived()
            | ApprovalDecided()
        ):
            return row
        case RunPaused():
            return replace(row, status=RunStatus.PAUSED)
        case RunResumed() | RunCancelRequested():
            return replace(row, status=RunStatus.RUNNING)
        case RunSucceeded():
            return replace(
                row,
                status=RunStatus.SUCCEEDED,
                finished_at=at,
                output=event.output,
                sinks=event.sinks,
                is_keyed=event.keyed,
            )
        case RunFailed():
            return replace(row, status=RunStatus.FAILED, finished_at=at, error=event.error)
        case RunCancelled():
            return replace(row, status=RunStatus.CANCELLED, finished_at=at, error=event.error)
        case RunTimedOut():
            return replace(row, status=RunStatus.TIMED_OUT, finished_at=at, error=event.error)
        case _:
            assert_never(event)


def born(origin: Origin, total: int | None) -> RunRow:
    """The row of a run before its first event, which says whether it has started."""
    return RunRow(status=RunStatus.RUNNING, total=total, origin=origin)


GOING_ON = frozenset({RunStatus.RUNNING, RunStatus.WAITING})


def standing(row: RunRow, *, stirring: int, waiting: int) -> RunStatus:
    """How a run is shown: it waits when some of its steps do and none gets on by itself.

    stirring, waiting: how many of its steps do.
    """
    if row.status not in GOING_ON:
        return row.status
    is_still = waiting > 0 and stirring == 0 and row.evaluating == 0
    return RunStatus.WAITING if is_still else RunStatus.RUNNING
