"""What commands add to a run's history."""

import pytest
from msgspec.structs import replace

from penstock.domain.errors import Conflict, NotFound
from penstock.domain.run.commands import CancelRun, ContinueRun, FireTimer
from penstock.domain.run.consequences import HELD_MAX, demand, is_owed
from penstock.domain.run.draft import CONSEQUENCES_MAX
from penstock.domain.run.events import (
    RunCancelRequested,
    RunEvent,
    RunFailed,
    RunStarted,
    RunSucceeded,
    StepRetryScheduled,
    StepWaiting,
)
from penstock.domain.run.evolve import fold
from penstock.domain.run.reports import LOSSES_MAX, is_ahead
from penstock.domain.run.state import RunStatus, StepStatus, unborn
from penstock.domain.workflow.model import Join, Retry
from tests.unit.domain.run.story import (
    AT,
    Story,
    begin,
    begun,
    complete,
    drawing,
    fail,
    lost,
    start,
    stopped,
    suspend,
)


def test_a_chain_goes_step_by_step_to_its_end() -> None:
    story = Story(drawing("a>b"))
    assert story.when(start()) == ["RunStarted", *begun("a")]
    assert story.when(complete("a")) == ["Succeeded a", *begun("b")]
    assert story.when(complete("b")) == ["Succeeded b", "RunSucceeded"]


def test_every_command_may_come_twice() -> None:
    story = Story(drawing("a>b"))
    story.when(start(), complete("a"))
    assert story.when(start(), complete("a"), begin("a"), lost("a"), ContinueRun()) == []


def test_the_same_key_with_another_request_is_refused() -> None:
    story = Story(drawing("a"))
    story.when(start("one"))
    with pytest.raises(Conflict) as refused:
        story.when(start("another"))
    assert refused.value.code == "IDEMPOTENCY_CONFLICT"


def test_a_join_waits_for_its_last_branch() -> None:
    story = Story(drawing("a>b", "a>c", "b>d", "c>d"))
    story.when(start())
    assert story.when(complete("a")) == ["Succeeded a", *begun("bc")]
    assert story.when(complete("b")) == ["Succeeded b"]
    assert story.when(complete("c")) == ["Succeeded c", *begun("d")]


def test_a_join_any_goes_on_with_the_first_and_ignores_the_rest() -> None:
    story = Story(drawing("a>c", "b>c", joins={"c": Join.ANY}))
    story.when(start())
    assert story.when(complete("b")) == ["Succeeded b", *begun("c")]
    assert story.when(complete("a")) == ["Succeeded a"]
    assert story.when(complete("c")) == ["Succeeded c", "RunSucceeded"]


def test_two_branches_at_once_make_a_join_any_ready_once() -> None:
    story = Story(drawing("a>c", "b>c", "z>a", "z>b", joins={"c": Join.ANY}))
    story.when(start(), complete("z"), complete("a"), complete("b"))
    assert story.when(complete("c")) == ["Succeeded c", "RunSucceeded"]


def test_the_branch_not_chosen_is_skipped_with_all_that_hangs_on_it() -> None:
    story = Story(drawing("a?yes>b", "a?no>c", "c>d", "b>e", "d>e"))
    story.when(start())
    said = story.when(complete("a", branch="yes"))
    assert said == ["Succeeded a", "Ready b", "Skipped c", "Skipped d", "Dispatched b"]
    assert story.when(complete("b")) == ["Succeeded b", *begun("e")]


def test_an_unhandled_failure_fails_the_run_and_stops_the_rest() -> None:
    story = Story(drawing("a>b", "c>d"))
    story.when(start())
    assert story.when(fail("a")) == ["Failed a", "RunCancelRequested", "Skipped b", "Skipped d"]
    assert story.when(stopped("c")) == ["Cancelled c", "RunFailed"]
    assert story.run.status is RunStatus.FAILED
    ended = story.last(RunFailed)
    assert isinstance(ended, RunFailed)
    assert (ended.error.code, ended.error.step_id) == ("BROKEN", "a")


def test_what_finishes_while_the_run_fails_still_counts() -> None:
    story = Story(drawing("a>b", "c>d"))
    story.when(start(), fail("a"))
    assert story.when(complete("c")) == ["Succeeded c", "RunFailed"]


@pytest.mark.parametrize("sign", ["!", "*"])
def test_a_failure_that_an_edge_handles_does_not_fail_the_run(sign: str) -> None:
    story = Story(drawing("a>b", f"a{sign}c"))
    story.when(start())
    assert story.when(fail("a")) == ["Failed a", "Skipped b", "Ready c", "Dispatched c"]
    assert story.when(complete("c"))[-1] == "RunSucceeded"


