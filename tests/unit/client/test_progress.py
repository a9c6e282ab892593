"""A run as its events tell it."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from penstock.client.display import display_for
from penstock.client.models import Event, StepStatus, Subject
from penstock.client.progress import RunProgress, Tone, sentence, shown_ms

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def event(name: str, step: str | None = None, /, *, after_s: float = 0, **data: Any) -> Event:
    said = data if step is None else {"stepId": step, "attempt": 1, **data}
    return Event(
        position="1.0",
        type=name,
        at=NOON + timedelta(seconds=after_s),
        subject=Subject(kind="run", id="r-1"),
        data=said,
    )


def test_steps_move_and_are_counted_once() -> None:
    progress = RunProgress(total=2)
    for told in [
        event("RunStarted"),
        event("StepReady", "a"),
        event("StepDispatched", "a", after_s=1),
        event("StepReady", "b", after_s=2),
        event("StepRetryScheduled", "b", after_s=3),
        event("StepSucceeded", "a", after_s=4),
    ]:
        progress.take(told)
    assert (progress.settled, progress.stage()) == (1, "1 retrying, 1 succeeded")
    assert [(step.id, step.status) for step in progress.in_flight()] == [("b", StepStatus.RETRYING)]


def test_an_unknown_event_of_a_newer_server_moves_nothing() -> None:
    progress = RunProgress()
    progress.take(event("StepDreamed", "a"))
    assert (progress.settled, progress.stage(), sentence(event("StepDreamed", "a"))) == (
        0,
        "starting",
        None,
    )


def test_a_success_says_how_long_it_took_and_where_it_went() -> None:
    said = sentence(
        event(
            "StepSucceeded",
            "big",
            attempt=2,
            branch="true",
            startedAt="2026-11-21T12:00:00.000Z",
            finishedAt="2026-11-21T12:00:01.250Z",
        )
    )
    assert said == ("big", "succeeded", "attempt 2, branch true, 1.2 s", Tone.GOOD)


def test_a_failure_says_why() -> None:
    error = {"code": "TIMEOUT", "message": "too slow", "retryable": True}
    said = sentence(event("StepFailed", "call", error=error))
    assert said == ("call", "failed", "TIMEOUT: too slow", Tone.BAD)


def test_a_cancel_gives_its_reason_once() -> None:
    error = {"code": "CANCELLED", "message": "enough"}
    said = sentence(event("RunCancelRequested", error=error, reason="enough"))
    assert said is not None
    assert said.rest == "CANCELLED: enough"


@pytest.mark.parametrize(
    ("data", "rest"),
    [
        ({}, "for a moment"),
        ({"kind": "delay", "until": "2026-11-21T12:00:00.000Z"}, "for a moment, until "),
        ({"kind": "signal", "name": "paid"}, "for the signal paid"),
        ({"kind": "approval", "onTimeout": "reject"}, "for an approval"),
        ({"kind": "child", "childId": "r-2"}, "for run r-2"),
        ({"kind": "dream"}, ""),
    ],
)
def test_a_wait_says_what_for(data: dict[str, Any], rest: str) -> None:
    told = event("StepWaiting", "w", **data)
    said = sentence(told)
    assert said is not None
    assert (said.verb, said.rest[: len(rest)], said.tone) == ("waiting", rest, Tone.WAITING)
    progress = RunProgress()
    progress.take(told)
    (step,) = progress.in_flight()
    assert (step.status, step.note) == (StepStatus.WAITING, rest.partition(",")[0])


def test_pause_resume_signals_decisions_and_forks_are_told() -> None:
    progress = RunProgress()
    progress.take(event("RunPaused", reason="lunch"))
    assert progress.stage() == "paused"
    progress.take(event("RunResumed"))
    assert progress.stage() == "starting"
    for told, rest in [
        (event("RunPaused", reason="lunch"), "lunch"),
        (event("SignalReceived", name="paid", signalId="s"), "paid"),
        (event("ApprovalDecided", "ask", decision="approve"), "approve"),
        (event("RunForked", runId="r-0", position="17.2"), "from run r-0 at 17.2"),
    ]:
        said = sentence(told)
        assert said is not None
        assert said.rest == rest


def test_what_is_evaluated_for_a_step_is_no_step() -> None:
    progress = RunProgress()
    for step in ("price@edges", "loop.3@while", "@output"):
        progress.take(event("StepSucceeded", step))
        assert sentence(event("StepSucceeded", step)) is None
    assert (progress.settled, progress.expected) == (0, None)


def looping(count: int | None, steps: int) -> list[Event]:
    """A loop whose iterations have two steps each, the second of which fails in every tenth."""
    error = {"code": "X", "message": "y"}
    told = [event("RunStarted"), event("StepReady", "each")]
    told += [
        event("StepWaiting", "each", kind="loop", width=8, **({"count": count} if count else {}))
    ]
    for n in range(steps):
        ends = "StepFailed" if n % 10 == 9 else "StepSucceeded"
        told += [event("StepReady", f"each.{n}.a"), event("StepSucceeded", f"each.{n}.a")]
        told += [event("StepReady", f"each.{n}.b"), event(ends, f"each.{n}.b", error=error)]
    return told


def test_a_loop_is_running_and_says_how_far_it_is() -> None:
    progress = RunProgress(total=2)
    for told in looping(100, 25):
        progress.take(told)
    (loop,) = progress.in_flight()
    assert (loop.status, loop.note) == (StepStatus.RUNNING, "iteration 25 of 100")
    assert (progress.settled, progress.expected) == (50, 201)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("count", [10_000, None])
def test_a_long_loop_does_not_flood_a_terminal(terminal: bool, count: int | None) -> None:
    console = Console(file=StringIO(), force_terminal=terminal, width=120, color_system=None)
    with display_for(console, total=2) as display:
        for told in [
            *looping(count, 10_000),
            event("StepSucceeded", "each"),
            event("RunSucceeded"),
        ]:
            display.show(told)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line for line in text.splitlines() if "  each" in line and ":00.000" in line]
    assert 200 <= len(lines) <= 225, "what failed, up to a bound, and how far it is"
    assert sum("failed" in line for line in lines) >= 160
    assert ("looping    iteration 5,000" in text) is not terminal
    assert "each                  succeeded" in text, "the loop's own end is told all the same"


def test_a_short_loop_is_told_whole() -> None:
    console = Console(file=StringIO(), width=120)
    with display_for(console, total=2) as display:
        for told in looping(3, 3):
            display.show(told)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "3 items, 8 at a time" in text
    assert [f"each.{n}.a" in text for n in range(3)] == [True] * 3


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1500, "1.5 s"),
        (61_000, "1 min 01 s"),
        (7_260_000, "2 h 01 min"),
    ],
)
def test_durations_are_for_people(milliseconds: float, text: str) -> None:
    assert shown_ms(milliseconds) == text


@pytest.mark.parametrize("terminal", [False, True])
def test_both_displays_tell_the_same_story(terminal: bool) -> None:
    console = Console(file=StringIO(), force_terminal=terminal, width=120, color_system=None)
    with display_for(console, total=1) as display:
        for told in [
            event("RunStarted", workflowName="Hello [bold]", version=3),
            event("StepReady", "greet"),
            event("StepSucceeded", "greet"),
            event("RunSucceeded"),
        ]:
            display.show(told)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Hello [bold] version 3" in text, "names are no markup"
    assert "greet                 succeeded" in text
    assert "run r-1" in text


def test_of_a_large_run_only_what_matters_gets_a_line() -> None:
    console = Console(file=StringIO(), width=120)
    with display_for(console, total=10_000) as display:
        for told in [
            event("RunStarted"),
            event("StepSucceeded", "fine"),
            event("StepFailed", "broken", error={"code": "X", "message": "y"}),
            event("RunFailed"),
        ]:
            display.show(told)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("fine" in text, "broken" in text, text.count("\n")) == (False, True, 3)
