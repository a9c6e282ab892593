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


def event(kind: str, step: str | None = None, *, after_s: float = 0, **data: Any) -> Event:
    said = data if step is None else {"stepId": step, "attempt": 1, **data}
    return Event(
        position="1.0",
        type=kind,
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
