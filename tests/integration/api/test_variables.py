"""Variables: made, changed, deleted, and read by runs as they were when the run began."""

from typing import Any

import pytest
from httpx import AsyncClient

from tests.integration.api.houses import House

READS: dict[str, Any] = {
    "name": "reader",
    "nodes": [
        {"id": "wait", "type": "delay", "config": {"durationMs": 700}},
        {
            "id": "read",
            "type": "transform",
            "config": {
                "output": {
                    "region": "{{ vars.region }}",
                    "text": "in {{ vars.region.name }}!",
                    "sum": "{{ vars.limit + 1 }}",
                    "maybe": "{{ default(vars.absent, 'none') }}",
                }
            },
        },
    ],
    "edges": [{"from": "wait", "to": "read"}],
}
MISSING: dict[str, Any] = {
    "name": "misses",
    "nodes": [{"id": "a", "type": "transform", "config": {"output": "{{ vars.absent }}"}}],
}


async def made(tenant: AsyncClient, name: str, value: Any, **more: Any) -> dict[str, Any]:
    """A variable."""
    answered = await tenant.post("/api/variables", json={"name": name, "value": value, **more})
    assert answered.status_code == 201, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_a_variable_lives_and_lives_again(tenant: AsyncClient) -> None:
    region = await made(tenant, "region", {"name": "eu"}, description="where")
    assert (region["value"], region["description"]) == ({"name": "eu"}, "where")
    for ref in ("region", region["id"]):
        read = await tenant.get(f"/api/variables/{ref}")
        assert (read.json(), read.headers["etag"]) == (region, '"1"')
    known = {"If-None-Match": '"1"'}
    assert (await tenant.get("/api/variables/region", headers=known)).status_code == 304
    put = await tenant.put("/api/variables/region", json={"value": None, "name": "region"})
    assert (put.status_code, put.json()["value"], put.json()["description"]) == (200, None, "")
    lost = await tenant.put("/api/variables/region", json={"value": 1}, headers={"If-Match": '"1"'})
    assert lost.status_code == 412
    renamed = await tenant.put("/api/variables/region", json={"value": 1, "name": "other"})
    assert renamed.json()["details"][0]["pointer"] == "/name"
    taken = await tenant.post("/api/variables", json={"name": "region", "value": 1})
    assert (taken.status_code, taken.json()["code"]) == (409, "NAME_TAKEN")
    assert (await tenant.delete("/api/variables/region")).status_code == 204
    assert (await tenant.get("/api/variables/region")).status_code == 404
    assert (await tenant.put("/api/variables/region", json={"value": 1})).status_code == 404
    again = await made(tenant, "region", 7)
    assert (again["id"], again["value"]) == (region["id"], 7)
    assert (await tenant.get("/api/variables/region")).headers["etag"] == '"4"'


async def test_variables_come_in_pages_of_their_tenant(house: House, tenant: AsyncClient) -> None:
    for number in range(3):
        await made(tenant, f"v{number}", number)
    page = (await tenant.get("/api/variables?limit=2")).json()
    rest = (await tenant.get(f"/api/variables?limit=2&cursor={page['nextCursor']}")).json()
    assert [each["name"] for each in page["items"] + rest["items"]] == ["v2", "v1", "v0"]
    assert rest["nextCursor"] is None
    stranger = (await house.admin("POST", "/api/tenants", json={"name": "stranger"})).json()
    async with house.caller(stranger["adminApiKey"]) as other:
        assert (await other.get("/api/variables")).json()["items"] == []
        for method in ("GET", "PUT", "DELETE"):
            assert (await other.request(method, "/api/variables/v0")).status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "1st", "value": 1}, "/name"),
        ({"name": "a-b", "value": 1}, "/name"),
        ({"name": "x" * 65, "value": 1}, "/name"),
        ({"name": "a"}, "/value"),
        ({"name": "a", "value": "x" * 70_000}, "/value"),
        ({"name": "a", "value": 1, "description": "\0"}, "/description"),
        ({"name": "a", "value": 1, "more": 1}, "/more"),
    ],
)
async def test_what_is_wrong_is_told_at_its_place(
    tenant: AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    refused = await tenant.post("/api/variables", json=body)
    assert refused.status_code == 400
    assert [each["pointer"] for each in refused.json()["details"]] == [pointer]


async def test_a_repeated_request_makes_one_variable(tenant: AsyncClient) -> None:
    headers = {"Idempotency-Key": "v"}
    body = {"name": "once", "value": 1}
    first = await tenant.post("/api/variables", json=body, headers=headers)
    await tenant.put("/api/variables/once", json={"value": 2})
    again = await tenant.post("/api/variables", json=body, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    refused = await tenant.post(
        "/api/variables", json={"name": "twice", "value": 1}, headers=headers
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")


async def test_a_run_reads_the_variables_that_it_began_with(tenant: AsyncClient) -> None:
    await made(tenant, "region", {"name": "eu"})
    await made(tenant, "limit", 4)
    await made(tenant, "unread", "secret-ish")
    workflow = (await tenant.post("/api/workflows", json={"definition": READS})).json()
    accepted = await tenant.post(f"/api/workflows/{workflow['id']}/execute")
    await tenant.put("/api/variables/region", json={"value": {"name": "us"}})
    await tenant.delete("/api/variables/limit")
    run_id = accepted.json()["runId"]
    async with tenant.stream("GET", f"/api/runs/{run_id}/stream") as stream:
        async for _ in stream.aiter_bytes():
            pass
    run = (await tenant.get(f"/api/runs/{run_id}")).json()
    assert run["output"] == {
        "region": {"name": "eu"},
        "text": "in eu!",
        "sum": 5,
        "maybe": "none",
    }, run
    events = (await tenant.get(f"/api/runs/{run_id}/events")).json()["items"]
    assert events[0]["data"]["vars"]["inline"] == {"region": {"name": "eu"}, "limit": 4}


async def test_a_large_variable_is_read_too(tenant: AsyncClient) -> None:
    for name in ("region", "limit"):
        await made(tenant, name, {"name": name * 8_000} if name == "region" else 1)
    await made(tenant, "absent", "y" * 40_000)
    workflow = (await tenant.post("/api/workflows", json={"definition": READS})).json()
    run = (await tenant.post(f"/api/workflows/{workflow['id']}/execute?mode=sync")).json()
    assert run["output"]["text"] == f"in {'region' * 8_000}!"
    assert run["output"]["maybe"] == "y" * 40_000


async def test_a_variable_that_is_not_there_fails_the_step_that_reads_it(
    tenant: AsyncClient,
) -> None:
    workflow = (await tenant.post("/api/workflows", json={"definition": MISSING})).json()
    run = (await tenant.post(f"/api/workflows/{workflow['id']}/execute?mode=sync")).json()
    (step,) = run["steps"]
    assert (run["status"], step["error"]["code"]) == ("failed", "TEMPLATE_ERROR")
    assert "vars.absent" in step["error"]["message"]


async def test_whoever_may_only_read_changes_nothing(house: House, tenant: AsyncClient) -> None:
    await made(tenant, "seen", 1)
    key = (await tenant.post("/api/api-keys", json={"name": "k", "role": "member"})).json()
    async with house.caller(key["key"]) as member:
        assert (await member.get("/api/variables/seen")).status_code == 200
        for method, path in (("POST", ""), ("PUT", "/seen"), ("DELETE", "/seen")):
            refused = await member.request(method, f"/api/variables{path}", json={"value": 2})
            assert refused.status_code == 403
