"""The WebSocket: what is subscribed to is told, whole, in order, once, to those who may hear it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from penstock.api import sockets, standing
from penstock.api.capacity import Capacity
from penstock.api.errors import Problem
from tests.integration.api.houses import ADMIN_KEY, House, chain, waiting
from tests.integration.api.test_problems import is_problem
from tests.integration.api.test_runs import drawn

HEARD_S = 15.0


class Watcher:
    """One socket, and what was heard on it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, message: Any) -> None:
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        await self.connection.send(text)

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(HEARD_S):
            found: dict[str, Any] = json.loads(await self.connection.recv())
        return found

    async def subscribe(self, **wanted: str) -> str:
        """The position from which it is told."""
        await self.say({"subscribe": wanted})
        said = await self.hear()
        assert said["subscribed"] == wanted, said
        position: str = said["position"]
        return position

    async def events(self, until: str, runs: int = 1) -> list[dict[str, Any]]:
        """All events up to the last of so many of a type."""
        found: list[dict[str, Any]] = []
        while sum(event["type"] == until for event in found) < runs:
            found.append((await self.hear())["event"])
        return found

    async def error(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.hear())["error"]
        return found


@pytest.fixture
async def watch(house: House, tenant: AsyncClient) -> AsyncIterator[Any]:
    """Opens sockets."""
    async with AsyncExitStack() as stack:

        async def opened(path: str = "/ws", key: str | None = None, **headers: str) -> Watcher:
            token = key or tenant.headers["authorization"].removeprefix("Bearer ")
            url = f"{house.url.replace('http', 'ws', 1)}{path}"
            query = "" if headers else f"?token={token}"
            connection = await stack.enter_async_context(
                connect(url + query, additional_headers=headers)
            )
            return Watcher(connection)

        yield opened


async def history(client: AsyncClient, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/api/runs/{run_id}/events?limit=200")).json()[
        "items"
    ]
    return found


async def begun(client: AsyncClient, workflow: str) -> str:
    run_id: str = (await client.post(f"/api/workflows/{workflow}/execute")).json()["runId"]
    return run_id


@pytest.mark.parametrize("path", ["/ws", "/api/ws"])
async def test_a_run_is_told_from_its_beginning_to_its_end(
    watch: Any, tenant: AsyncClient, path: str
) -> None:
    workflow = await drawn(tenant, waiting(300))
    run_id = await begun(tenant, workflow)
    watcher = await watch(path)
    await watcher.subscribe(runId=run_id)
    events = await watcher.events("RunSucceeded")
    assert events == await history(tenant, run_id)
    again = await watch(path)
    await again.subscribe(runId=run_id)
    assert await again.events("RunSucceeded") == events
    for place, event in enumerate(events[:-1]):
        resumed = await watch(path)
        await resumed.subscribe(runId=run_id, after=event["position"])
        assert await resumed.events("RunSucceeded") == events[place + 1 :]


async def test_a_workflow_and_the_tenant_are_told_from_now_on(
    watch: Any, tenant: AsyncClient
) -> None:
    one, other = await drawn(tenant, chain("a", name="one")), await drawn(tenant, chain("b"))
    await tenant.post(f"/api/executions/{one}/execute", json={})
    of_one, of_all = await watch(), await watch()
    await of_one.subscribe(workflowId="one")
    start = await of_all.subscribe()
    first = (await tenant.post(f"/api/executions/{other}/execute", json={})).json()["id"]
    second = (await tenant.post(f"/api/executions/{one}/execute", json={})).json()["id"]
    expected = {run: await history(tenant, run) for run in (first, second)}
    assert await of_one.events("RunSucceeded") == expected[second]
    everything = await of_all.events("RunSucceeded", runs=2)
    assert everything == [*expected[first], *expected[second]]
    resumed = await watch()
    await resumed.subscribe(workflowId=one, after=start)
    assert await resumed.events("RunSucceeded") == expected[second]
    middle = everything[3]["position"]
    resumed = await watch()
    await resumed.subscribe(after=middle)
    assert await resumed.events("RunSucceeded", runs=2) == everything[4:]


