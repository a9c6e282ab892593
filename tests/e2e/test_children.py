"""Workflows that run workflows: what goes down to a child, and what comes back from it."""

import os
import signal
from typing import Any

import httpx
import pytest

from penstock.dev.stack import Stack
from tests.chaos.receiver import Receiver
from tests.e2e.histories import history
from tests.e2e.runs import (
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

NOTICED_WITHIN_S = 15.0
DEPTH_MAX = 16


def child(node_id: str, workflow: str, **members: Any) -> Document:
    """A node that runs another workflow."""
    version = {"version": members.pop("version")} if "version" in members else {}
    return node(node_id, "sub_workflow", config={"workflowId": workflow, **version}, **members)


async def child_of(api: httpx.AsyncClient, workflow_id: str) -> str:
    """The one run of a workflow, once there is one."""

    async def found() -> str | None:
        runs = (await api.get(f"/workflows/{workflow_id}/runs")).json()["items"]
        return runs[0]["id"] if runs else None

    return await until(found, within_s=NOTICED_WITHIN_S, what=f"a run of {workflow_id}")


def doubling(name: str) -> Document:
    """A workflow that doubles a number."""
    doubled = {"output": {"n": "{{ input.n * 2 }}"}}
    return drawn(name, [node("double", "transform", config=doubled)])


# --- success -------------------------------------------------------------------------------------


async def test_a_child_takes_the_steps_input_and_its_output_becomes_the_steps(
    api: httpx.AsyncClient,
) -> None:
    inner = await made(api, doubling("doubling"))
    nodes = [
        node("three", "transform", config={"output": {"n": 3}}),
        child("first", inner),
        child("second", inner),
    ]
    definition = drawn("twice", nodes, edge("three", "first"), edge("first", "second"))
    run = await executed(api, definition)
    assert run["status"] == "succeeded", run["error"]
    assert run["output"] == {"n": 12}
    assert told_of(await history(api, run["id"]), "first") == [
        "StepReady",
        "StepDispatched",
        "StepWaiting",
        "StepSucceeded",
    ]
    runs = (await api.get(f"/workflows/{inner}/runs")).json()["items"]
    assert {each["parentRunId"] for each in runs} == {run["id"]}
    assert {each["trigger"] for each in runs} == {"sub_workflow"}


async def test_a_child_is_found_by_its_key_and_runs_the_version_that_is_named(
    api: httpx.AsyncClient,
) -> None:
    said = drawn("versioned", [node("say", "transform", config={"output": "one"})])
    workflow_id = await made(api, said | {"id": "versioned-child"})
    said["nodes"][0]["config"] = {"output": "two"}
    answered = await api.put(f"/workflows/{workflow_id}", json={"definition": said})
    assert answered.status_code == httpx.codes.OK, answered.text
    nodes = [child("pinned", "versioned-child", version=1), child("newest", "versioned-child")]
    run = await executed(api, drawn("both versions", nodes))
    assert run["output"] == {"pinned": "one", "newest": "two"}


@pytest.mark.parametrize("size", [5_000, 100_000])
async def test_a_child_with_several_sinks_says_them_all_and_large_values_go_both_ways(
    api: httpx.AsyncClient, size: int
) -> None:
    nodes = [node("a"), node("b")]
    inner = await made(api, drawn("two sinks", nodes))
    text = "x" * size
    run = await executed(
        api,
        drawn("around", [child("inner", inner), node("last")], edge("inner", "last")),
        {"text": text},
    )
    assert run["output"] == {"a": {"text": text}, "b": {"text": text}}


async def test_a_loop_runs_a_workflow_for_each_of_its_items(api: httpx.AsyncClient) -> None:
    said = {"output": {"n": "{{ input }}"}}
    inner = await made(api, drawn("echo", [node("say", "transform", config=said)]))
    loop = node("each", "loop", config={"items": [1, 2, 3], "body": {"workflowId": inner}})
    run = await executed(api, drawn("loop of children", [loop]))
    assert run["status"] == "succeeded", run["error"]
    assert run["output"] == [{"n": 1}, {"n": 2}, {"n": 3}]


# --- failure -------------------------------------------------------------------------------------


async def test_a_childs_failure_is_its_steps_and_can_be_handled(api: httpx.AsyncClient) -> None:
    failing = node("fails", "transform", config={"output": "{{ input.missing.member }}"})
    inner = await made(api, drawn("failing", [failing]))
    nodes = [child("inner", inner), node("rescue", "error_handler")]
    run = await executed(api, drawn("handled", nodes, edge("inner", "rescue", "ON_FAILURE")))
    assert run["status"] == "succeeded", run["error"]
    error = step(run, "inner")["error"]
    assert error["code"] == "CHILD_FAILED"
    assert error["details"]["status"] == "failed"
    found = (await api.get(f"/runs/{error['details']['runId']}")).json()
    assert found["error"]["stepId"] == "fails"


@pytest.mark.parametrize("missing", ["no-such-workflow", "draft"])
async def test_a_child_that_cannot_be_is_a_failed_step(
    api: httpx.AsyncClient, missing: str
) -> None:
    if missing == "draft":
        answered = await api.post("/workflows", json={"name": "without a version"})
        missing = answered.json()["id"]
    run = await executed(api, drawn("hopeless", [child("inner", missing)]))
    assert run["status"] == "failed"
    assert run["error"]["code"] == "CHILD_NOT_STARTED"


async def test_an_input_that_the_child_does_not_take_is_a_failed_step(
    api: httpx.AsyncClient,
) -> None:
    schema = {"type": "object", "required": ["orderId"]}
    inner = await made(api, drawn("strict", [node("a")], inputSchema=schema))
    run = await executed(api, drawn("careless", [child("inner", inner)]), {"order": 1})
    assert run["error"]["code"] == "CHILD_NOT_STARTED"
    assert "orderId" in run["error"]["message"]


async def test_workflows_that_run_themselves_come_to_an_end(api: httpx.AsyncClient) -> None:
    endless = drawn("endless", [child("again", "endless-one")], id="endless-one")
    run = await executed(api, endless)
    assert run["status"] == "failed"
    runs = (await api.get(f"/workflows/{'endless-one'}/runs?limit=100")).json()["items"]
    assert len(runs) == DEPTH_MAX + 1
    assert sum(each["error"]["code"] == "DEPTH_EXCEEDED" for each in runs) == 1


# --- cancel --------------------------------------------------------------------------------------


async def test_a_cancel_goes_down_to_the_child_and_its_running_step(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    inner = await made(api, drawn("held", [call("hold", f"{receiver.url}/held/x/hold")]))
    run_id = await started(api, await made(api, drawn("outer", [child("inner", inner)])))
    child_id = await child_of(api, inner)
    answered = await api.post(f"/runs/{run_id}/cancel")
    assert answered.status_code == httpx.codes.ACCEPTED
    run = await ended(api, run_id)
    assert run["status"] == "cancelled"
    assert step(run, "inner")["status"] == "cancelled"
    assert (await ended(api, child_id))["status"] == "cancelled"


async def test_a_child_that_is_cancelled_fails_the_step_that_waits_for_it(
    api: httpx.AsyncClient,
) -> None:
    wait = node("wait", "delay", config={"durationMs": 60_000})
    inner = await made(api, drawn("waits", [wait]))
    run_id = await started(api, await made(api, drawn("outer", [child("inner", inner)])))
    child_id = await child_of(api, inner)
    assert (await api.post(f"/runs/{child_id}/cancel")).status_code == httpx.codes.ACCEPTED
    run = await ended(api, run_id)
    assert run["status"] == "failed"
    assert run["error"]["code"] == "CHILD_CANCELLED"


async def test_a_step_over_its_time_limit_takes_its_child_along(api: httpx.AsyncClient) -> None:
    wait = node("wait", "delay", config={"durationMs": 60_000})
    inner = await made(api, drawn("slow", [wait]))
    outer = drawn("impatient", [child("inner", inner, timeoutMs=1_000)])
    run = await executed(api, outer)
    assert run["error"]["code"] == "TIMEOUT"
    assert (await ended(api, await child_of(api, inner)))["status"] == "cancelled"


# --- faults --------------------------------------------------------------------------------------


async def test_a_scheduler_that_dies_forgets_no_child(
    api: httpx.AsyncClient, stack: Stack, receiver: Receiver
) -> None:
    inner = await made(api, drawn("held", [call("hold", f"{receiver.url}/held/x/hold")]))
    run_id = await started(api, await made(api, drawn("outer", [child("inner", inner)])))
    await child_of(api, inner)
    os.kill(stack.pid("scheduler-0"), signal.SIGKILL)
    receiver.let_go.set()
    run = await ended(api, run_id)
    assert run["status"] == "succeeded", run["error"]
