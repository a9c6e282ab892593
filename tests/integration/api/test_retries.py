"""Runs that begin where others stood: many retried at once, and the variables that they read."""

from typing import Any

import pytest
from httpx import AsyncClient

from penstock.api import retrying
from tests.integration.api.houses import House, chain, waiting
from tests.integration.api.test_problems import is_problem
from tests.integration.api.test_runs import drawn, ended
from tests.integration.api.test_variables import made

FAILS: dict[str, Any] = {
    "name": "fails",
    "nodes": [
        {"id": "first", "type": "noop"},
        {"id": "never", "type": "transform", "config": {"output": "{{ input.nope }}"}},
    ],
    "edges": [{"from": "first", "to": "never"}],
}
READS: dict[str, Any] = {
    "name": "reads",
    "nodes": [
        {"id": "known", "type": "transform", "config": {"output": "{{ vars.region }}"}},
        {"id": "late", "type": "transform", "config": {"output": "{{ vars.late }}"}},
    ],
    "edges": [{"from": "known", "to": "late"}],
    "output": {"known": "{{ nodes.known.output }}", "late": "{{ nodes.late.output }}"},
}


async def run_of(client: AsyncClient, workflow: str, **more: Any) -> str:
    """A run that has ended."""
    answer = await client.post(f"/api/workflows/{workflow}/execute", json=more)
    run_id: str = answer.json()["runId"]
    await ended(client, run_id)
    return run_id


async def retried(
    client: AsyncClient, key: str | None = None, cursor: str | None = None, **wanted: Any
) -> dict[str, Any]:
    """What the answer to a bulk retry says."""
    body = {"filter": wanted, "action": "retry"} | ({"cursor": cursor} if cursor else {})
    headers = {"Idempotency-Key": key} if key else {}
    answer = await client.post("/api/runs/bulk", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def retries(client: AsyncClient) -> list[dict[str, Any]]:
    """All retries there are, once they have ended."""
    found = (await client.get("/api/runs?trigger=retry&limit=200")).json()["items"]
    return [await ended(client, run["id"]) for run in found]


async def test_what_failed_is_retried_once_and_nothing_else(tenant: AsyncClient) -> None:
    fails, fine = await drawn(tenant, FAILS), await drawn(tenant, chain("a"))
    failed = {await run_of(tenant, fails) for _ in range(3)}
    await run_of(tenant, fine)
    live = (await tenant.post(f"/api/workflows/{await drawn(tenant, waiting())}/execute")).json()
    assert await retried(tenant, status="succeeded") == {"matched": 0, "skipped": 0}
    assert await retried(tenant, workflowId="nope") == {"matched": 0, "skipped": 0}
    assert await retried(tenant, "k") == {"matched": 3, "skipped": 0}
    runs = await retries(tenant)
    assert {run["forkedFrom"]["runId"] for run in runs} == failed
    assert await retried(tenant, "k") == {"matched": 3, "skipped": 0}, "the answer it had"
    assert len(await retries(tenant)) == 3
    other = await tenant.post(
        "/api/runs/bulk",
        json={"filter": {"tag": "x"}, "action": "retry"},
        headers={"Idempotency-Key": "k"},
    )
    is_problem(other, 409, "IDEMPOTENCY_CONFLICT")
    again = await retried(tenant)
    assert again == {"matched": 3, "skipped": 3}, "retries that failed, and not what they retried"
    assert len(await retries(tenant)) == 6
    await tenant.post(f"/api/runs/{live['runId']}/cancel")
    await ended(tenant, live["runId"])
    assert (await retried(tenant, status="cancelled")) == {"matched": 1, "skipped": 0}


async def test_it_goes_on_where_it_left_off(
    tenant: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "FOLDS_MAX", 2)
    monkeypatch.setattr(retrying, "LOOKED_AT_MAX", 2)
    fails = await drawn(tenant, FAILS)
    failed = {await run_of(tenant, fails) for _ in range(3)}
    first = await retried(tenant, "k", status="failed")
    cursor = first.pop("nextCursor")
    assert first == {"matched": 2, "skipped": 0, "more": True}
    assert await retried(tenant, "k", cursor, status="failed") == {"matched": 1, "skipped": 0}
    assert {run["forkedFrom"]["runId"] for run in await retries(tenant)} == failed
    for stranger in ("x", cursor):
        body = {"filter": {"tag": "x"}, "action": "retry", "cursor": stranger}
        problem = is_problem(
            await tenant.post("/api/runs/bulk", json=body), 400, "VALIDATION_ERROR"
        )
        assert [each["pointer"] for each in problem["details"]] == ["/cursor"]


async def test_nobody_retries_another_tenants_runs(house: House, tenant: AsyncClient) -> None:
    await run_of(tenant, await drawn(tenant, FAILS))
    other = (await house.admin("POST", "/api/tenants", json={"name": "other"})).json()
    async with house.caller(other["adminApiKey"]) as stranger:
        assert await retried(stranger) == {"matched": 0, "skipped": 0}
    key = (await tenant.post("/api/api-keys", json={"name": "k", "role": "viewer"})).json()["key"]
    async with house.caller(key) as viewer:
        answer = await viewer.post("/api/runs/bulk", json={"filter": {}, "action": "retry"})
        is_problem(answer, 403, "FORBIDDEN")


async def test_a_new_run_reads_what_was_recorded_and_anew_what_was_not(
    tenant: AsyncClient,
) -> None:
    await made(tenant, "region", "eu")
    run_id = await run_of(tenant, await drawn(tenant, READS))
    assert (await ended(tenant, run_id))["status"] == "failed", "there is no variable `late`"
    await made(tenant, "late", 1)
    await tenant.put("/api/variables/region", json={"value": "us"})
    again = (await tenant.post(f"/api/runs/{run_id}/retry")).json()["id"]
    assert (await ended(tenant, again))["output"] == {"known": "eu", "late": 1}
    await tenant.put("/api/variables/late", json={"value": 2})
    whole = (await tenant.post(f"/api/runs/{again}/fork", json={"fromStep": "known"})).json()["id"]
    assert (await ended(tenant, whole))["output"] == {"known": "eu", "late": 1}
    await made(tenant, "more", 7)
    changed = {**READS, "output": ["{{ vars.region }}", "{{ vars.more }}"]}
    forked = await tenant.post(f"/api/runs/{again}/fork", json={"definition": changed})
    assert (await ended(tenant, forked.json()["id"]))["output"] == ["eu", 7]
