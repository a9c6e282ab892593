"""Definitions as files: exported, imported, and versions compared."""

from typing import Any

import pytest
import yaml
from httpx import AsyncClient

from tests.integration.api.houses import House, chain

YAML = {"Content-Type": "application/yaml"}
DRAWN: dict[str, Any] = {
    "id": "order",
    "name": "Ördér: yes",
    "description": "1e3",
    "inputSchema": {"type": "object", "required": ["on"]},
    "timeoutMs": 60000,
    "nodes": [
        {"id": "a", "type": "noop", "input": {"day": "2026-11-21", "n": [1, 2.5, None, "no"]}},
        {"id": "b", "type": "noop", "join": "any"},
    ],
    "edges": [{"from": "a", "to": "b", "condition": {"type": "ALWAYS"}}],
}


@pytest.mark.parametrize("format_", ["json", "yaml"])
async def test_what_is_exported_is_imported_as_it_was(
    house: House, tenant: AsyncClient, format_: str
) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": DRAWN})).json()
    path = f"/api/workflows/order/export?format={format_}"
    exported = await tenant.get(path)
    media_type = f"application/{format_}"
    assert exported.headers["content-type"].partition(";")[0] == media_type
    assert f'"order.{format_}"' in exported.headers["content-disposition"]
    stranger = (await house.admin("POST", "/api/tenants", json={"name": "importer"})).json()
    async with house.caller(stranger["adminApiKey"]) as other:
        answers = [
            await other.post("/api/workflows/import", content=exported.content, headers=sent)
            for sent in ({"Content-Type": media_type}, {})
        ]
        assert [each.status_code for each in answers] == [201, 200]
        assert answers[1].json()["change"] == "unchanged"
        assert (await other.get(path)).content == exported.content
        version = (await other.get("/api/workflows/order/versions/1")).json()
    assert version["definition"] == made["definition"]
    own = (await tenant.get("/api/workflows/order/versions/1")).json()
    assert version["contentHash"] == own["contentHash"]


async def test_an_import_makes_then_changes_then_leaves(tenant: AsyncClient) -> None:
    text = yaml.safe_dump(DRAWN)
    made = await tenant.post("/api/workflows/import", content=text, headers=YAML)
    assert (made.status_code, made.json()["change"], made.json()["version"]) == (201, "created", 1)
    same = await tenant.post("/api/workflows/import", json={"definition": DRAWN})
    assert (same.status_code, same.json()["change"], same.json()["version"]) == (
        200,
        "unchanged",
        1,
    )
    other = {**DRAWN, "name": "Other"}
    changed = await tenant.post("/api/workflows/import", json=other)
    assert (changed.status_code, changed.json()["change"]) == (200, "updated")
    assert (changed.json()["version"], changed.json()["name"]) == (2, "Other")
    assert (await tenant.delete("/api/workflows/order")).status_code == 204
    again = await tenant.post("/api/workflows/import", json=DRAWN)
    assert (again.status_code, again.json()["version"]) == (201, 3)
    nameless = await tenant.post("/api/workflows/import", json=chain("a", name="No Id"))
    assert (nameless.status_code, nameless.json()["key"]) == (201, "no-id")
    twice = await tenant.post("/api/workflows/import", json=chain("a", name="No Id"))
    assert (twice.status_code, twice.json()["id"]) == (200, nameless.json()["id"])


async def test_a_repeated_import_is_answered_as_before(tenant: AsyncClient) -> None:
    for number, body in enumerate((DRAWN, {**DRAWN, "name": "Other"})):
        headers = {"Idempotency-Key": f"import-{number}"}
        first = await tenant.post("/api/workflows/import", json=body, headers=headers)
        again = await tenant.post("/api/workflows/import", json=body, headers=headers)
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert again.headers["idempotent-replayed"] == "true"
        refused = await tenant.post("/api/workflows/import", json=chain("x"), headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"),
    [
        (b"a: 1\na: 2", "application/yaml", 400, "MALFORMED_YAML"),
        (b"\xff\xfe\x00", "text/plain", 400, "MALFORMED_YAML"),
        (b"[" * 100_000, "text/yaml", 400, "MALFORMED_YAML"),
        (b"", "application/yaml", 400, "MALFORMED_YAML"),
        (b"{", "application/json", 400, "MALFORMED_JSON"),
        (b"{}", "text/plain", 400, "SCHEMA_INVALID"),
        (b"name: w", "application/yaml", 400, "SCHEMA_INVALID"),
        (b"- 1", "application/yaml", 400, "SCHEMA_INVALID"),
        (b"<a/>", "application/xml", 415, None),
        (b"#" * (1024 * 1024 + 1), "application/yaml", 413, None),
    ],
)
async def test_what_is_no_definition_is_refused(
    tenant: AsyncClient, body: bytes, media_type: str, status: int, code: str | None
) -> None:
    refused = await tenant.post(
        "/api/workflows/import", content=body, headers={"Content-Type": media_type}
    )
    assert refused.status_code == status, refused.text
    if code is not None:
        assert code in {each["code"] for each in refused.json()["details"]}


async def test_versions_are_compared(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": DRAWN})).json()
    at = f"/api/workflows/{made['id']}"
    node = {"id": "c", "type": "noop"}
    newer = {**DRAWN, "timeoutMs": 5, "nodes": [*DRAWN["nodes"][:1], node], "edges": []}
    draft = (await tenant.post(f"{at}/versions", json={"definition": newer})).json()
    found = (await tenant.get(f"{at}/diff?from=1&to={draft['id']}")).json()
    assert (found["from"]["number"], found["to"]["number"]) == (1, 2)
    assert (found["to"]["status"], found["identical"]) == ("draft", False)
    assert found["settings"] == [
        {"pointer": "/timeoutMs", "kind": "changed", "before": 60000, "after": 5}
    ]
    assert [each["id"] for each in found["nodes"]["added"]] == ["c"]
    assert [each["id"] for each in found["nodes"]["removed"]] == ["b"]
    assert [each["pointer"] for each in found["edges"]["removed"]] == ["/edges/0"]
    assert (await tenant.get(f"{at}/diff?from=1")).json() == found
    same = (await tenant.get(f"{at}/diff?from=2&to=2")).json()
    assert (same["identical"], same["settings"]) == (True, [])
    assert (await tenant.get(f"{at}/diff?from=1&to=9")).status_code == 404
    assert (await tenant.get(f"{at}/diff")).json()["details"][0]["pointer"] == "/query/from"


async def test_only_what_is_there_is_exported(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"name": "empty"})).json()
    at = f"/api/workflows/{made['id']}"
    refused = await tenant.get(f"{at}/export")
    assert (refused.status_code, refused.json()["code"]) == (409, "NO_VERSION")
    await tenant.post(f"{at}/versions", json={"definition": chain("a")})
    assert (await tenant.get(f"{at}/export?version=1")).json()["id"] == "empty"
    assert (await tenant.get(f"{at}/export?version=2")).status_code == 404
    assert (await tenant.get(f"{at}/export?format=xml")).status_code == 400
