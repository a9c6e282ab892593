"""Workflows made and runs started, watched and ended, through the HTTP door."""

from collections.abc import Iterable
from typing import Any

import httpx

from tests.e2e.histories import Event
from tests.e2e.waiting import until

Document = dict[str, Any]

ENDS = frozenset({"succeeded", "failed", "cancelled", "timed_out"})
END_WITHIN_S = 30.0
QUICK_RETRY = {"maxAttempts": 3, "backoffMs": 50, "backoffMultiplier": 1, "jitter": 0}


def node(node_id: str, node_type: str = "noop", **members: Any) -> Document:
    """A node."""
    return {"id": node_id, "type": node_type, **members}


def call(node_id: str, url: str, *, retry: Document | None = None, **members: Any) -> Document:
    """A node that posts to `url`, with quick retries unless it says otherwise."""
    config = {"method": "POST", "url": url}
    return node(node_id, "http_request", config=config, retry=retry or QUICK_RETRY, **members)


def edge(source: str, target: str, condition_type: str | None = None) -> Document:
    """An edge, of a type where one is named."""
    ends: Document = {"from": source, "to": target}
    return ends | ({"condition": {"type": condition_type}} if condition_type else {})


def drawn(name: str, nodes: Iterable[Document], *edges: Document, **members: Any) -> Document:
    """A definition."""
    return {"name": name, "nodes": list(nodes), "edges": list(edges), **members}


async def made(api: httpx.AsyncClient, definition: Document) -> str:
    """The id of a workflow that is made of a definition."""
    answered = await api.post("/workflows", json={"definition": definition})
    assert answered.status_code == httpx.codes.CREATED, answered.text
    workflow_id: str = answered.json()["id"]
    return workflow_id


async def started(
    api: httpx.AsyncClient, workflow_id: str, given: Any = None, **headers: str
) -> str:
    """The id of a run that was accepted; it is not waited for."""
    answered = await api.post(
        f"/workflows/{workflow_id}/execute?mode=async", json={"input": given}, headers=headers
    )
    assert answered.status_code == httpx.codes.ACCEPTED, answered.text
    run_id: str = answered.json()["runId"]
    return run_id


async def shown(api: httpx.AsyncClient, run_id: str) -> Document:
    """The run as it is now."""
    answered = await api.get(f"/runs/{run_id}")
    assert answered.status_code == httpx.codes.OK, answered.text
    run: Document = answered.json()
    return run


async def ended(api: httpx.AsyncClient, run_id: str, *, within_s: float = END_WITHIN_S) -> Document:
    """The run, once it has ended; that it is not to be read for a moment is no failure."""

    async def found() -> Document | None:
        answered = await api.get(f"/runs/{run_id}")
        if answered.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return None
        assert answered.status_code == httpx.codes.OK, answered.text
        run: Document = answered.json()
        return run if run["status"] in ENDS else None

    return await until(found, within_s=within_s, what=f"end of run {run_id}")


async def executed(api: httpx.AsyncClient, definition: Document, given: Any = None) -> Document:
    """The ended run of a new workflow."""
    return await ended(api, await started(api, await made(api, definition), given))


def step(run: Document, step_id: str) -> Document:
    """One step of a run."""
    (found,) = [each for each in run["steps"] if each["id"] == step_id]
    found_step: Document = found
    return found_step


def told_of(events: Iterable[Event], step_id: str) -> list[str]:
    """The types of a step's events, in order."""
    return [event["type"] for event in events if event["data"].get("stepId") == step_id]
