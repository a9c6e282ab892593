"""What steps do to each other and to their run: failure, cancel, limits, waits, large payloads."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.chaos.receiver import Receiver
from tests.e2e.histories import history, of_type, place_of_each
from tests.e2e.runs import (
    QUICK_RETRY,
    Document,
    call,
    drawn,
    edge,
    ended,
    executed,
    made,
    node,
    started,
    step,
    told_of,
)
from tests.e2e.waiting import until

NOTICED_WITHIN_S = 10.0
CANCELLED_WITHIN_S = 8.0
"""Running steps have 5 s of grace."""
LARGE = 100_000
"""Characters of a payload that is kept as an object of its own."""
FANNED_IN = 300
SHARE = 2_000
"""Characters of each part; all of them together do not fit into a message of work."""


def statuses(run: Document) -> dict[str, str]:
    """The status of each step."""
    return {each["id"]: each["status"] for each in run["steps"]}


def outside(receiver: Receiver, kind: str, step_id: str) -> str:
    """Where a step calls, to be answered as `kind` says."""
    return f"{receiver.url}/{kind}/{{{{ run.id }}}}/{step_id}"


# --- payloads ------------------------------------------------------------------------------------


async def test_a_large_payload_arrives_intact_at_the_next_step(api: httpx.AsyncClient) -> None:
    grown = {"text": "{{ input.text }}", "again": "{{ input.text }}", "n": 1}
    nodes = [
        node("grow", "transform", config={"output": grown}),
        node("pass"),
        node("upper", "transform", config={"transform": "uppercase", "value": "{{ input.text }}"}),
    ]
    definition = drawn("large", nodes, edge("grow", "pass"), edge("pass", "upper"))
    text = "".join(chr(ord("a") + number % 26) for number in range(LARGE))
    run = await executed(api, definition, {"text": text})
    assert run["status"] == "succeeded", run["error"]
    assert step(run, "pass")["output"] == {"text": text, "again": text, "n": 1}
    assert run["output"] == text.upper()


async def test_many_parts_arrive_intact_where_they_come_together(api: httpx.AsyncClient) -> None:
    parts = [f"part-{number}" for number in range(FANNED_IN)]
    nodes = [node("source")]
    for number, part in enumerate(parts):
        output = {"n": number, "text": f"{number}-{{{{ input.text }}}}"}
        nodes.append(node(part, "transform", config={"output": output}))
    edges = [edge("source", part) for part in parts] + [edge(part, "all") for part in parts]
    run = await executed(api, drawn("fan-in", [*nodes, node("all")], *edges), {"text": "x" * SHARE})
    assert run["status"] == "succeeded", run["error"]
    expected = {
        part: {"n": number, "text": f"{number}-{'x' * SHARE}"} for number, part in enumerate(parts)
    }
    assert run["output"] == expected


# --- failure -------------------------------------------------------------------------------------


async def test_a_handled_failure_is_told_to_its_handler(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    nodes = [
        call("fails", outside(receiver, "500", "fails")),
        node("handler"),
        node("never"),
        node("after"),
    ]
    edges = [
        edge("fails", "handler", "ON_FAILURE"),
        edge("fails", "never"),
        edge("handler", "after"),
    ]
    run = await executed(api, drawn("handled", nodes, *edges), {"n": 1})
    assert run["status"] == "succeeded", run["error"]
    assert statuses(run) == {
        "fails": "failed", "handler": "succeeded", "never": "skipped", "after": "succeeded"
    }  # fmt: skip
    told = step(run, "handler")["input"]
    assert (told["failedNode"], told["input"], told["error"]["code"]) == (
        "fails", {"n": 1}, "HTTP_STATUS"
    )  # fmt: skip
    assert step(run, "fails")["attempt"] == QUICK_RETRY["maxAttempts"]
    assert len(receiver.keys[run["id"], "fails"]) == QUICK_RETRY["maxAttempts"]


async def test_an_unhandled_failure_ends_all_else(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    nodes = [
        node("start"),
        call("fails", outside(receiver, "400", "fails")),
        call("runs", outside(receiver, "held", "runs")),
        node("waits", "delay", config={"durationMs": 600_000}),
        node("next"),
    ]
    edges = [edge("start", each) for each in ("fails", "runs", "waits")] + [edge("runs", "next")]
    run = await executed(api, drawn("unhandled", nodes, *edges))
    assert run["status"] == "failed"
    assert run["error"]["stepId"] == "fails"
    assert statuses(run) == {
        "start": "succeeded", "fails": "failed", "runs": "cancelled", "waits": "cancelled",
        "next": "skipped",
    }  # fmt: skip
    assert len(receiver.keys[run["id"], "fails"]) == 1, "a 400 is not tried again"


# --- cancel and limits ---------------------------------------------------------------------------


async def test_a_cancel_reaches_a_call_that_is_under_way(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    nodes = [call("runs", outside(receiver, "held", "runs")), node("next")]
    run_id = await started(api, await made(api, drawn("cancelled", nodes, edge("runs", "next"))))

    async def is_called() -> bool:
        return (run_id, "runs") in receiver.keys

    await until(is_called, within_s=NOTICED_WITHIN_S, what="the call is made")
    answered = await api.post(f"/runs/{run_id}/cancel", json={"reason": "enough"})
    assert answered.status_code == httpx.codes.ACCEPTED
    run = await ended(api, run_id, within_s=CANCELLED_WITHIN_S)
    assert run["status"] == "cancelled"
    assert statuses(run) == {"runs": "cancelled", "next": "skipped"}
    assert not of_type(await history(api, run_id), "StepAbandoned"), "the executor has answered"


async def test_a_run_over_its_time_is_timed_out(api: httpx.AsyncClient, receiver: Receiver) -> None:
    nodes = [
        call("runs", outside(receiver, "held", "runs")),
        node("waits", "delay", config={"durationMs": 600_000}),
        node("next"),
    ]
    edges = [edge("runs", "next"), edge("waits", "next")]
    run = await executed(api, drawn("run limit", nodes, *edges, timeoutMs=500))
    assert (run["status"], run["error"]["code"]) == ("timed_out", "TIMEOUT")
    assert statuses(run) == {"runs": "cancelled", "waits": "cancelled", "next": "skipped"}


async def test_a_step_over_its_time_is_tried_again_and_then_timed_out(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    long = call("long", outside(receiver, "held", "long"), timeoutMs=200)
    nodes = [long, node("handler")]
    run = await executed(api, drawn("step limit", nodes, edge("long", "handler", "ON_FAILURE")))
    assert run["status"] == "succeeded", run["error"]
    found = step(run, "long")
    assert (found["status"], found["attempt"]) == ("timed_out", QUICK_RETRY["maxAttempts"])
    assert found["error"]["code"] == "TIMEOUT"
    told = told_of(await history(api, run["id"]), "long")
    assert told.count("StepRetryScheduled") == QUICK_RETRY["maxAttempts"] - 1
    assert told[-1] == "StepTimedOut"


# --- waits ---------------------------------------------------------------------------------------


async def test_a_wait_holds_no_executor(api: httpx.AsyncClient) -> None:
    waits = [node(f"wait-{n}", "delay", config={"durationMs": 3_000}) for n in range(FANNED_IN)]
    run_id = await started(api, await made(api, drawn("many waits", waits)))

    async def all_wait() -> bool:
        return len(of_type(await history(api, run_id), "StepWaiting")) == len(waits)

    # More than one executor can run at the same time.
    await until(all_wait, within_s=NOTICED_WITHIN_S, what="every step waits")
    beside = await executed(api, drawn("beside waits", [node("only")]))
    assert beside["status"] == "succeeded"
    run = await ended(api, run_id)
    assert run["status"] == "succeeded"
    events = await history(api, run_id)
    assert len(place_of_each(events, "StepSucceeded")) == len(waits)


@pytest.mark.parametrize("given", [None, 0, "", [], {}, {"a": None}, 1.5, 2**53, "\u2028ü𝄞"])
async def test_any_value_passes_unchanged(api: httpx.AsyncClient, given: Any) -> None:
    nodes = [node("pass"), node("copy", "transform", config={"output": "{{ input }}"})]
    workflow_id = await made(api, drawn("values", nodes, edge("pass", "copy")))
    run = await ended(api, await started(api, workflow_id, given))
    assert (run["input"], run["output"]) == (given, given)


async def test_runs_side_by_side_do_not_mix(api: httpx.AsyncClient) -> None:
    nodes = [
        node("even", "condition", config={"expression": "mod(input.n, 2) == 0"}),
        node("yes", "transform", config={"output": {"even": "{{ input.n }}"}}),
        node("no", "transform", config={"output": {"odd": "{{ input.n }}"}}),
        node("end", join="any"),
    ]
    branches = [
        {**edge("even", target), "condition": {"type": "BRANCH", "branch": branch}}
        for target, branch in (("yes", "true"), ("no", "false"))
    ]
    definition = drawn("branches", nodes, *branches, edge("yes", "end"), edge("no", "end"))
    workflow_id = await made(api, definition)
    runs = await asyncio.gather(*(started(api, workflow_id, {"n": n}) for n in range(20)))
    for n, run_id in enumerate(runs):
        run = await ended(api, run_id)
        kind = "odd" if n % 2 else "even"
        assert run["output"] == {("yes" if kind == "even" else "no"): {kind: n}}
