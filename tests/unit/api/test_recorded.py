"""Recorded decisions as clients see them."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from penstock.api.answers import MOMENTS_MS
from penstock.api.histories import RunKey
from penstock.api.positions import EVENTS, Position
from penstock.api.recorded import end, node_of, shown
from penstock.api.tails import Told
from penstock.domain.payload import of_value
from penstock.domain.run.events import (
    RunForked,
    RunSnapshotTaken,
    RunStarted,
    RunSucceeded,
    StepReady,
    StepSucceeded,
)
from penstock.messages.codec import encode_decision
from penstock.messages.envelope import NO_HASH, Cause

STARTED = RunStarted(
    workflow_id="w",
    workflow_name="W",
    version=1,
    definition="0" * 64,
    input=of_value({"type": "RunSucceeded"}),
    created_at=1_700_000_000_000,
)
READY = StepReady(step_id="loop.3.inner", attempt=1)
RUN = RunKey("acme", "r-1", datetime(2023, 11, 14, tzinfo=UTC), "asked-by-run")


def told(*events: object, seq: int = 7, causes: tuple[Cause, ...] = ()) -> Told:
    body = encode_decision(
        events,  # type: ignore[arg-type]
        causes,
        decision_id="d",
        at=1_700_000_000_123,
        previous_hash=NO_HASH,
    )
    return Told(seq, body)


@pytest.mark.parametrize("number", [MOMENTS_MS.start - 1, MOMENTS_MS.stop, 2**62])
def test_a_number_that_no_calendar_has_is_shown_as_it_is(number: int) -> None:
    (event,) = shown(told(replace(STARTED, created_at=number)), RUN)
    assert event["data"]["createdAt"] == number


@pytest.mark.parametrize("number", [MOMENTS_MS.start, MOMENTS_MS.stop - 1])
def test_all_of_the_calendar_can_be_shown(number: int) -> None:
    (event,) = shown(told(replace(STARTED, created_at=number)), RUN)
    assert str(event["data"]["createdAt"]).endswith("Z")


def test_each_event_has_its_place_and_its_cause() -> None:
    causes = (
        Cause(id="c1", actor="key:1", events=1, correlation_id="r", traceparent="t"),
        Cause(id="c2", actor="scheduler:s", events=1),
    )
    first, second = shown(told(STARTED, READY, causes=causes), RUN)
    assert (first["position"], second["position"]) == ("7.0", "7.1")
    assert (first["actor"], first["causationId"], first["correlationId"]) == ("key:1", "c1", "r")
    assert (second["actor"], second["causationId"]) == ("scheduler:s", "c2")
    assert second["correlationId"] == "asked-by-run"
    assert (first["type"], first["version"], first["at"]) == (
        "RunStarted", 1, "2023-11-14T22:13:20.123Z"
    )  # fmt: skip
    assert first["subject"] == {"kind": "run", "id": "r-1"}
    assert first["data"]["createdAt"] == "2023-11-14T22:13:20.000Z"
    assert "type" not in first["data"]
    assert (second["data"]["stepId"], second["data"]["nodeId"]) == ("loop.3.inner", "inner")


@pytest.mark.parametrize(
    ("after", "positions"),
    [
        (Position(EVENTS, 6, 9), ["7.0", "7.1"]),
        (Position(EVENTS, 7, 0), ["7.1"]),
        (Position(EVENTS, 7, 1), []),
        (Position(EVENTS, 8, 0), []),
    ],
)
def test_after_is_exclusive(after: Position, positions: list[str]) -> None:
    found = shown(told(STARTED, READY), RUN, after)
    assert [each["position"] for each in found] == positions


def test_only_an_event_ends_a_run_and_no_word_in_a_payload() -> None:
    assert end(told(STARTED)) is None
    succeeded = StepSucceeded(step_id="a", attempt=1, output=of_value('"type":"RunSucceeded"'))
    assert end(told(succeeded)) is None
    assert end(told(succeeded, RunSucceeded())) == Position(EVENTS, 7, 1)


@pytest.mark.parametrize(
    ("step_id", "node_id"),
    [
        ("a", "a"),
        ("7", "7"),
        ("loop.3.inner", "inner"),
        ("loop.3.7", "7"),
        ("loop.3@while", "loop"),
        ("outer.2.loop@collect", "loop"),
        ("a@edges", "a"),
        ("@output", None),
    ],
)
def test_a_path_names_its_node(step_id: str, node_id: str | None) -> None:
    assert node_of(step_id) == node_id


def test_of_a_state_there_is_its_size_and_its_hash() -> None:
    state = of_value({"steps": ["many"] * 100})
    summary = {"size": state.size, "sha256": state.sha256}
    taken, forked = shown(
        told(
            RunSnapshotTaken(start=STARTED, state=state),
            RunForked(run_id="r-0", position="1.0", state=state),
        ),
        RUN,
    )
    assert taken["data"] == {"state": summary}
    assert forked["data"]["state"] == summary
