"""Runs whose history has snapshots: what clients see of them, and where forks of them begin."""

from typing import Any

import pytest
from httpx import AsyncClient

from penstock.api import folding
from penstock.scheduler import snapshots
from tests.integration.api.houses import House
from tests.integration.api.test_runs import drawn, ended

ITEMS = 60
EVERY = 30


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "EVERY", EVERY)


def looping(items: int) -> dict[str, Any]:
    """A loop of two steps, and one step behind it."""
    body = {
        "nodes": [{"id": "a", "type": "noop"}, {"id": "b", "type": "noop"}],
        "edges": [{"from": "a", "to": "b"}],
    }
    config = {"items": list(range(items)), "mode": "sequential", "body": body}
    return {
        "name": "long",
        "nodes": [{"id": "loop", "type": "loop", "config": config}, {"id": "end", "type": "noop"}],
        "edges": [{"from": "loop", "to": "end"}],
    }


async def finished(client: AsyncClient) -> dict[str, Any]:
    """A run that has snapshots, at its end."""
    workflow = await drawn(client, looping(ITEMS))
    run_id = (await client.post(f"/api/workflows/{workflow}/execute", json={})).json()["runId"]
    run = await ended(client, run_id)
    assert run["status"] == "succeeded"
    return run


async def history(client: AsyncClient, run_id: str) -> list[dict[str, Any]]:
    """All events of a run."""
    found: list[dict[str, Any]] = []
    after = "0"
    while page := (await client.get(f"/api/runs/{run_id}/events?limit=200&after={after}")).json()[
        "items"
    ]:
        found += page
        after = page[-1]["position"]
    return found


async def test_snapshots_are_events_that_show_no_state(house: House, tenant: AsyncClient) -> None:
    run = await finished(tenant)
    events = await history(tenant, run["id"])
    taken = [event for event in events if event["type"] == "RunSnapshotTaken"]
    assert len(taken) > 2
    assert {frozenset(event["data"]["state"]) for event in taken} == {frozenset({"size", "sha256"})}
    assert all(event["actor"] == "scheduler:snapshots" for event in taken)
    succeeded = [e for e in events if e["type"] == "StepSucceeded" and e["data"]["nodeId"] == "b"]
    assert len(succeeded) == ITEMS


async def test_a_fork_of_any_place_is_what_the_whole_history_makes_of_it(
    house: House, tenant: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await finished(tenant)
    events = await history(tenant, run["id"])
    wanted = [event["position"] for event in events if event["type"] == "StepSucceeded"][::15]

    async def plans(**more: Any) -> list[Any]:
        path = f"/api/runs/{run['id']}/fork?dryRun=true"
        return [(await tenant.post(path, json={"at": at} | more)).json() for at in wanted]

    quick = await plans()
    assert [plan["forkedFrom"]["position"] for plan in quick] == wanted
    monkeypatch.setattr(folding, "snapshot_before", _nowhere)
    assert await plans() == quick
    monkeypatch.undo()
    middle = {"at": wanted[len(wanted) // 2]}
    forked = await tenant.post(f"/api/runs/{run['id']}/fork", json=middle)
    assert forked.status_code == 201, forked.text
    again = await ended(tenant, forked.json()["id"])
    assert (again["status"], again["output"]) == ("succeeded", run["output"])


async def _nowhere(_source: folding.Source, _until: Any) -> int:
    return 0


async def test_a_history_that_is_too_long_is_told_as_far_as_it_can_be(
    house: House, tenant: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await finished(tenant)
    path = f"/api/runs/{run['id']}"
    whole = (await tenant.get(f"{path}/explain")).json()
    assert whole["isWhole"]
    assert sum(total["ms"] for total in whole["totals"]) == whole["totalMs"]
    monkeypatch.setattr(folding, "FOLDED_MAX", 100)
    told = (await tenant.get(f"{path}/explain")).json()
    assert (told["isWhole"], told["status"], told["totals"], told["timeline"]) == (
        False, "succeeded", [], []
    )  # fmt: skip
    refused = await tenant.get(f"{path}/state")
    assert (refused.status_code, refused.json()["code"]) == (409, "HISTORY_TOO_LONG")
    early = (await tenant.get(f"{path}/events?limit=5")).json()["items"][-1]["position"]
    assert (await tenant.get(f"{path}/state", params={"at": early})).status_code == 200
