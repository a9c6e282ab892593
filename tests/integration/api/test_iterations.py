"""Runs with loops and waits as clients see them: steps in order, statuses, what each worked on."""

import asyncio
from typing import Any

from httpx import AsyncClient

from tests.integration.api.test_runs import drawn, ended

BODY = {
    "nodes": [
        {"id": "x", "type": "transform", "config": {"output": "{{ item.n }}"}},
        {"id": "y", "type": "noop"},
    ],
    "edges": [{"from": "x", "to": "y"}],
}
LOOP: dict[str, Any] = {
    "name": "round and round",
    "nodes": [
        {"id": "each", "type": "loop", "config": {"items": "{{ input.list }}", "body": BODY}},
        {"id": "after", "type": "noop"},
    ],
    "edges": [{"from": "each", "to": "after"}],
}
ITEMS = [{"n": n} for n in range(12)]
PATHS = ["each", *(f"each.{n}.{inner}" for n in range(12) for inner in "xy"), "after"]


async def test_iterations_stand_behind_their_loop_in_the_order_of_their_numbers(
    tenant: AsyncClient,
) -> None:
    workflow = await drawn(tenant, LOOP)
    path = f"/api/executions/{workflow}/execute"
    run = (await tenant.post(path, json={"list": ITEMS})).json()
    assert (run["status"], run["output"]) == ("succeeded", list(range(12)))
    assert run["progress"] == {
        "total": 26, "succeeded": 26, "failed": 0, "skipped": 0, "running": 0
    }  # fmt: skip
    assert [step["id"] for step in run["steps"]] == PATHS
    last = run["steps"][-3]
    assert (last["nodeId"], last["input"], last["output"]) == ("x", {"n": 11}, 11)
    paged: list[str] = []
    cursor = None
    for _ in range(len(PATHS)):
        asked = {"limit": "5"} | ({"cursor": cursor} if cursor else {})
        page = (await tenant.get(f"/api/runs/{run['id']}/steps", params=asked)).json()
        paged += [step["id"] for step in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert paged == PATHS


async def test_a_run_waits_where_all_of_its_steps_do(tenant: AsyncClient) -> None:
    body = {"nodes": [{"id": "ask", "type": "approval"}], "edges": []}
    config = {"items": [1, 2], "body": body, "mode": "parallel", "maxConcurrency": 2}
    asking = {"id": "each", "type": "loop", "config": config}
    workflow = await drawn(tenant, {"name": "asking", "nodes": [asking], "edges": []})
    path = f"/api/executions/{workflow}/execute?timeoutMs=100"
    run_id = (await tenant.post(path, json={})).json()["runId"]
    found: dict[str, Any] = {}
    async with asyncio.timeout(20):
        while found.get("status") != "waiting":
            found = (await tenant.get(f"/api/runs/{run_id}")).json()
            await asyncio.sleep(0.05)
    statuses = {step["id"]: step["status"] for step in found["steps"]}
    assert statuses == {"each": "running", "each.0.ask": "waiting", "each.1.ask": "waiting"}
    listed = (await tenant.get(f"/api/runs?status=waiting&workflowId={workflow}")).json()
    assert [each["id"] for each in listed["items"]] == [run_id]
    await tenant.post(f"/api/runs/{run_id}/cancel")
    assert (await ended(tenant, run_id))["status"] == "cancelled"
