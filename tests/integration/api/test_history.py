"""A run's events: in pages, and as a stream that can be resumed anywhere."""

import asyncio
import json
from typing import Any

import pytest
from httpx import AsyncClient, ConnectError

from penstock.api.app import Api
from penstock.dev.ports import free_port
from tests.integration.api.houses import House, chain, waiting
from tests.integration.api.test_runs import drawn


async def streamed(
    client: AsyncClient, run_id: str, **headers: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """The events of a run's stream until it ends, and the kinds of all its frames."""
    events, kinds = [], []
    async with client.stream("GET", f"/api/runs/{run_id}/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = "".join([part async for part in answer.aiter_text()])
    for block in text.strip().split("\n\n"):
        members = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" not in members:
            continue
        kinds.append(members["event"])
        if members["event"] != "end":
            event = json.loads(members["data"])
            assert (event["position"], event["type"]) == (members["id"], members["event"])
            events.append(event)
    return events, kinds


async def test_a_history_is_the_same_in_pages_and_streamed(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, chain("a", "b", "c"))
    run = (await tenant.post(f"/api/executions/{workflow}/execute", json={"n": 1})).json()
    path = f"/api/runs/{run['id']}/events"
    whole = (await tenant.get(path)).json()
    types = [each["type"] for each in whole["items"]]
    assert (types[0], types[-1]) == ("RunStarted", "RunSucceeded")
    assert whole["nextCursor"] == whole["items"][-1]["position"]
    after, paged = None, []
    while True:
        page = await tenant.get(path, params={"limit": 2, **({"after": after} if after else {})})
        items = page.json()["items"]
        if not items:
            assert page.json()["nextCursor"] == after
            break
        paged += items
        after = page.json()["nextCursor"]
    assert paged == whole["items"]
    events, kinds = await streamed(tenant, run["id"])
    assert events == whole["items"]
    assert kinds == [*types, "end"]
    for number in range(len(events) - 1):
        rest, _ = await streamed(tenant, run["id"], **{"Last-Event-ID": events[number]["position"]})
        assert rest == events[number + 1 :]


async def test_an_event_says_who_what_and_why(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, chain("a"))
    trace = "00-11111111111111111111111111111111-2222222222222222-01"
    headers = {"traceparent": trace, "X-Request-Id": "my-request"}
    run = (
        await tenant.post(f"/api/executions/{workflow}/execute", json={}, headers=headers)
    ).json()
    first, second, *_ = (await tenant.get(f"/api/runs/{run['id']}/events")).json()["items"]
    assert set(first) == {
        "position", "type", "version", "at", "tenantId", "subject", "actor", "causationId",
        "correlationId", "traceparent", "data",
    }  # fmt: skip
    assert first["subject"] == {"kind": "run", "id": run["id"]}
    assert first["correlationId"] == "my-request"
    assert first["actor"].startswith("key:")
    assert first["traceparent"].split("-")[1] == trace.split("-")[1]
    assert first["data"]["createdAt"].endswith("Z")
    assert (second["data"]["stepId"], second["data"]["nodeId"]) == ("a", "a")


async def test_a_stream_goes_on_live_until_the_end(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, waiting())
    run_id = (await tenant.post(f"/api/workflows/{workflow}/execute")).json()["runId"]
    streaming = asyncio.create_task(streamed(tenant, run_id))
    await asyncio.sleep(0.3)
    assert not streaming.done()
    await tenant.post(f"/api/runs/{run_id}/cancel")
    events, kinds = await asyncio.wait_for(streaming, 10)
    assert kinds[-2:] == ["RunCancelled", "end"]
    positions = [tuple(map(int, each["position"].split("."))) for each in events]
    assert positions == sorted(set(positions))


async def test_a_bad_position_is_refused(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, chain("a"))
    run = (await tenant.post(f"/api/executions/{workflow}/execute", json={})).json()
    for wrong in ("x", "r1.0", "1.x", "-1"):
        answer = await tenant.get(f"/api/runs/{run['id']}/events", params={"after": wrong})
        assert answer.status_code == 400
        answer = await tenant.get(f"/api/runs/{run['id']}/stream", headers={"Last-Event-ID": wrong})
        assert answer.status_code == 400


async def test_a_stop_ends_streams_and_lets_go_of_the_port(
    house: House, tenant: AsyncClient
) -> None:
    workflow = await drawn(tenant, waiting())
    run_id = (await tenant.post(f"/api/workflows/{workflow}/execute")).json()["runId"]
    settings = house.settings.model_copy(update={"api_port": (port := free_port())})
    other = Api(settings, house.api.parts.nc)
    await other.start()
    url = f"http://127.0.0.1:{port}"
    async with AsyncClient(base_url=url, headers=tenant.headers, timeout=20) as client:
        async with asyncio.timeout(9):
            streaming = asyncio.create_task(streamed(client, run_id))
            await asyncio.sleep(0.3)
            await other.stop()
            _, kinds = await streaming
        assert (kinds[0], kinds[-1] == "end") == ("RunStarted", False)
        with pytest.raises(ConnectError):
            await client.get("/livez")
    await tenant.post(f"/api/runs/{run_id}/cancel")