def test_a_success_leaves_the_failure_branch_aside() -> None:
    story = Story(drawing("a>b", "a!c"))
    story.when(start())
    assert story.when(complete("a")) == ["Succeeded a", "Ready b", "Skipped c", "Dispatched b"]


def test_a_retryable_failure_is_tried_again_after_its_rest() -> None:
    policy = Retry(max_attempts=2, backoff_ms=100, jitter=0.0)
    story = Story(drawing("a", retry=policy))
    story.when(start())
    assert story.when(fail("a", retryable=True)) == ["RetryScheduled a"]
    scheduled = story.last(StepRetryScheduled)
    assert isinstance(scheduled, StepRetryScheduled)
    assert scheduled.due_at == AT + 100
    assert story.when(FireTimer(timer_id=scheduled.timer_id)) == ["Ready a#2", "Dispatched a#2"]
    assert story.when(FireTimer(timer_id=scheduled.timer_id)) == []
    assert story.when(fail("a", 2, retryable=True)) == ["Failed a#2", "RunFailed"]


def test_a_step_over_its_time_ends_timed_out_after_its_last_attempt() -> None:
    story = Story(drawing("a", retry=Retry(max_attempts=1)))
    story.when(start())
    assert story.when(fail("a", retryable=True, timed_out=True)) == ["TimedOut a", "RunFailed"]


def test_a_lost_attempt_is_repeated_without_counting_as_a_try() -> None:
    story = Story(drawing("a", retry=Retry(max_attempts=1)))
    story.when(start())
    for attempt in range(1, LOSSES_MAX + 1):
        said = story.when(lost("a", attempt))
        assert said[0].startswith("Lost a")
        assert said[-1] == f"Dispatched a#{attempt + 1}"
    assert story.when(lost("a", LOSSES_MAX + 1))[-1] == "RunFailed"


def test_the_late_result_of_a_given_up_attempt_is_put_on_record_once() -> None:
    story = Story(drawing("a>b"))
    story.when(start(), lost("a"))
    assert story.when(complete("a", 1)) == ["ResultDiscarded a"]
    assert story.when(complete("a", 1)) == []
    assert story.when(complete("a", 2))[0] == "Succeeded a#2"


def test_a_wait_ends_with_the_output_it_announced() -> None:
    story = Story(drawing("a>b"))
    story.when(start())
    assert story.when(suspend("a")) == ["Waiting a"]
    waiting = story.last(StepWaiting)
    assert isinstance(waiting, StepWaiting)
    assert story.when(FireTimer(timer_id=waiting.timer_id))[0] == "Succeeded a"
    assert story.run.step("a").output == waiting.output


def test_a_cancel_skips_what_has_not_started_and_stops_what_has() -> None:
    story = Story(drawing("a>b", "c>d"))
    story.when(start(), suspend("a"))
    said = story.when(CancelRun(reason="enough"))
    assert said == ["RunCancelRequested", "Cancelled a", "Skipped b", "Skipped d"]
    assert story.when(CancelRun()) == []
    assert story.when(stopped("c")) == ["Cancelled c", "RunCancelled"]
    with pytest.raises(Conflict):
        story.when(CancelRun())


def test_steps_that_do_not_answer_a_cancel_are_abandoned_after_the_grace() -> None:
    story = Story(drawing("a>b"))
    story.when(start(), CancelRun())
    asked = story.last(RunCancelRequested)
    assert isinstance(asked, RunCancelRequested)
    assert story.when(FireTimer(timer_id=asked.timer_id)) == ["Abandoned a", "RunCancelled"]
    assert story.when(complete("a")) == []


def test_a_cancel_that_overtakes_its_start_has_to_come_again() -> None:
    story = Story(drawing("a"))
    with pytest.raises(NotFound):
        story.when(CancelRun())
    story.when(start())
    assert story.when(CancelRun(), stopped("a"))[-1] == "RunCancelled"


def test_the_runs_own_time_limit_ends_it_timed_out() -> None:
    story = Story(drawing("a>b", timeout_ms=50))
    story.when(start())
    started = story.history[0]
    assert isinstance(started, RunStarted)
    assert started.deadline_at == AT + 50
    story.when(FireTimer(timer_id=str(started.timer_id)))
    assert story.when(stopped("a")) == ["Cancelled a", "RunTimedOut"]


def test_a_run_that_is_cancelled_takes_no_wait_or_retry_any_more() -> None:
    story = Story(drawing("a>b", "c>d"))
    story.when(start(), CancelRun())
    assert story.when(suspend("a")) == ["Cancelled a"]
    assert story.when(lost("c")) == ["Cancelled c", "RunCancelled"]


