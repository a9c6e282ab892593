"""What a tenant says in words is shown to it, and stands nowhere as it was said."""

import asyncio
from collections.abc import Iterable
from secrets import token_hex
from typing import Any

import httpx

from penstock.dev.stack import Stack
from tests.e2e.canaries import dumped, files, found
from tests.e2e.conftest import client
from tests.e2e.runs import Document, drawn, edge, ended, made, node, started, step
from tests.e2e.waiting import until

GO = {"name": "go"}


def words(*names: str) -> dict[str, str]:
    """A word for each that stands nowhere else."""
    return {name: f"{name}.{token_hex(12)}" for name in names}


async def nowhere(stack: Stack, said: dict[str, str]) -> None:
    """Fails where one of the words stands in the log, the store or the database, in any form."""

    def places() -> Iterable[tuple[str, bytes]]:
        yield from files(stack.data_dir / "nats")
        yield from dumped(stack.database_url)

    assert await asyncio.to_thread(lambda: found(said, places())) == []


async def told(api: httpx.AsyncClient, path: str, **params: Any) -> Any:
    """What the API answers."""
    answered = await api.get(path, params=params)
    assert answered.status_code == httpx.codes.OK, answered.text
    return answered.json()


def asking(name: str, child: str) -> Document:
    """A workflow that runs another one."""
    return drawn(name, [node("ask", "sub_workflow", config={"workflowId": child})])


async def three_levels(api: httpx.AsyncClient) -> str:
    """A workflow whose child's child fails with what it is given; its end is told in words."""
    calls = node("call", "http_request", config={"url": "{{ input.word }}"})
    inner = await made(api, drawn("inner", [calls]))
    middle = await made(api, asking("middle", inner))
    nodes = [
        node("ask", "sub_workflow", config={"workflowId": middle}),
        node("tell", "transform", config={"output": "{{ input.error }}"}),
        node("ask-again", "sub_workflow", config={"workflowId": middle}, input="{{ run.input }}"),
    ]
    edges = [edge("ask", "tell", "ON_FAILURE"), edge("tell", "ask-again")]
    return await made(api, drawn("outer", nodes, *edges))


async def test_an_error_over_three_levels_of_children_is_told_to_nobody_else(
    stack: Stack, api: httpx.AsyncClient
) -> None:
    said = words("word")
    word = said["word"]
    run_id = await started(api, await three_levels(api), {"word": word})
    run = await ended(api, run_id)
    assert run["status"] == "failed"
    assert word in run["error"]["message"]
    failed = step(run, "ask")["error"]
    assert word in failed["message"]
    assert word in failed["details"]["error"]["message"]
    handed = step(run, "tell")["output"]
    assert handed["message"] == failed["message"]
    assert handed["details"] == failed["details"]
    listed = {each["id"]: each for each in (await told(api, "/runs", limit=200))["items"]}
    assert listed[run_id]["error"] == run["error"]
    below = [each for each in listed.values() if each["parentRunId"] == run_id]
    assert len(below) == 2
    assert all(word in each["error"]["message"] for each in below)
    events = (await told(api, f"/runs/{run_id}/events"))["items"]
    (last,) = [each["data"] for each in events if each["type"] == "RunFailed"]
    assert last["error"]["message"] == run["error"]["message"]
    (first,) = [each["data"] for each in events if each["type"] == "StepFailed"][:1]
    assert first["error"]["message"] == failed["message"]
    then = await told(api, f"/runs/{run_id}/state", at=events[-1]["position"])
    assert then["error"] == run["error"]
    assert step(then, "ask")["error"] == failed
    answered = await api.post(f"/runs/{run_id}/retry")
    assert answered.status_code == httpx.codes.CREATED, answered.text
    again = await ended(api, answered.json()["id"])
    assert word in again["error"]["message"]
    assert step(again, "ask")["error"]["message"] == failed["message"]
    await nowhere(stack, said)


async def sent(api: httpx.AsyncClient, method: str, path: str, body: object = None) -> Any:
    """What the API answers to a write that it takes."""
    answered = await api.request(method, path, json=body)
    assert answered.is_success, answered.text
    return answered.json()


