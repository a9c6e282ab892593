"""What each event makes of a step's row."""

from typing import Any

import pytest

from penstock.domain import payload
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
from penstock.projector.projections.run_steps import (
    Attempt,
    Status,
    StepEvent,
    StepRow,
    step_after,
    stored,
)

STEP = "price"
ERROR = StepError(code="HTTP_503", message="busy", retryable=True)
OUTPUT = payload.of_value({"total": 3})


def ready(attempt: int = 1) -> StepReady:
    return StepReady(step_id=STEP, attempt=attempt)


def started(attempt: int = 1, *, at: int = 20) -> StepStarted:
    return StepStarted(step_id=STEP, attempt=attempt, started_at=at, executor_id="e1")


def succeeded(attempt: int = 1, *, at: int = 20) -> StepSucceeded:
    return StepSucceeded(
        step_id=STEP,
        attempt=attempt,
        output=OUTPUT,
        branch="true",
        started_at=at,
        finished_at=at + 5,
        executor_id="e2",
    )


def retried(attempt: int = 1, code: str = "HTTP_503") -> StepRetryScheduled:
    return StepRetryScheduled(
        step_id=STEP,
        attempt=attempt,
        error=StepError(code=code, message="busy", retryable=True),
        timer_id="t",
        due_at=900,
        started_at=20,
        finished_at=25,
        executor_id="e1",
    )


WAITING = StepWaiting(
    step_id=STEP,
    attempt=1,
    timer_id="t",
    until=500,
    output=OUTPUT,
    started_at=20,
    executor_id="e1",
)


def row_of(*events: StepEvent) -> StepRow:
    """The row after `events`, decided at 10, 11, 12, …"""
    row = None
    for at, event in enumerate(events, 10):
        row = step_after(row, event, at)
    assert row is not None
    return row


def test_a_short_step_goes_from_ready_to_succeeded_in_its_executors_words() -> None:
    row = row_of(ready(), StepDispatched(step_id=STEP, attempt=1), succeeded())
    assert row == StepRow(
        step_id=STEP,
        status=Status.SUCCEEDED,
        attempt=1,
        ready_at=10,
        started_at=20,
        attempt_started_at=20,
        finished_at=25,
        executor_id="e2",
        branch="true",
        output=OUTPUT,
    )


def test_a_dispatched_step_is_still_ready() -> None:
    row = row_of(ready())
    assert step_after(row, StepDispatched(step_id=STEP, attempt=1), 11) is row


def test_a_late_result_changes_nothing() -> None:
    late = ResultDiscarded(step_id=STEP, attempt=1, reason="late")
    row = row_of(ready(2))
    assert step_after(row, late, 11) is row
    assert step_after(None, late, 11) is None


def test_the_first_start_stays_and_the_last_attempts_is_kept_beside_it() -> None:
    row = row_of(ready(), started(at=20), retried(), ready(2), started(2, at=80))
    assert (row.started_at, row.attempt_started_at, row.attempt) == (20, 80, 2)
    assert (row.status, row.ready_at, row.wake_at) == (Status.RUNNING, 10, None)


@pytest.mark.parametrize(("code", "status"), [("HTTP_503", "failed"), ("TIMEOUT", "timed_out")])
def test_an_attempt_that_is_retried_stays_on_record(code: str, status: str) -> None:
    row = row_of(ready(), retried(code=code))
    assert (row.status, row.wake_at, row.error) == (Status.RETRYING, 900, None)
    assert [(each.attempt, each.status, each.finished_at) for each in row.attempts] == [
        (1, status, 25)
    ]


def test_a_lost_attempt_says_what_was_known_of_it() -> None:
    lost = StepLost(step_id=STEP, attempt=1, reason="vanished")
    row = row_of(ready(), started(), lost, ready(2))
    assert row.attempts == (
        Attempt(
            attempt=1,
            status="lost",
            executor_id="e1",
            started_at=20,
            finished_at=12,
            error=StepError(code="LOST", message="vanished"),
        ),
    )
    assert (row.status, row.executor_id, row.attempt_started_at) == (Status.READY, None, None)


def test_a_wait_announces_the_output_that_its_end_does_not_repeat() -> None:
    end = StepSucceeded(step_id=STEP, attempt=1, finished_at=501)
    assert row_of(ready(), WAITING).wake_at == 500
    row = row_of(ready(), WAITING, end)
    assert (row.output, row.finished_at, row.started_at, row.wake_at) == (OUTPUT, 501, 20, None)


def test_what_is_stored_is_not_kept_and_not_overwritten() -> None:
    waiting = row_of(ready(), WAITING)
    kept = stored(waiting)
    assert (kept.output, kept.is_stored) == (None, True)
    end = step_after(kept, StepSucceeded(step_id=STEP, attempt=1, finished_at=501), 501)
    assert end is not None
    assert (end.output, end.status) == (None, Status.SUCCEEDED)


def test_a_failure_keeps_its_error_and_input() -> None:
    told: Any = {"step_id": STEP, "attempt": 1, "error": ERROR, "input": OUTPUT}
    for event, status in (
        (StepFailed(**told, started_at=20, finished_at=25, executor_id="e1"), Status.FAILED),
        (StepTimedOut(**told, started_at=20, finished_at=25, executor_id="e1"), Status.TIMED_OUT),
    ):
        row = row_of(ready(), event)
        assert (row.status, row.error, row.input, row.finished_at) == (status, ERROR, OUTPUT, 25)


def test_a_failure_that_nobody_told_about_has_the_decisions_moment() -> None:
    assert row_of(ready(), StepFailed(step_id=STEP, attempt=1, error=ERROR)).finished_at == 11


def test_a_step_is_skipped_before_or_after_it_became_ready() -> None:
    skipped = StepSkipped(step_id=STEP)
    assert row_of(skipped) == StepRow(step_id=STEP, status=Status.SKIPPED, finished_at=10)
    assert row_of(ready(), skipped).status is Status.SKIPPED


def test_a_cancelled_step_says_whether_anybody_answered() -> None:
    assert row_of(ready(), StepCancelled(step_id=STEP, attempt=1)).error is None
    abandoned = row_of(ready(), started(), StepAbandoned(step_id=STEP, attempt=1))
    assert abandoned.status is Status.CANCELLED
    assert abandoned.error is not None
    assert abandoned.error.code == "ABANDONED"
