"""What is done on a stack so that every kind of event happens: the recorder's script."""

import asyncio
from typing import Any

import httpx

from tests.e2e.runs import ended, executed, made, node, started
from tests.e2e.waiting import until

Document = dict[str, Any]

LONG = {"durationMs": 60_000}
WRONG = {"output": "{{ input.nope }}"}
NOWHERE = {"url": "http://127.0.0.1:9/"}
BODY = {"nodes": [node("inner")], "edges": []}
ERASED_S = 60.0
CROWD = 250
"""More than are told apart."""
TOLD_S = 4.0
"""For what was tried to be told."""
ENOUGH_S = 0.7
"""For a step to begin to wait."""


def leading(source: str, target: str, **condition: Any) -> Document:
    """An edge."""
    ends: Document = {"from": source, "to": target}
    return ends | ({"condition": condition} if condition else {})


def drawing(name: str, *nodes: Document, edges: tuple[Document, ...] = (), **more: Any) -> Document:
    """A definition."""
    return {"name": name, "nodes": list(nodes), "edges": list(edges), **more}


RUN_TO_THEIR_END = (
    drawing(
        "branches",
        node("c", "condition", config={"expression": "input.x > 1"}),
        node("yes"),
        node("no"),
        edges=(
            leading("c", "yes", type="BRANCH", branch="true"),
            leading("c", "no", type="BRANCH", branch="false"),
        ),
    ),
    drawing("fails", node("t", "transform", config=WRONG), node("b"), edges=(leading("t", "b"),)),
    drawing(
        "handles",
        node("t", "transform", config=WRONG),
        node("b", "fallback", config={"output": 1}),
        edges=(leading("t", "b", type="ON_FAILURE"),),
    ),
    drawing(
        "retries",
        node("t", "http_request", config=NOWHERE, retry={"maxAttempts": 2, "backoffMs": 9}),
    ),
    drawing("waits", node("w", "delay", config={"durationMs": 300})),
    drawing("is too long", node("w", "delay", config=LONG), timeoutMs=300),
    drawing("has a step too long", node("w", "delay", config=LONG, timeoutMs=300)),
    drawing("loops", node("l", "loop", config={"items": "{{ input.items }}", "body": BODY})),
    drawing(
        "chooses by expression",
        node("s"),
        node("x"),
        edges=(leading("s", "x", type="EXPRESSION", expression="output.x == 2"),),
    ),
    drawing("has an output", node("s"), output={"all": "{{ nodes.s.output }}"}),
    drawing("tells", node("s", "emit_event", config={"type": "story.told"})),
    drawing("has a child", node("s", "sub_workflow", config={"workflowId": "branches"})),
    drawing("is one of few", node("s"), concurrency={"max": 1}),
)
GIVEN = {"x": 2, "items": [1, 2]}


async def lived(admin: httpx.AsyncClient, api: httpx.AsyncClient) -> None:
    """All of the stories. admin: of the platform; api: of a tenant."""
    await tenants_and_keys(admin, api)
    await workflows_and_variables(api)
    await secrets_and_connections(api)
    await users(api)
    await acts(api)
    for definition in RUN_TO_THEIR_END:
        await executed(api, definition, GIVEN)
    await cancelled(api)
    await waited_for(api)


async def tenants_and_keys(admin: httpx.AsyncClient, api: httpx.AsyncClient) -> None:
    """A tenant and a key, from their beginning to their end."""
    tenant = (await admin.post("/tenants", json={"name": "recorded"})).json()
    config = {"limits": {"maxWorkflows": 7}}
    path = f"/tenants/{tenant['id']}"
    well(await admin.patch(path, json={"name": "renamed", "config": config}))
    well(await admin.delete(path))
    await until(lambda: erased(admin, path), within_s=ERASED_S, what="the tenant's proof")
    asked = {"name": "k", "role": "viewer", "expiresAt": "2099-01-01T00:00:00Z"}
    key = (await api.post("/api-keys", json=asked, headers={"Idempotency-Key": "key"})).json()
    well(await api.delete(f"/api-keys/{key['id']}"))


async def erased(admin: httpx.AsyncClient, path: str) -> bool:
    """Whether nothing is left of a tenant."""
    return (await admin.get(f"{path}/deletion")).json()["erasedAt"] is not None


async def workflows_and_variables(api: httpx.AsyncClient) -> None:
    """A workflow with everything that can happen to one, and a variable that its run reads."""
    named = {"name": "region", "value": {"name": "eu"}, "description": "where"}
    well(await api.post("/variables", json=named, headers={"Idempotency-Key": "variable"}))
    well(await api.put("/variables/region", json={"value": "us"}))
    story = drawing("Story", node("a", input="{{ vars.region }}"), id="story")
    again = {"definition": {**story, "description": "again"}}
    headers = {"Idempotency-Key": "workflow"}
    made_one = await api.post("/workflows", json={"definition": story}, headers=headers)
    workflow_id = made_one.json()["id"]
    await ended(api, await started(api, workflow_id))
    well(await api.delete("/variables/region"))
    path = f"/workflows/{workflow_id}"
    for method, below, body in (
        ("PUT", "", {"name": "Renamed", "visibility": "public-read"}),
        ("POST", "/versions", again),
        ("POST", "/versions/2/publish", None),
        ("PUT", "/versions/1/pin", None),
        ("DELETE", "/pin", None),
        ("DELETE", "", None),
    ):
        well(await api.request(method, f"{path}{below}", json=body))
    well(await api.post("/workflows", json=again))