async def of_types(api: httpx.AsyncClient, run_id: str) -> dict[str, Document]:
    """By type, what the last event of it in a run's history says."""
    items = (await told(api, f"/runs/{run_id}/events"))["items"]
    return {each["type"]: each["data"] for each in items}


async def test_descriptions_and_names_of_keys_are_told_to_nobody_else(
    stack: Stack, api: httpx.AsyncClient
) -> None:
    said = words("description", "api key")
    variable = {"name": f"v{token_hex(4)}", "value": 1, "description": said["description"]}
    path = f"/variables/{variable['name']}"
    shown = [
        await sent(api, "POST", "/variables", variable),
        await sent(api, "PUT", path, {**variable, "value": 2}),
        await told(api, path),
        (await told(api, "/variables"))["items"][0],
    ]
    assert {each["description"] for each in shown} == {said["description"]}
    key = await sent(api, "POST", "/api-keys", {"name": said["api key"], "role": "viewer"})
    assert key["name"] == said["api key"]
    keys = {each["id"]: each["name"] for each in (await told(api, "/api-keys"))["items"]}
    assert keys[key["id"]] == said["api key"]
    assert said["api key"] in {each["name"] for each in await audited(api, "ApiKeyCreated")}
    await nowhere(stack, said)


async def audited(api: httpx.AsyncClient, type_: str) -> list[Document]:
    """What the tenant's events of a type say, as its audit tells them."""
    found: list[Document] = []
    cursor = None
    while True:
        params = {"type": type_, "limit": 200} | ({"after": cursor} if cursor else {})
        page = await told(api, "/audit/events", **params)
        found += [each["data"] for each in page["items"]]
        if page["nextCursor"] == cursor:
            return found
        cursor = page["nextCursor"]


async def named(api: httpx.AsyncClient, name: str) -> str:
    """A workflow whose runs with the same key wait for each other, called `name` after all."""
    nodes = [
        node("emit", "emit_event", config={"type": "said", "source": "{{ input.source }}"}),
        node("wait", "wait_for_signal", config={"name": "go"}),
    ]
    one_at_a_time = {"max": 1, "key": "{{ input.key }}"}
    drawing = drawn("sealed words", nodes, edge("emit", "wait"), concurrency=one_at_a_time)
    workflow = await made(api, drawing)
    path = f"/workflows/{workflow}"
    before = (await api.get(path)).headers["etag"]
    first, again = [await api.put(path, json={"name": name}) for _ in range(2)]
    assert first.json()["name"] == name
    assert first.headers["etag"] != before
    assert again.headers["etag"] == first.headers["etag"], "the same name is no change"
    return workflow


async def turns(api: httpx.AsyncClient, workflow: str, said: dict[str, str]) -> list[str]:
    """A run that waits for a signal, and one that waits for its turn."""
    path = f"/workflows/{workflow}/execute?mode=async"
    given = {"key": said["key"], "source": said["source"]}
    body = {"input": given, "tags": [said["tag"], "other"]}
    runs = [(await sent(api, "POST", path, body))["runId"] for _ in range(2)]
    await sent(api, "POST", path, {"input": {"key": "b", "source": "c"}, "tags": ["other"]})

    async def waits_for_its_turn() -> Document | None:
        found = (await told(api, f"/runs/{runs[1]}/explain"))["waits"]
        return found[0] if found else None

    waiting = await until(waits_for_its_turn, within_s=10, what="the second run waits")
    assert waiting["cause"] == "gate"
    turn = f"waits for its turn at the key {said['key']} of {said['name']}"
    assert waiting["detail"].startswith(turn)
    return runs


