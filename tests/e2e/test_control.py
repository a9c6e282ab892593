"""Control over runs that go on: signals, approvals, pause and resume, and what they forbid."""

from typing import Any

import httpx
import pytest

from penstock.dev.stack import Stack
from tests.chaos.receiver import Receiver
from tests.e2e.histories import history, of_type
from tests.e2e.runs import (
    Document,
    call,
    drawn,
    edge,
    ended,
    executed,
    made,
    node,
    shown,
    started,
    step,
    told_of,
)
from tests.e2e.waiting import until

NOTICED_WITHIN_S = 10.0
QUIET = "StepWaiting"


def branch(source: str, target: str, name: str) -> Document:
    """An edge that is taken when its source chose a branch."""
    return {"from": source, "to": target, "condition": {"type": "BRANCH", "branch": name}}


async def told(api: httpx.AsyncClient, run_id: str, path: str, body: Any = None) -> Document:
    """What a run answers to a control, which it obeys."""
    answered = await api.post(f"/runs/{run_id}/{path}", json=body or {})
    assert answered.status_code == httpx.codes.ACCEPTED, answered.text
    document: Document = answered.json()
    return document


async def refused(
    api: httpx.AsyncClient, run_id: str, path: str, body: Any = None
) -> tuple[int, str]:
    """The status and the code with which a run refuses a control."""
    answered = await api.post(f"/runs/{run_id}/{path}", json=body or {})
    return answered.status_code, answered.json()["code"]


async def waits(api: httpx.AsyncClient, run_id: str, step_id: str) -> None:
    """Until a step waits."""

    async def found() -> bool:
        events = await history(api, run_id)
        return QUIET in told_of(events, step_id)

    await until(found, within_s=NOTICED_WITHIN_S, what=f"{step_id} waits")


# --- signals -------------------------------------------------------------------------------------

HEARING = drawn(
    "hearing",
    [node("hear", "wait_for_signal", config={"name": "paid"}), node("after")],
    edge("hear", "after"),
)


async def test_a_signal_ends_the_wait_for_it(api: httpx.AsyncClient) -> None:
    run_id = await started(api, await made(api, HEARING))
    await waits(api, run_id, "hear")
    await told(api, run_id, "signals/other", {"payload": 1})
    await told(api, run_id, "signals/paid", {"payload": {"amount": 3}})
    run = await ended(api, run_id)
    assert run["status"] == "succeeded", run["error"]
    assert run["output"] == {"amount": 3}