async def secrets_and_connections(api: httpx.AsyncClient) -> None:
    """A secret and a connection, from their beginning to their end."""
    body = {"name": "token", "value": "a-recorded-secret"}
    well(await api.post("/secrets", json=body, headers={"Idempotency-Key": "secret"}))
    well(await api.put("/secrets/token", json={"value": "another-secret"}))
    config = {**NOWHERE, "headers": {"x": "{{ secrets.token }}"}}
    await executed(api, drawing("uses a secret", node("s", "http_request", config=config)))
    well(await api.delete("/secrets/token"))
    said: Document = {"type": "http_basic", "config": {"username": "u", "password": "a-password"}}
    body = {"name": "shop", **said}
    well(await api.post("/connections", json=body, headers={"Idempotency-Key": "connection"}))
    well(await api.put("/connections/shop", json=said))
    well(await api.delete("/connections/shop"))


async def users(api: httpx.AsyncClient) -> None:
    """A user with a password and one who was invited, changed and removed."""
    body = {"email": "ada@example.org", "role": "admin", "name": "Ada", "password": "a-password"}
    well(await api.post("/users", json=body, headers={"Idempotency-Key": "user"}))
    body = {"email": "bob@example.org", "role": "viewer"}
    invited = (await api.post("/users", json=body)).json()
    accepted = {"token": invited["inviteToken"], "password": "a-password"}
    well(await api.post("/auth/accept", json=accepted))
    path = f"/users/{invited['id']}"
    well(await api.patch(path, json={"role": "editor", "name": "Bob"}))
    proof = {"email": body["email"], "password": "a-password"}
    token = (await api.post("/auth/login", json=proof)).json()["token"]
    change = {"password": "a-password", "newPassword": "another-password"}
    bearer = {"Authorization": f"Bearer {token}"}
    well(await api.post("/auth/password", json=change, headers=bearer))
    well(await api.post(f"{path}/invitation"))
    well(await api.delete(path))


async def acts(api: httpx.AsyncClient) -> None:
    """What is denied, refused, proved and taken out, soon after one another."""
    key = (await api.post("/api-keys", json={"name": "v", "role": "viewer"})).json()
    email, password = "eve@example.org", "a-password"
    well(await api.post("/users", json={"email": email, "role": "viewer", "password": password}))
    denied = {"Authorization": f"Bearer {key['key']}"}
    ill(await api.post("/variables", json={}, headers=denied))
    ill(await api.put("/variables/none", json={"value": 1}))
    ill(await api.post("/auth/login", json={"email": email, "password": "wrong"}))
    told = well(await api.post("/auth/login", json={"email": email, "password": password})).json()
    used = {"refreshToken": told["refreshToken"]}
    fresh = well(await api.post("/auth/refresh", json=used)).json()
    ill(await api.post("/auth/refresh", json=used))
    well(await api.post("/auth/logout", json={"refreshToken": fresh["refreshToken"]}))
    well(await api.get("/audit/export"))
    crowd = [{**denied, "User-Agent": f"one of {CROWD}: {each}"} for each in range(CROWD)]
    await asyncio.gather(*(api.get("/users", headers=each) for each in crowd))
    await asyncio.sleep(TOLD_S)


async def cancelled(api: httpx.AsyncClient) -> None:
    """A run that is cancelled while it waits."""
    edges = (leading("w", "z"),)
    definition = drawing("is cancelled", node("w", "delay", config=LONG), node("z"), edges=edges)
    run_id = await started(api, await made(api, definition))
    await asyncio.sleep(ENOUGH_S)
    well(await api.post(f"/runs/{run_id}/cancel", json={"reason": "enough"}))
    await ended(api, run_id)


async def waited_for(api: httpx.AsyncClient) -> None:
    """A run that is paused and resumed, and waits for a signal and for an approval."""
    definition = drawing(
        "is told to go on",
        node("s", "wait_for_signal", config={"name": "go", "timeoutMs": 60_000}),
        node("p", "approval", config={"timeoutMs": 60_000}),
        edges=(leading("s", "p"),),
    )
    run_id = await started(api, await made(api, definition))
    for below, body in (
        ("pause", {}),
        ("resume", {}),
        ("signals/go", {"payload": {"a": 1}}),
        ("approvals/p", {"decision": "approve", "comment": "well"}),
    ):
        await asyncio.sleep(ENOUGH_S)
        well(await api.post(f"/runs/{run_id}/{below}", json=body))
    await ended(api, run_id)


def well(answered: httpx.Response) -> httpx.Response:
    """A story goes on only where it was not refused."""
    assert answered.is_success, answered.text
    return answered


def ill(answered: httpx.Response) -> None:
    """Nor where it was not refused although it had to be."""
    assert answered.is_client_error, answered.text