async def test_names_tags_and_concurrency_keys_are_told_to_nobody_else(
    stack: Stack, api: httpx.AsyncClient
) -> None:
    said = words("name", "tag", "key", "source")
    workflow = await named(api, said["name"])
    names = {each["id"]: each["name"] for each in (await told(api, "/workflows"))["items"]}
    assert (await told(api, f"/workflows/{workflow}"))["name"] == names[workflow] == said["name"]
    assert said["name"] in {each["name"] for each in await audited(api, "WorkflowRenamed")}
    first, second = await turns(api, workflow, said)
    tagged = (await told(api, "/runs", tag=said["tag"]))["items"]
    assert [each["id"] for each in tagged] == [second, first]
    assert all(each["workflowName"] == said["name"] for each in tagged)
    assert all(each["tags"] == [said["tag"], "other"] for each in tagged)
    page = await told(api, "/runs", tag=said["tag"], limit=1)
    rest = await told(api, "/runs", tag=said["tag"], limit=1, cursor=page["nextCursor"])
    assert [each["id"] for each in page["items"] + rest["items"]] == [second, first]
    queued = (await of_types(api, second))["RunQueued"]
    assert queued["start"]["workflowName"] == said["name"]
    assert queued["start"]["tags"] == [said["tag"], "other"]
    assert queued["gates"][0]["label"] == f"the key {said['key']} of {said['name']}"
    await sent(api, "POST", f"/runs/{first}/cancel")
    retried = (await ended(api, first)) and (await sent(api, "POST", f"/runs/{first}/retry"))["id"]
    assert (await told(api, f"/runs/{retried}"))["tags"] == [said["tag"], "other"]
    assert len((await told(api, "/runs", tag=said["tag"]))["items"]) == 3
    await sent(api, "POST", "/runs/bulk", {"action": "cancel", "filter": {"tag": said["tag"]}})
    await nowhere(stack, said)


async def test_reasons_are_told_to_nobody_else(stack: Stack, api: httpx.AsyncClient) -> None:
    said = words("pause", "cancel", "all")
    workflow = await made(api, drawn("stopped", [node("w", "wait_for_signal", config=GO)]))
    first, second = [await started(api, workflow) for _ in range(2)]
    await sent(api, "POST", f"/runs/{first}/pause", {"reason": said["pause"]})
    await sent(api, "POST", f"/runs/{first}/cancel", {"reason": said["cancel"]})
    assert (await ended(api, first))["error"]["message"] == said["cancel"]
    events = await of_types(api, first)
    assert events["RunPaused"]["reason"] == said["pause"]
    assert events["RunCancelRequested"]["reason"] == said["cancel"]
    assert events["RunCancelled"]["error"]["message"] == said["cancel"]
    cancel = {"action": "cancel", "filter": {"workflowId": workflow}, "reason": said["all"]}
    assert (await sent(api, "POST", "/runs/bulk", cancel))["matched"] == 1
    assert (await ended(api, second))["error"]["message"] == said["all"]
    await nowhere(stack, said)


async def test_what_is_said_of_tenants_is_told_to_their_admins_only(stack: Stack) -> None:
    said = words("tenant", "renamed", "registered")
    host = f"h{token_hex(12)}.internal"
    async with client(stack.api_url, stack.admin_key) as admin:
        body = {"name": said["tenant"], "config": {"egressAllow": [host]}}
        tenant = await sent(admin, "POST", "/tenants", body)
        assert (tenant["name"], tenant["config"]["egressAllow"]) == (said["tenant"], [host])
        path = f"/tenants/{tenant['id']}"
        changed = await sent(admin, "PATCH", path, {"config": {"limits": {"maxWorkflows": 7}}})
        assert (changed["name"], changed["config"]["egressAllow"]) == (said["tenant"], [host])
        changed = await sent(admin, "PATCH", path, {"name": said["renamed"]})
        assert changed["name"] == said["renamed"]
        assert changed["config"]["limits"]["maxWorkflows"] == 7
        assert await told(admin, path) == changed
        listed = {each["id"]: each for each in (await told(admin, "/tenants"))["items"]}
        assert listed[tenant["id"]] == changed
    async with client(stack.api_url, tenant["adminApiKey"]) as of_tenant:
        assert (await told(of_tenant, "/auth/me"))["tenant"]["name"] == said["renamed"]
        body = {"tenantName": said["registered"], "email": f"{token_hex(6)}@example.org"}
        registered = await sent(of_tenant, "POST", "/auth/register", {**body, "password": "a" * 12})
        assert registered["tenant"]["name"] == said["registered"]
    await nowhere(stack, said | {"host": host})