async def test_a_signal_that_comes_before_the_wait_is_not_lost(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    nodes = [call("before", f"{receiver.url}/held/x/before"), *HEARING["nodes"]]
    definition = drawn("early", nodes, edge("before", "hear"), edge("hear", "after"))
    run_id = await started(api, await made(api, definition))
    await told(api, run_id, "signals/paid", {"payload": "early"})
    receiver.let_go.set()
    assert (await ended(api, run_id))["output"] == "early"


async def test_a_repeated_signal_is_one_signal_and_a_large_one_arrives(
    api: httpx.AsyncClient,
) -> None:
    nodes = [
        node("first", "wait_for_signal", config={"name": "s"}),
        node("second", "wait_for_signal", config={"name": "s"}),
    ]
    definition = drawn("two signals", nodes, edge("first", "second"))
    run_id = await started(api, await made(api, definition))
    for time in ("first", "again"):
        answered = await api.post(
            f"/runs/{run_id}/signals/s", json={"payload": 1}, headers={"Idempotency-Key": "one"}
        )
        assert answered.status_code == httpx.codes.ACCEPTED
        assert ("Idempotent-Replayed" in answered.headers) == (time == "again")
    text = "x" * 100_000
    await told(api, run_id, "signals/s", {"payload": text})
    run = await ended(api, run_id)
    assert step(run, "first")["output"] == 1
    assert run["output"] == text


async def test_a_wait_that_lasts_too_long_takes_its_branch(api: httpx.AsyncClient) -> None:
    config = {"name": "never", "timeoutMs": 300, "onTimeout": "late"}
    nodes = [node("hear", "wait_for_signal", config=config), node("late"), node("heard")]
    edges = [branch("hear", "late", "late"), branch("hear", "heard", "received")]
    run = await executed(api, drawn("late", nodes, *edges))
    assert run["status"] == "succeeded", run["error"]
    assert step(run, "hear")["branch"] == "late"
    assert step(run, "heard")["status"] == "skipped"


# --- approvals -----------------------------------------------------------------------------------


def asking(**config: Any) -> Document:
    """A definition that asks for an approval."""
    nodes = [node("ask", "approval", config=config), node("yes"), node("no")]
    return drawn("asking", nodes, branch("ask", "yes", "approve"), branch("ask", "no", "reject"))


@pytest.mark.parametrize(("decision", "taken"), [("approve", "yes"), ("reject", "no")])
async def test_a_decision_takes_its_branch(
    api: httpx.AsyncClient, decision: str, taken: str
) -> None:
    run_id = await started(api, await made(api, asking()))
    await waits(api, run_id, "ask")
    await told(api, run_id, "approvals/ask", {"decision": decision, "comment": "so be it"})
    run = await ended(api, run_id)
    assert run["status"] == "succeeded", run["error"]
    output = step(run, "ask")["output"]
    assert (output["decision"], output["comment"]) == (decision, "so be it")
    assert output["decidedBy"].startswith("key:")
    assert output["decidedAt"].endswith("Z")
    assert step(run, taken)["status"] == "succeeded"


async def test_a_rejection_without_a_branch_fails_the_run(api: httpx.AsyncClient) -> None:
    definition = drawn("strict", [node("ask", "approval"), node("go")], edge("ask", "go"))
    run_id = await started(api, await made(api, definition))
    await waits(api, run_id, "ask")
    await told(api, run_id, "approvals/ask", {"decision": "reject"})
    run = await ended(api, run_id)
    assert run["status"] == "failed"
    assert run["error"]["code"] == "REJECTED"


async def test_an_approval_that_nobody_gives_takes_the_branch_of_its_time_limit(
    api: httpx.AsyncClient,
) -> None:
    run = await executed(api, asking(timeoutMs=300, onTimeout="reject"))
    assert step(run, "ask")["branch"] == "reject"
    assert step(run, "no")["status"] == "succeeded"


async def test_an_approval_is_decided_once(api: httpx.AsyncClient) -> None:
    nodes = [node("ask", "approval"), node("hold", "wait_for_signal", config={"name": "end"})]
    definition = drawn("once", nodes, edge("ask", "hold"))
    run_id = await started(api, await made(api, definition))
    assert await refused(api, run_id, "approvals/hold", {"decision": "approve"}) == (
        404,
        "NOT_FOUND",
    )
    await told(api, run_id, "approvals/ask", {"decision": "approve"})
    await told(api, run_id, "approvals/ask", {"decision": "approve"})
    assert await refused(api, run_id, "approvals/ask", {"decision": "reject"}) == (
        409,
        "ALREADY_DECIDED",
    )
    await told(api, run_id, "signals/end")
    await ended(api, run_id)
    assert await refused(api, run_id, "signals/end") == (409, "RUN_FINISHED")
    assert await refused(api, run_id, "approvals/ask", {"decision": "approve"}) == (
        409,
        "RUN_FINISHED",
    )


# --- pause ---------------------------------------------------------------------------------------


async def test_a_paused_run_starts_nothing_until_it_is_resumed(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    nodes = [call("first", f"{receiver.url}/held/x/first"), node("second")]
    run_id = await started(api, await made(api, drawn("paused", nodes, edge("first", "second"))))
    assert await refused(api, run_id, "resume") == (409, "NOT_PAUSED")
    assert (await told(api, run_id, "pause", {"reason": "lunch"}))["status"] == "paused"
    await told(api, run_id, "pause")
    receiver.let_go.set()

    async def settled() -> bool:
        status: str = step(await shown(api, run_id), "first")["status"]
        return status == "succeeded"

    await until(settled, within_s=NOTICED_WITHIN_S, what="the first step's end")
    run = await shown(api, run_id)
    assert run["status"] == "paused"
    assert step(run, "second")["status"] == "pending"
    await told(api, run_id, "resume")
    assert (await ended(api, run_id))["status"] == "succeeded"
    events = await history(api, run_id)
    assert [each["data"].get("reason", "") for each in of_type(events, "RunPaused")] == ["lunch"]
    assert await refused(api, run_id, "pause") == (409, "RUN_FINISHED")


async def test_controls_of_a_run_that_is_not_there_are_404(api: httpx.AsyncClient) -> None:
    nowhere = "018f0000-0000-7000-8000-000000000000"
    for path in ("pause", "resume", "signals/x", "approvals/x"):
        assert await refused(api, nowhere, path) == (404, "NOT_FOUND")


# --- steps that are given up ---------------------------------------------------------------------


async def test_what_a_join_needs_no_more_is_stopped_where_it_runs(
    api: httpx.AsyncClient, stack: Stack, receiver: Receiver
) -> None:
    join = {"atLeast": 1, "cancelOthers": True}
    nodes = [
        call("slow", f"{receiver.url}/held/x/slow"),
        node("quick", "delay", config={"durationMs": 700}),
        node("first", join=join),
        node("long", "wait_for_signal", config={"name": "end"}),
    ]
    edges = [edge("slow", "first"), edge("quick", "first"), edge("first", "long")]
    before = await stopped(stack)
    run_id = await started(api, await made(api, drawn("race", nodes, *edges)))

    async def found() -> bool:
        return await stopped(stack) > before

    await until(found, within_s=NOTICED_WITHIN_S, what="an executor that stops the step")
    assert (await shown(api, run_id))["status"] in {"running", "waiting"}
    await told(api, run_id, "signals/end")
    run = await ended(api, run_id)
    assert run["status"] == "succeeded", run["error"]
    assert step(run, "slow")["status"] == "cancelled"


async def stopped(stack: Stack) -> float:
    """How many attempts the executors have stopped so far, because they were told to."""
    total = 0.0
    async with httpx.AsyncClient(trust_env=False) as browser:
        for name, url in stack.metrics_urls.items():
            if name.startswith("executor"):
                lines = (await browser.get(url)).text.splitlines()
                total += sum(float(line.split()[-1]) for line in lines if is_stop(line))
    return total


def is_stop(line: str) -> bool:
    """Whether a line of the metrics counts attempts that were stopped."""
    return line.startswith("penstock_executor_steps_total") and 'status="cancelled"' in line