async def test_a_run_that_goes_on_is_known_by_its_workflow(watch: Any, tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, waiting())
    headers = {"X-Request-Id": "the-first"}
    answer = await tenant.post(f"/api/workflows/{workflow}/execute", headers=headers)
    run_id = answer.json()["runId"]
    watcher = await watch()
    await watcher.subscribe(workflowId=workflow)
    assert (await tenant.post(f"/api/runs/{run_id}/cancel")).status_code == 202
    events = await watcher.events("RunCancelled")
    recorded = await history(tenant, run_id)
    assert events == recorded[-len(events) :]


async def test_one_socket_has_several_subscriptions(watch: Any, tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, waiting(200))
    runs = [await begun(tenant, workflow) for _ in range(3)]
    watcher = await watch()
    for run_id in runs:
        await watcher.say({"subscribe": {"runId": run_id}})
    found: dict[str, list[Any]] = {run_id: [] for run_id in runs}
    subscribed = []
    while sum(bool(e) and e[-1]["type"] == "RunSucceeded" for e in found.values()) < len(runs):
        message = await watcher.hear()
        if "event" in message:
            found[message["event"]["subject"]["id"]].append(message["event"])
        else:
            subscribed.append(message["subscribed"]["runId"])
    assert subscribed == runs
    assert found == {run_id: await history(tenant, run_id) for run_id in runs}


async def test_what_is_no_subscription_costs_an_answer_only(
    watch: Any, tenant: AsyncClient
) -> None:
    watcher = await watch()
    messages: list[Any] = [
        "", "{", "[]", "{}", "1", b"\xff", {"subscribe": []}, {"subscribe": {"run": "x"}},
        {"subscribe": {"runId": 1}}, {"unsubscribe": {}}, {"subscribe": {"after": "soon"}},
        {"subscribe": {"after": "r1.0"}}, {"subscribe": {"runId": str(uuid4()), "after": "x"}},
        {"subscribe": {"runId": str(uuid4()), "workflowId": "x"}},
    ]  # fmt: skip
    for wrong in messages:
        await watcher.say(wrong)
        error = await watcher.error()
        assert (error["code"], error["status"]) == ("VALIDATION_ERROR", 400), wrong
    for unknown in ({"runId": str(uuid4())}, {"runId": "x"}, {"workflowId": "x" * 300}):
        await watcher.say({"subscribe": unknown})
        assert (await watcher.error())["code"] == "NOT_FOUND"
    workflow = await drawn(tenant, waiting())
    run_id = await begun(tenant, workflow)
    await watcher.subscribe(runId=run_id)
    await watcher.say({"subscribe": {"runId": run_id}})
    heard = [await watcher.hear()]
    while "error" not in heard[-1]:
        heard.append(await watcher.hear())
    assert heard[-1]["error"]["code"] == "ALREADY_SUBSCRIBED"
    await tenant.post(f"/api/runs/{run_id}/cancel")
    await watcher.events("RunCancelled")


async def test_nothing_is_told_of_another_tenant(
    house: House, watch: Any, tenant: AsyncClient
) -> None:
    other = (await house.admin("POST", "/api/tenants", json={"name": "other"})).json()
    stranger = await watch(key=other["adminApiKey"])
    workflow = await drawn(tenant, chain("a", name="mine"))
    run = (await tenant.post(f"/api/executions/{workflow}/execute", json={})).json()
    for wanted in ({"runId": run["id"]}, {"workflowId": "mine"}, {"workflowId": workflow}):
        await stranger.say({"subscribe": wanted})
        assert (await stranger.error())["code"] == "NOT_FOUND"
    await stranger.subscribe()
    await tenant.post(f"/api/executions/{workflow}/execute", json={})
    async with house.caller(other["adminApiKey"]) as client:
        own = await drawn(client, chain("b"))
        await client.post(f"/api/executions/{own}/execute", json={})
    events = await stranger.events("RunSucceeded")
    assert {event["tenantId"] for event in events} == {other["id"]}


