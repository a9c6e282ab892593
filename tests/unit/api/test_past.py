"""The past, folded by `evolve`, tells what the projections tell of the same history."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from penstock.api.errors import Problem
from penstock.api.past import Past, Until, until
from penstock.domain import payload
from penstock.domain.run.commands import (
    CancelRun,
    CompleteStep,
    ConfirmCancel,
    FailStep,
    FireTimer,
    ReportLost,
    RunCommand,
    StartStep,
    SuspendStep,
)
from penstock.domain.run.events import StepError
from penstock.domain.run.state import SETTLED
from penstock.infra.postgres.engine import Row
from penstock.messages.codec import decode_run_decision
from penstock.projector.projections.run_steps import StepRow, step_after
from tests.unit.projector.lives import T0, Life, Tape, chain

TENANT = "0190a000-0000-7000-8000-000000000001"
STEPS = ("s0", "s1", "s2")
WHOLE = Until()
MOVES = ("start", "complete", "fail", "time out", "suspend", "lose", "fire", "cancel", "confirm")


def told(life: Life, move: str) -> RunCommand | None:
    """What the move says about the step that is under way; None where it says nothing."""
    step_id = next((each for each in STEPS if life.run.step(each).status not in SETTLED), "s0")
    attempt = life.run.step(step_id).attempt
    which: dict[str, Any] = {"step_id": step_id, "attempt": attempt}
    when: dict[str, Any] = {"started_at": life.at, "executor_id": f"executor-{attempt}"}
    over = {**when, "finished_at": life.at + 1}
    error = StepError(code="BROKEN", message="it broke", retryable=True)
    match move:
        case "start":
            return StartStep(**which, **when)
        case "complete":
            return CompleteStep(**which, **over, output=payload.of_value("x" * 2_000))
        case "fail":
            return FailStep(**which, **over, error=error)
        case "time out":
            late = structs.replace(error, code="TIMEOUT")
            return FailStep(**which, **over, error=late, timed_out=True)
        case "suspend":
            output = payload.of_value(None)
            return SuspendStep(**which, **when, until=life.at + 5, output=output)
        case "lose":
            return ReportLost(**which, reason="redelivered")
        case "cancel":
            return CancelRun(reason="enough")
        case "confirm":
            return ConfirmCancel(**which)
        case _:
            timers = sorted(life.run.timers)
            return FireTimer(timer_id=timers[0]) if timers else None


def lived(moves: list[str]) -> tuple[Tape, Life]:
    """A run that the moves were made in."""
    tape = Tape()
    life = Life(tape, chain(3), name="one", tenant=TENANT)
    life.start()
    for move in moves:
        command = told(life, move)
        if command is not None and life.run.is_live:
            life.tell(command)
    return tape, life


def past_of(tape: Tape, life: Life, place: Until = WHOLE) -> Past:
    """The fold of what is on the tape."""
    past = Past(life.id, life.run.drawn)
    for seq, (_, body) in enumerate(tape.messages, 1):
        if not past.absorb(seq, decode_run_decision(body), place):
            break
    return past


def projected(tape: Tape) -> dict[str, StepRow]:
    """The rows of the steps as the projections make them."""
    rows: dict[str, StepRow | None] = {}
    for _, body in tape.messages:
        decision = decode_run_decision(body)
        for event in decision.events:
            step_id = getattr(event, "step_id", "")
            if step_id:
                row: Any = step_after(rows.get(step_id), event, decision.at)  # type: ignore[arg-type]
                rows[step_id] = row
    return {step_id: row for step_id, row in rows.items() if row is not None}


def members(text: bytes | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def moments(row: Row) -> dict[str, int | None]:
    names = ("ready_at", "started_at", "attempt_started_at", "finished_at")
    return {name: row[name] and round(row[name].timestamp() * 1000) for name in names}


@given(st.lists(st.sampled_from(MOVES), max_size=12))
async def test_the_rows_of_the_past_are_those_of_the_projections(moves: list[str]) -> None:
    tape, life = lived(moves)
    expected = projected(tape)
    past = past_of(tape, life)
    rows = {row["step_id"]: row for row in await past.step_rows(STEPS)}
    assert rows.keys() == expected.keys()
    for step_id, row in rows.items():
        other = expected[step_id]
        assert row["status"] == other.status
        for name in ("attempt", "executor_id", "branch"):
            assert row[name] == getattr(other, name), name
        assert moments(row) == {name: getattr(other, name) or None for name in moments(row)}
        assert members(row["error"]) == msgspec.to_builtins(other.error)
        assert (members(row["attempts"]) or []) == msgspec.to_builtins(list(other.attempts))
    assert past.run.status == life.run.status


def test_a_place_within_a_decision_ends_there() -> None:
    tape, life = lived(["complete"])
    first, second = (len(decode_run_decision(body).events) for _, body in tape.messages)
    assert past_of(tape, life, Until(seq=1, nth=0)).events == 1
    assert past_of(tape, life, Until(seq=1)).events == first
    assert past_of(tape, life, Until(seq=2, nth=0)).events == first + 1
    assert past_of(tape, life).events == first + second
    assert not past_of(tape, life, Until(seq=0)).is_born


def test_a_time_takes_what_was_decided_by_then() -> None:
    tape, life = lived(["complete", "complete"])
    at = [decode_run_decision(body).at for _, body in tape.messages]
    events = [past_of(tape, life, Until(at=moment)).events for moment in (T0, at[0], at[1], at[2])]
    assert events == sorted(set(events))
    assert not past_of(tape, life, Until(at=at[0] - 1)).is_born


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (None, Until()),
        ("17", Until(seq=17)),
        ("17.3", Until(seq=17, nth=3)),
        ("1970-01-01T00:00:01.0019Z", Until(at=1001)),
        ("1970-01-01T01:00:00+01:00", Until(at=0)),
    ],
)
def test_a_place_is_a_position_or_a_time(text: str | None, place: Until) -> None:
    assert until(text) == place


@given(st.text(max_size=40))
def test_any_text_is_a_place_or_a_problem(text: str) -> None:
    with suppress(Problem):
        assert isinstance(until(text), Until)
