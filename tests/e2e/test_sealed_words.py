"""What a tenant says in words is shown to it, and stands nowhere as it was said."""

import asyncio
from collections.abc import Iterable
from secrets import token_hex
from typing import Any

import httpx

from penstock.dev.stack import Stack
from tests.e2e.canaries import dumped, files, found
from tests.e2e.runs import Document, drawn, edge, ended, made, node, started, step


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