async def refused(watch: Any, *args: Any, **more: Any) -> Response:
    with pytest.raises(InvalidStatus) as caught:
        await watch(*args, **more)
    answer = caught.value.response
    return Response(
        answer.status_code, headers=dict(answer.headers.raw_items()), content=bytes(answer.body)
    )


async def test_a_handshake_is_refused_with_a_problem(
    house: House, watch: Any, tenant: AsyncClient
) -> None:
    is_problem(await refused(watch, key="nonsense"), 401, "UNAUTHORIZED")
    is_problem(await refused(watch, key=ADMIN_KEY), 400, "TENANT_REQUIRED")
    is_problem(await refused(watch, "/api/nope"), 404, "NOT_FOUND")
    headers = {"Authorization": tenant.headers["authorization"]}
    foreign = {**headers, "X-Tenant-Id": str(uuid4())}
    is_problem(await refused(watch, **foreign), 403, "FORBIDDEN")
    await (await watch(**headers)).subscribe()
    workflow = (await tenant.post("/api/workflows", json={"name": "x"})).json()
    assert workflow["id"]


async def test_an_admin_names_the_tenant(house: House, watch: Any) -> None:
    made = (await house.admin("POST", "/api/tenants", json={"name": "named"})).json()
    headers = {"X-API-Key": ADMIN_KEY, "X-Tenant-Id": made["id"]}
    await (await watch(**headers)).subscribe()


def test_there_is_a_limit_of_connections() -> None:
    capacity = Capacity(most=3, of_a_tenant=2)
    with capacity.taken("a"), capacity.taken("a"):
        with pytest.raises(Problem) as caught, capacity.taken("a"):
            pass
        assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "5")
        with capacity.taken("b"):
            with pytest.raises(Problem) as caught, capacity.taken("c"):
                pass
            assert caught.value.status == 503
    with capacity.taken("a"), capacity.taken("b"), capacity.taken("c"):
        pass


async def test_a_revoked_key_hears_no_more(
    watch: Any, tenant: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "CHECK_S", 0.2)
    made = (await tenant.post("/api/api-keys", json={"name": "k", "role": "viewer"})).json()
    watcher = await watch(key=made["key"])
    await watcher.subscribe()
    assert (await tenant.delete(f"/api/api-keys/{made['id']}")).status_code == 204
    assert (await watcher.error())["code"] == "UNAUTHORIZED"
    with pytest.raises(ConnectionClosed) as closed:
        await watcher.hear()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "UNAUTHORIZED")


async def test_who_does_not_read_is_told_so_and_comes_back(
    house: House, tenant: AsyncClient, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "SLOW_S", 0.3)
    workflow = await drawn(tenant, chain("a", name="large"))
    large = "x" * 60_000
    token = tenant.headers["authorization"].removeprefix("Bearer ")
    url = f"{house.url.replace('http', 'ws', 1)}/ws?token={token}"
    async with connect(url, max_queue=1, ping_interval=None) as connection:
        slow = Watcher(connection)
        start = await slow.subscribe()
        runs = [
            (await tenant.post(f"/api/executions/{workflow}/execute", json=large)).json()["id"]
            for _ in range(100)
        ]
        heard = []
        while "error" not in (message := await slow.hear()):
            heard.append(message["event"])
        assert (message["error"]["code"], message["error"]["status"]) == ("TOO_SLOW", 503)
        with pytest.raises(ConnectionClosed) as closed:
            await slow.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
    assert len({event["subject"]["id"] for event in heard}) < len(runs)
    back = await watch()
    await back.subscribe(after=heard[-1]["position"] if heard else start)
    ended = sum(event["type"] == "RunSucceeded" for event in heard)
    heard += await back.events("RunSucceeded", runs=len(runs) - ended)
    positions = [tuple(map(int, event["position"].split("."))) for event in heard]
    assert positions == sorted(set(positions))
    assert {event["subject"]["id"] for event in heard} == set(runs)
