"""Workflows that are `public-read`: what other tenants see of them, and what they do not."""

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response

from tests.integration.api.houses import House, chain
from tests.integration.api.matrix import BODILESS, doors
from tests.integration.api.people import registered

PUBLIC = {"visibility": "public-read"}
READ = {
    "/api/workflows/{workflow_id}",
    "/api/workflows/{workflow_id}/versions",
    "/api/workflows/{workflow_id}/versions/{version}",
    "/api/workflows/{workflow_id}/diff",
    "/api/workflows/{workflow_id}/export",
}
"""What others may ask of a public workflow, GET only."""


class Shown(NamedTuple):
    """A workflow with two published versions and a draft, its owner, and another tenant."""

    owner: AsyncClient
    other: AsyncClient
    workflow: dict[str, Any]
    drafted: str

    @property
    def path(self) -> str:
        """Of the workflow, by id."""
        return f"/api/workflows/{self.workflow['id']}"


@pytest.fixture
async def shown(house: House) -> AsyncIterator[Shown]:
    mine, theirs = await registered(house), await registered(house)
    async with house.caller(mine["token"]) as owner, house.caller(theirs["token"]) as other:
        first = chain("a", id=f"k{uuid4().hex[:8]}", name="A template")
        made = (await owner.post("/api/workflows", json={"definition": first, **PUBLIC})).json()
        path = f"/api/workflows/{made['id']}"
        await owner.put(path, json={"definition": {**first, **chain("a", "b")}})
        await owner.put(f"{path}/versions/1/pin")
        draft = {"definition": {**first, **chain("secret-plan")}}
        drafted = (await owner.post(f"{path}/versions", json=draft)).json()
        yield Shown(owner, other, made, drafted["id"])


async def test_another_tenant_reads_what_is_published_and_nobodys_name(shown: Shown) -> None:
    found = await shown.other.get(shown.path)
    own = (await shown.owner.get(shown.path)).json()
    assert found.status_code == 200
    assert "etag" not in found.headers
    assert found.json() == {**own, "createdBy": None, "latestVersion": 2, "pinnedVersion": None}
    assert (own["latestVersion"], own["pinnedVersion"]) == (3, 1)
    listed = (await shown.other.get(f"{shown.path}/versions?limit=1")).json()
    assert [each["number"] for each in listed["items"]] == [2]
    cursor = listed["nextCursor"]
    rest = (await shown.other.get(f"{shown.path}/versions?limit=1&cursor={cursor}")).json()
    assert ([each["number"] for each in rest["items"]], rest["nextCursor"]) == ([1], None)
    version = (await shown.other.get(f"{shown.path}/versions/{rest['items'][0]['id']}")).json()
    assert (version["number"], version["createdBy"]) == (1, None)
    assert [node["id"] for node in version["definition"]["nodes"]] == ["a"]
    for ref in ("3", shown.drafted):
        assert (await shown.other.get(f"{shown.path}/versions/{ref}")).status_code == 404
        assert (await shown.other.get(f"{shown.path}/export?version={ref}")).status_code == 404
        assert (await shown.other.get(f"{shown.path}/diff?from=1&to={ref}")).status_code == 404
    difference = (await shown.other.get(f"{shown.path}/diff?from=1")).json()
    assert difference["to"]["number"] == 2
    assert [each["id"] for each in difference["nodes"]["added"]] == ["b"]


async def test_a_template_is_imported_by_another_tenant(shown: Shown) -> None:
    text = await shown.other.get(f"{shown.path}/export?format=yaml")
    made = await shown.other.post("/api/workflows/import", content=text.content)
    assert (made.status_code, made.json()["visibility"]) == (201, "tenant")
    assert made.json()["id"] != shown.workflow["id"]
    assert made.json()["definition"] == (await shown.owner.get(shown.path)).json()["definition"]


async def test_others_can_do_nothing_else_with_it(shown: Shown) -> None:
    """Every other route of a workflow answers as for an id that nobody has."""

    async def asked(method: str, path: str) -> tuple[int, Any]:
        body: dict[str, Any] = {} if method in BODILESS else {"json": {"name": "x"}}
        answer = await shown.other.request(method, path, **body)
        return answer.status_code, told(answer)

    wanted = {
        (door.method, door)
        for door in doors()
        if "workflow_id" in door.parameters() and not (door.method == "GET" and door.path in READ)
    }
    assert len(wanted) >= 8
    for method, door in wanted:
        theirs = door.at(workflow_id=shown.workflow["id"], version="1")
        nobodys = door.at(workflow_id=str(uuid4()), version="1")
        found = await asked(method, theirs)
        assert found == await asked(method, nobodys), (method, door.path)
        assert found[0] in {400, 404} or found == (200, []), (method, door.path, found)
    execute = {"workflowId": shown.workflow["id"], "input": {}}
    assert (await shown.other.post("/api/executions/run", json=execute)).status_code == 404
    assert (await shown.other.get(f"/api/workflows/{shown.workflow['key']}")).status_code == 404
    listed = (await shown.other.get("/api/workflows")).json()["items"]
    assert listed == []


def told(answer: Response) -> Any:
    """An answer's body without what is different each time."""
    if not answer.headers.get("content-type", "").startswith("application/"):
        return answer.text
    body = json.loads(answer.text)
    if isinstance(body, dict):
        body.pop("traceId", None)
    return body


async def test_what_is_hidden_again_is_unknown_from_that_answer_on(shown: Shown) -> None:
    async def statuses() -> set[int]:
        below = ("", "/versions", "/versions/1", "/export", "/diff?from=1&to=2")
        return {(await shown.other.get(f"{shown.path}{each}")).status_code for each in below}

    assert await statuses() == {200}
    assert (await shown.owner.put(shown.path, json={"visibility": "tenant"})).status_code == 200
    assert await statuses() == {404}
    again = await shown.owner.put(shown.path, json=PUBLIC)
    assert again.json()["visibility"] == "public-read"
    assert await statuses() == {200}
    await shown.owner.delete(shown.path)
    assert await statuses() == {404}


async def test_nobody_reads_it_without_a_credential(house: House, shown: Shown) -> None:
    assert (await house.client.get(shown.path)).status_code == 401


async def test_a_deleted_tenant_shows_nothing(house: House) -> None:
    gone = (await house.admin("POST", "/api/tenants", json={"name": "gone"})).json()
    other = await registered(house)
    async with house.caller(gone["adminApiKey"]) as admin, house.caller(other["token"]) as reader:
        body = {"definition": chain("a"), **PUBLIC}
        made = (await admin.post("/api/workflows", json=body)).json()
        path = f"/api/workflows/{made['id']}"
        assert (await reader.get(path)).status_code == 200
        await house.admin("DELETE", f"/api/tenants/{gone['id']}")
        assert (await reader.get(path)).status_code == 404
        assert (await reader.get(f"{path}/versions/1")).status_code == 404