def test_a_decision_is_bounded_and_the_rest_follows_on_request() -> None:
    width = CONSEQUENCES_MAX + HELD_MAX
    story = Story(drawing(*(f"n{i}" for i in range(width))))
    first = story.when(start())
    assert len(first) == CONSEQUENCES_MAX
    rounds = 0
    while is_owed(story.run) or demand(story.run):
        assert len(story.when(ContinueRun())) <= CONSEQUENCES_MAX
        rounds += 1
        assert rounds < 10
    assert story.run.held == HELD_MAX
    while story.run.is_live:
        held = [
            s for s in story.run.drawn.order if story.run.step(s).status is StepStatus.DISPATCHED
        ]
        story.when(*(complete(step_id) for step_id in held), ContinueRun())
    ended = story.last(RunSucceeded)
    assert isinstance(ended, RunSucceeded)
    assert ended.keyed
    assert ended.sinks == ()


def test_the_output_is_made_of_the_sinks_that_succeeded() -> None:
    story = Story(drawing("a?yes>b", "a?no>c"))
    story.when(start(), complete("a", branch="yes"), complete("b"))
    ended = story.last(RunSucceeded)
    assert isinstance(ended, RunSucceeded)
    assert (ended.sinks, ended.keyed) == (("b",), True)


def test_history_folds_to_the_same_state_as_the_decisions_left() -> None:
    story = Story(drawing("a>b", "a!c", "b>d", "c>d", joins={"d": Join.ANY}))
    story.when(start(), fail("a"), complete("c"), complete("d"))
    history: list[RunEvent] = story.history
    assert fold(unborn(story.run.id, story.run.graph), history) == story.run


def test_a_retry_that_comes_due_while_the_run_ends_starts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found by the simulation: the cancel did not fit into one decision, the timer came first."""
    monkeypatch.setattr("penstock.domain.run.draft.CONSEQUENCES_MAX", 2)
    story = Story(drawing("a", "b", "c", retry=Retry(max_attempts=3, backoff_ms=10)))
    story.when(start(), ContinueRun(), ContinueRun(), ContinueRun())
    story.when(fail("c", retryable=True))
    resting = story.last(StepRetryScheduled)
    assert isinstance(resting, StepRetryScheduled)
    monkeypatch.setattr("penstock.domain.run.draft.CONSEQUENCES_MAX", 1)
    assert story.when(CancelRun()) == ["RunCancelRequested"]
    assert "Ready c#2" not in story.when(FireTimer(timer_id=resting.timer_id))


def test_a_report_about_an_attempt_to_come_tells_of_an_old_state() -> None:
    story = Story(drawing("a>b"))
    unborn_run = story.run
    story.when(start())
    assert not is_ahead(complete("a"), story.run)
    assert is_ahead(complete("a", attempt=2), story.run)
    assert is_ahead(complete("b"), story.run)
    assert is_ahead(complete("a"), unborn_run)
    assert is_ahead(stopped("a"), story.run)
    story.when(complete("a"))
    assert not is_ahead(complete("a"), story.run)
    story.when(complete("b"))
    assert not is_ahead(complete("b", attempt=2), story.run)


def test_what_an_attempt_was_given_is_told_once_beside_what_it_came_to() -> None:
    given = {"used": ("secret:s-1",)}
    story = Story(drawing("a>b", "a!c", retry=Retry(max_attempts=2, backoff_ms=1)))
    story.when(start())
    failed = replace(fail("a", retryable=True), **given)
    assert story.when(failed) == ["SecretUsed a", "RetryScheduled a"]
    assert story.when(failed) == []
    resting = story.last(StepRetryScheduled)
    assert isinstance(resting, StepRetryScheduled)
    story.when(FireTimer(timer_id=resting.timer_id))
    handed_back = replace(lost("a", attempt=2, reason="released"), **given)
    assert story.when(handed_back)[:2] == ["SecretUsed a#2", "Lost a#2"]
    assert story.when(lost("a", attempt=3))[0] == "Lost a#3"
    late = replace(complete("a", attempt=3), **given)
    assert story.when(late) == ["SecretUsed a#3", "ResultDiscarded a#3"]
    assert story.when(late) == []
    done = replace(complete("a", attempt=4), **given)
    assert story.when(done)[:2] == ["SecretUsed a#4", "Succeeded a#4"]
    assert story.when(done) == []
    assert story.when(replace(stopped("b"), **given)) == []
    assert story.when(CancelRun())[0] == "RunCancelRequested"
    assert "SecretUsed b" in story.when(replace(stopped("b"), **given))


def test_who_uses_nothing_says_nothing_of_it() -> None:
    story = Story(drawing("a"))
    assert "SecretUsed a" not in story.when(start(), complete("a"))
