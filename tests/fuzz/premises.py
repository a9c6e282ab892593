"""What there is in an installation before it is fuzzed: one of each thing that paths can name."""

from typing import Any

from httpx import AsyncClient

from penstock.dev.stack import Stack
from tests.fuzz.fuzzing import Target

WORKFLOWS = 4
HOUR_MS = 3_600_000
NAMES = ("one", "two", "three")


def drawing(name: str, kind: str = "noop", **config: Any) -> dict[str, Any]:
    """A definition of one node."""
    node = {"id": "only", "type": kind, "config": config}
    return {"name": name, "nodes": [node], "edges": []}


def connection(name: str) -> dict[str, Any]:
    """A connection to be made."""
    return {"name": name, "type": "bearer", "config": {"token": f"the token {name}"}}


async def furnished(stack: Stack) -> Target:
    """The installation as a target, with things in it."""
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    async with AsyncClient(base_url=f"{stack.api_url}/api", headers=headers, timeout=30) as client:
        workflows = [await _workflow(client, drawing(f"fuzzed {n}")) for n in range(WORKFLOWS)]
        waiting = await _workflow(client, drawing("waits", "delay", durationMs=HOUR_MS))
        first = workflows[0]["id"]
        ended = [
            (await client.post(f"/executions/{first}/execute", json={"n": n})).json()["id"]
            for n in range(3)
        ]
        lasting = [
            (await client.post(f"/workflows/{waiting['id']}/execute", json={})).json()["runId"]
            for _ in range(4)
        ]
        for name in NAMES:
            for path, body in (
                ("/variables", {"name": name, "value": {"is": name}}),
                ("/secrets", {"name": name, "value": f"the secret {name}"}),
                ("/connections", connection(name)),
            ):
                (await client.post(path, json=body)).raise_for_status()
        names = [each[key] for each in workflows for key in ("id", "key")]
    async with AsyncClient(base_url=f"{stack.api_url}/api", timeout=30) as client:
        answer = await client.post(
            "/tenants", json={"name": "fuzzed"}, headers={"X-API-Key": stack.admin_key}
        )
        tenant = answer.json()["id"]
    return Target(
        url=stack.api_url,
        tenant_key=stack.api_key,
        admin_key=stack.admin_key,
        ids={
            "workflow_id": tuple(names),
            "version": ("1",),
            "run_id": tuple(ended),
            "step_id": ("only",),
            "variable": NAMES,
            "secret": NAMES,
            "connection": NAMES,
            "tenant_id": (tenant,),
        },
        waiting=tuple(lasting),
    )


async def _workflow(client: AsyncClient, definition: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = (await client.post("/workflows", json={"definition": definition})).json()
    return made
