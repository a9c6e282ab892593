"""One command to all runs that match."""

from typing import Any

import pytest
from httpx import AsyncClient

from penstock.api.routes import bulk
from tests.integration.api.houses import House, waiting
from tests.integration.api.test_problems import is_problem
from tests.integration.api.test_runs import drawn, ended


async def begun(client: AsyncClient, workflow: str, **more: Any) -> str:
    answer = await client.post(f"/api/workflows/{workflow}/execute", json=more)
    assert "x-log-position" in answer.headers
    run_id: str = answer.json()["runId"]
    return run_id


async def cancelled(client: AsyncClient, **wanted: Any) -> dict[str, Any]:
    """What the answer to a bulk cancel says."""
    answer = await client.post("/api/runs/bulk", json={"filter": wanted, "action": "cancel"})
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_all_that_match_are_cancelled_and_no_others(tenant: AsyncClient) -> None:
    one = await drawn(tenant, {**waiting(), "name": "one"})
    other = await drawn(tenant, {**waiting(), "name": "other"})
    tagged = [await begun(tenant, one, tags=["x"]) for _ in range(2)]
    rest = [await begun(tenant, one), await begun(tenant, other)]
    for nothing in (
        {"status": "succeeded"}, {"tag": "y"}, {"trigger": "webhook"}, {"workflowId": "nope"},
        {"to": "2000-01-01T00:00:00Z"}, {"from": "2999-01-01T00:00:00Z"},
    ):  # fmt: skip
        assert await cancelled(tenant, **nothing) == {"matched": 0}
    assert await cancelled(tenant, tag="x", workflowId="one") == {"matched": 2}
    for run_id in tagged:
        run = await ended(tenant, run_id)
        assert (run["status"], run["error"]["code"]) == ("cancelled", "CANCELLED")
    for run_id in rest:
        assert (await tenant.get(f"/api/runs/{run_id}")).json()["status"] != "cancelled"
    assert await cancelled(tenant, tag="x") == {"matched": 0}
    assert await cancelled(tenant) == {"matched": 2}
    for run_id in rest:
        assert (await ended(tenant, run_id))["status"] == "cancelled"
    first = (await tenant.get(f"/api/runs/{tagged[0]}/events")).json()["items"]
    assert sum(event["type"] == "RunCancelRequested" for event in first) == 1


async def test_it_goes_through_all_pages_and_stops_at_its_bound(
    tenant: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)
    monkeypatch.setattr(bulk, "MATCHED_MAX", 3)
    workflow = await drawn(tenant, waiting())
    runs = [await begun(tenant, workflow) for _ in range(4)]
    assert await cancelled(tenant) == {"matched": 3, "more": True}
    oldest, *others = runs
    for run_id in others:
        assert (await ended(tenant, run_id))["status"] == "cancelled"
    assert await cancelled(tenant) == {"matched": 1}
    assert (await ended(tenant, oldest))["status"] == "cancelled"


async def test_nobody_cancels_another_tenants_runs(house: House, tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, waiting())
    run_id = await begun(tenant, workflow)
    other = (await house.admin("POST", "/api/tenants", json={"name": "other"})).json()
    async with house.caller(other["adminApiKey"]) as stranger:
        assert await cancelled(stranger) == {"matched": 0}
        assert await cancelled(stranger, workflowId=workflow) == {"matched": 0}
    made = await tenant.post("/api/api-keys", json={"name": "k", "role": "viewer"})
    async with house.caller(made.json()["key"]) as viewer:
        answer = await viewer.post("/api/runs/bulk", json={"filter": {}, "action": "cancel"})
        is_problem(answer, 403, "FORBIDDEN")
    assert (await tenant.post(f"/api/runs/{run_id}/cancel")).status_code == 202


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"action": "cancel"}, "/filter"),
        ({"filter": {}}, "/action"),
        ({"filter": {}, "action": "delete"}, "/action"),
        ({"filter": {"status": "gone"}, "action": "cancel"}, "/filter/status"),
        ({"filter": {"colour": "red"}, "action": "cancel"}, "/filter/colour"),
        ({"filter": {"from": "yesterday"}, "action": "cancel"}, "/filter/from"),
    ],
)
async def test_a_bad_request_names_what_is_bad(
    tenant: AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    answer = await tenant.post("/api/runs/bulk", json=body)
    problem = is_problem(answer, 400, "VALIDATION_ERROR")
    assert [each["pointer"] for each in problem["details"]] == [pointer]
