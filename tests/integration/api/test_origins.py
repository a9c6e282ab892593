"""Who wrote what from where: every route that writes is asked, and its event must say so."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from httpx import AsyncClient, Response

from penstock.api.audit.origin import AGENT_CHARACTERS_MAX
from tests.integration.api.houses import ADMIN_KEY, House, chain, waiting
from tests.integration.api.matrix import doors
from tests.integration.api.people import PASSWORD, address, registered

READS = {"POST /api/workflows/validate"}
"""Routes with a body that change nothing."""
REFRESHES = {"POST /api/auth/refresh"}
"""It goes on with a session, as often as every few minutes: what goes wrong there is told."""
AGENT = "a-program-of-the-tests/1.0"
APPROVAL = {
    "name": "asks",
    "nodes": [{"id": "ask", "type": "approval"}],
    "edges": [],
}
POLLS = 200
POLL_S = 0.05


@dataclass
class Author:
    """Writes, and remembers which request went to which route. wrote: by request id, the route."""

    client: AsyncClient
    wrote: dict[str, str] = field(default_factory=dict)

    async def do(self, route: str, path: str = "", **more: Any) -> Response:
        """One request to a route, such as `POST /api/users`; path: with its parameters filled."""
        method, _, template = route.partition(" ")
        request_id = uuid4().hex
        headers = {"X-Request-Id": request_id, "User-Agent": AGENT, **more.pop("headers", {})}
        answer = await self.client.request(method, path or template, headers=headers, **more)
        assert answer.status_code < 300, (route, answer.status_code, answer.text)
        self.wrote[request_id] = route
        return answer


async def of_workflows(author: Author) -> None:
    """Everything that is done to workflows."""
    root = "/api/workflows"
    drawn = chain("a", name=f"w {uuid4().hex[:8]}")
    made = (await author.do(f"POST {root}", json={"definition": drawn})).json()
    path = f"{root}/{made['id']}"
    one = f"{root}/{{workflow_id}}"
    changed = {"definition": drawn | {"nodes": chain("a", "b")["nodes"]}}
    await author.do(f"PUT {one}", path, json=changed)
    draft = {"definition": drawn | {"nodes": chain("a", "b", "c")["nodes"]}}
    await author.do(f"POST {one}/versions", f"{path}/versions", json=draft)
    version = f"{one}/versions/{{version}}"
    await author.do(f"POST {version}/publish", f"{path}/versions/3/publish")
    await author.do(f"PUT {version}/pin", f"{path}/versions/1/pin")
    await author.do(f"DELETE {one}/pin", f"{path}/pin")
    await author.do(f"POST {root}/import", json={"definition": chain("z", name=uuid4().hex)})
    for route, target, body in (
        (f"POST {one}/execute", f"{path}/execute", {}),
        ("POST /api/executions/{workflow_id}/execute", f"/api/executions/{made['id']}/execute", {}),
        ("POST /api/executions/run", "", {"workflowId": made["id"], "input": {}}),
    ):
        await author.do(route, target, json=body)
    await author.do(f"DELETE {one}", path)


async def of_runs(author: Author) -> None:
    """Everything that is done to runs."""
    begun = []
    for drawn in (waiting(), APPROVAL, APPROVAL):
        named = {"definition": {**drawn, "name": uuid4().hex}}
        workflow = (await author.client.post("/api/workflows", json=named)).json()
        run = await author.client.post(f"/api/workflows/{workflow['id']}/execute", json={})
        begun.append((run.json()["runId"], workflow["id"]))
    (first, workflow_id), (second, _), _ = begun
    one, path = "/api/runs/{run_id}", f"/api/runs/{first}"
    await author.do(f"POST {one}/signals/{{name}}", f"{path}/signals/go", json={"payload": 1})
    await author.do(f"POST {one}/pause", f"{path}/pause")
    await author.do(f"POST {one}/resume", f"{path}/resume")
    approve = f"/api/runs/{second}/approvals/ask"
    decision = {"decision": "approve"}
    await author.do(f"POST {one}/approvals/{{step_id}}", approve, json=decision)
    await author.do(f"POST {one}/cancel", f"{path}/cancel", json={})
    for _ in range(POLLS):
        if (await author.client.get(path)).json()["status"] == "cancelled":
            break
        await asyncio.sleep(POLL_S)
    await author.do(f"POST {one}/retry", f"{path}/retry")
    await author.do(f"POST {one}/fork", f"{path}/fork", json={})
    every = {"filter": {"workflowId": workflow_id}, "action": "cancel"}
    await author.do("POST /api/runs/bulk", json=every)


async def of_things(author: Author) -> None:
    """Everything that is done to variables, secrets, connections and keys."""
    token = {"token": "a long token"}
    for root, name, body, change in (
        ("variables", "variable", {"value": 1}, {"value": 2}),
        ("secrets", "secret", {"value": "a value"}, {"value": "another"}),
        ("connections", "connection", {"type": "bearer", "config": token}, None),
    ):
        named = f"n{uuid4().hex[:8]}"
        changed = change or {"type": "bearer", "config": {"token": "another token"}}
        await author.do(f"POST /api/{root}", json={"name": named, **body})
        one, path = f"/api/{root}/{{{name}}}", f"/api/{root}/{named}"
        await author.do(f"PUT {one}", path, json=changed)
        await author.do(f"DELETE {one}", path)
    key = await author.do("POST /api/api-keys", json={"name": "k", "role": "viewer"})
    await author.do("DELETE /api/api-keys/{key_id}", f"/api/api-keys/{key.json()['id']}")


async def of_people(author: Author, house: House) -> None:
    """Everything that is done to users, and what they do to begin with."""
    one = "/api/users/{user_id}"
    body = {"email": address(), "role": "viewer"}
    invited = (await author.do("POST /api/users", json=body)).json()
    again = f"/api/users/{invited['id']}/invitation"
    invited |= (await author.do(f"POST {one}/invitation", again)).json()
    stranger = Author(house.client, author.wrote)
    accepted = {"token": invited["inviteToken"], "password": PASSWORD}
    await stranger.do("POST /api/auth/accept", json=accepted)
    proof = {"email": body["email"], "password": PASSWORD}
    tokens = (await stranger.do("POST /api/auth/login", json=proof)).json()
    changed = {"password": PASSWORD, "newPassword": f"{PASSWORD} again"}
    bearer = {"Authorization": f"Bearer {tokens['token']}"}
    await stranger.do("POST /api/auth/password", json=changed, headers=bearer)
    last = {"refreshToken": tokens["refreshToken"]}
    await stranger.do("POST /api/auth/logout", json=last)
    path = f"/api/users/{invited['id']}"
    await author.do(f"PATCH {one}", path, json={"role": "member"})
    await author.do(f"DELETE {one}", path)


async def told(client: AsyncClient, wanted: dict[str, str]) -> dict[str, Any]:
    """By request id, the first event that it led to, once all of them are there."""
    found: dict[str, Any] = {}
    for _ in range(POLLS):
        after: dict[str, str] = {}
        while True:
            page = (await client.get("/api/audit/events?limit=200", params=after)).json()
            for each in page["items"]:
                found.setdefault(each["correlationId"], each)
            if not page["items"]:
                break
            after = {"after": page["nextCursor"]}
        if wanted.keys() <= found.keys():
            return found
        await asyncio.sleep(POLL_S)
    return found


async def test_every_route_that_writes_tells_who_and_from_where(house: House) -> None:
    wrote: dict[str, str] = {}
    body = {"tenantName": "authors", "email": address(), "password": PASSWORD}
    stranger = Author(house.client, wrote)
    made = (await stranger.do("POST /api/auth/register", json=body)).json()
    async with house.caller(made["token"]) as client:
        author = Author(client, wrote)
        await of_workflows(author)
        await of_runs(author)
        await of_things(author)
        await of_people(author, house)
        found = await told(client, wrote)
    for request_id, route in wrote.items():
        event = found[request_id]
        assert event["actor"].startswith("user:"), (route, event)
        assert event["origin"] == {"address": "127.0.0.1", "userAgent": AGENT}, (route, event)
    platform = Author(house.client)
    named = {"X-API-Key": ADMIN_KEY}
    tenant = (await platform.do("POST /api/tenants", json={"name": "t"}, headers=named)).json()
    one, path = "/api/tenants/{tenant_id}", f"/api/tenants/{tenant['id']}"
    await platform.do(f"PATCH {one}", path, json={"name": "u"}, headers=named)
    acting = {**named, "X-Tenant-Id": tenant["id"]}
    async with AsyncClient(base_url=house.url, headers=acting) as client:
        found = await told(client, platform.wrote)
        for request_id, route in platform.wrote.items():
            assert found[request_id]["actor"] == "admin:platform", route
            assert found[request_id]["origin"]["userAgent"] == AGENT, route
        await platform.do(f"DELETE {one}", path, headers=named)
        found = await told(client, platform.wrote)
    deleted = next(each for each in found.values() if each["type"] == "TenantDeleted")
    assert (deleted["actor"], deleted["origin"]) == ("admin:platform", None)
    written = {f"{door.method} {door.path}" for door in doors() if door.method != "GET"}
    done = {*wrote.values(), *platform.wrote.values()}
    assert written - done == READS | REFRESHES


async def test_machines_come_from_nowhere(house: House) -> None:
    found = await registered(house)
    async with house.caller(found["token"], **{"User-Agent": "x" * 1_000}) as client:
        drawn = {"definition": chain("a")}
        made = (await client.post("/api/workflows", json=drawn)).json()
        await client.post(f"/api/workflows/{made['id']}/execute?mode=sync", json={})
        events = (await client.get("/api/audit/events?limit=200")).json()["items"]
        run = next(each for each in events if each["type"] == "RunStarted")["subject"]["id"]
        own = (await client.get(f"/api/runs/{run}/events")).text
    for event in events:
        machine = event["actor"].partition(":")[0] in {"scheduler", "executor"}
        assert (event["origin"] is None) == machine, event
    said = {event["origin"]["userAgent"] for event in events if event["origin"]}
    assert "x" * AGENT_CHARACTERS_MAX in said
    assert not [each for each in said if len(each) > AGENT_CHARACTERS_MAX]
    assert "origin" not in own
