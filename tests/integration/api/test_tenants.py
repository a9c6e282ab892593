"""Tenants and their keys: made, changed, kept apart, ended."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from httpx import AsyncClient
from msgspec import Raw

from penstock.infra.keyring.data_keys import KeyGone
from penstock.infra.nats import subjects
from penstock.infra.nats.streams import REGISTRY
from penstock.messages.catalogue import VARIABLE
from penstock.messages.codec import codec_for
from tests.integration.api.houses import House, chain


async def test_a_tenant_is_made_with_the_first_key_of_its_admin(house: House) -> None:
    made = await house.admin("POST", "/api/tenants", json={"name": "one", "config": {}})
    body = made.json()
    assert made.status_code == 201, made.text
    assert set(body) == {"id", "name", "config", "createdAt", "adminApiKey"}
    assert body["config"]["limits"]["maxWorkflows"] == 100
    assert made.headers["location"] == f"/api/tenants/{body['id']}"
    assert made.headers["x-log-position"].startswith("r")
    read = await house.admin("GET", f"/api/tenants/{body['id']}")
    assert read.json() == {k: v for k, v in body.items() if k != "adminApiKey"}
    async with house.caller(body["adminApiKey"]) as client:
        assert (await client.get("/api/workflows")).json() == {"items": [], "nextCursor": None}


async def test_tenants_are_listed_newest_first(house: House) -> None:
    for name in ("first", "second", "third"):
        await house.admin("POST", "/api/tenants", json={"name": name})
    page = (await house.admin("GET", "/api/tenants?limit=2")).json()
    assert [each["name"] for each in page["items"]] == ["third", "second"]
    rest = (await house.admin("GET", f"/api/tenants?limit=1&cursor={page['nextCursor']}")).json()
    assert [each["name"] for each in rest["items"]] == ["first"]


async def test_a_merge_patch_changes_what_it_names(house: House) -> None:
    made = (await house.admin("POST", "/api/tenants", json={"name": "before"})).json()
    path = f"/api/tenants/{made['id']}"
    patch = {"name": "after", "config": {"limits": {"maxWorkflows": 5}}}
    changed = await house.admin("PATCH", path, json=patch)
    assert changed.status_code == 200, changed.text
    limits = (await house.admin("GET", path)).json()["config"]["limits"]
    assert (changed.json()["name"], limits["maxWorkflows"]) == ("after", 5)
    assert limits["maxExecutionsPerDay"] == 10_000
    await house.admin("PATCH", path, json={"config": {"limits": {"maxWorkflows": None}}})
    limits = (await house.admin("GET", path)).json()["config"]["limits"]
    assert limits["maxWorkflows"] == 100


async def test_an_allow_list_is_kept_and_a_wrong_entry_is_refused(house: House) -> None:
    entries = ["crm.internal:8080", "10.1.0.0/16"]
    asked = {"name": "inside", "config": {"egressAllow": entries}}
    made = (await house.admin("POST", "/api/tenants", json=asked)).json()
    path = f"/api/tenants/{made['id']}"
    assert made["config"]["egressAllow"] == entries
    await house.admin("PATCH", path, json={"config": {"weight": 2}})
    assert (await house.admin("GET", path)).json()["config"]["egressAllow"] == entries
    for wrong in ("0.0.0.0/0", "::/0", "http://crm", "a b"):
        answer = await house.admin("PATCH", path, json={"config": {"egressAllow": [wrong]}})
        assert answer.status_code == 400, wrong
        assert answer.json()["details"][0]["pointer"] == "/config/egressAllow"
    await house.admin("PATCH", path, json={"config": {"egressAllow": None}})
    assert (await house.admin("GET", path)).json()["config"]["egressAllow"] == []


async def test_a_deleted_tenant_is_gone_and_its_keys_open_nothing(house: House) -> None:
    made = (await house.admin("POST", "/api/tenants", json={"name": "gone"})).json()
    path = f"/api/tenants/{made['id']}"
    async with house.caller(made["adminApiKey"]) as client:
        assert (await client.get("/api/workflows")).status_code == 200
        assert (await house.admin("DELETE", path)).status_code == 204
        assert (await client.get("/api/workflows")).status_code == 401
    assert (await house.admin("GET", path)).status_code == 404
    assert (await house.admin("DELETE", path)).status_code == 404
    named = {"X-Tenant-Id": made["id"]}
    assert (await house.admin("GET", "/api/workflows", headers=named)).status_code == 404


async def test_what_a_deleted_tenant_has_said_can_be_opened_by_nobody(house: House) -> None:
    made = (await house.admin("POST", "/api/tenants", json={"name": "forgotten"})).json()
    async with house.caller(made["adminApiKey"]) as client:
        said = await client.post("/api/variables", json={"name": "kept", "value": "a secret"})
        assert said.status_code == 201
    parts = house.api.parts
    subject = subjects.registry(made["id"], VARIABLE, said.json()["id"])
    last = await parts.nc.jetstream().get_last_msg(REGISTRY, subject)
    (event,) = codec_for(VARIABLE).decode(last.data or b"").events
    stored = bytes(event.value.inline)
    assert await parts.seals.text(made["id"], event.value, stored) == Raw(b'"a secret"')
    assert (await house.admin("DELETE", f"/api/tenants/{made['id']}")).status_code == 204
    with pytest.raises(KeyGone):
        await parts.seals.text(made["id"], event.value, stored)
    with pytest.raises(KeyGone):
        await parts.seals.sealed(made["id"], b'"more"')


async def test_only_the_platform_admin_manages_tenants(house: House, tenant: AsyncClient) -> None:
    assert (await tenant.get("/api/tenants")).status_code == 403
    assert (await house.client.get("/api/tenants")).status_code == 401


async def test_a_platform_admin_names_the_tenant_it_acts_for(house: House) -> None:
    made = (await house.admin("POST", "/api/tenants", json={"name": "named"})).json()
    unnamed = await house.admin("GET", "/api/workflows")
    assert (unnamed.status_code, unnamed.json()["code"]) == (400, "TENANT_REQUIRED")
    unnamed = await house.admin("GET", "/api/workflows", headers={"X-Tenant-Id": ""})
    assert (unnamed.status_code, unnamed.json()["code"]) == (400, "TENANT_REQUIRED")
    for wrong in ("nonsense", str(uuid4())):
        answer = await house.admin("GET", "/api/workflows", headers={"X-Tenant-Id": wrong})
        assert answer.status_code == 404
    named = {"X-Tenant-Id": made["id"]}
    assert (await house.admin("GET", "/api/workflows", headers=named)).status_code == 200


async def test_a_tenant_cannot_name_another(house: House, tenant: AsyncClient) -> None:
    other = (await house.admin("POST", "/api/tenants", json={"name": "other"})).json()
    refused = await tenant.get("/api/workflows", headers={"X-Tenant-Id": other["id"]})
    assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")


async def test_what_belongs_to_one_tenant_does_not_exist_for_another(
    house: House, tenant: AsyncClient
) -> None:
    workflow = (await tenant.post("/api/workflows", json={"definition": chain("a")})).json()
    run = (await tenant.post(f"/api/workflows/{workflow['id']}/execute")).json()["runId"]
    key = (await tenant.post("/api/api-keys", json={"name": "k", "role": "viewer"})).json()
    made = (await house.admin("POST", "/api/tenants", json={"name": "stranger"})).json()
    async with house.caller(made["adminApiKey"]) as stranger:
        for method, path in (
            ("GET", f"/api/workflows/{workflow['id']}"),
            ("PUT", f"/api/workflows/{workflow['id']}"),
            ("DELETE", f"/api/workflows/{workflow['id']}"),
            ("GET", f"/api/workflows/{workflow['id']}/versions"),
            ("POST", f"/api/workflows/{workflow['id']}/execute"),
            ("GET", f"/api/workflows/{workflow['id']}/runs"),
            ("GET", f"/api/runs/{run}"),
            ("GET", f"/api/runs/{run}/steps"),
            ("GET", f"/api/runs/{run}/events"),
            ("GET", f"/api/runs/{run}/stream"),
            ("POST", f"/api/runs/{run}/cancel"),
            ("DELETE", f"/api/api-keys/{key['id']}"),
        ):
            answer = await stranger.request(method, path, content=b"{not even json")
            assert (method, path, answer.status_code) == (method, path, 404)
        assert (await stranger.get("/api/runs")).json()["items"] == []


async def test_a_key_does_what_its_role_may_until_it_is_revoked(
    house: House, tenant: AsyncClient
) -> None:
    made = await tenant.post("/api/api-keys", json={"name": "reader", "role": "viewer"})
    key = made.json()
    assert made.status_code == 201, made.text
    assert key["key"].startswith("psk_")
    listed = (await tenant.get("/api/api-keys")).json()["items"]
    assert [each["name"] for each in listed] == ["reader", "admin"]
    assert all("key" not in each for each in listed)
    async with house.caller(key["key"]) as viewer:
        assert (await viewer.get("/api/workflows")).status_code == 200
        refused = await viewer.post("/api/workflows", json={"name": "no"})
        assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
        assert (await tenant.delete(f"/api/api-keys/{key['id']}")).status_code == 204
        assert (await viewer.get("/api/workflows")).status_code == 401
    assert len((await tenant.get("/api/api-keys")).json()["items"]) == 1


async def test_roles_have_other_spellings(tenant: AsyncClient) -> None:
    for spelled, role in (("ADMIN", "admin"), ("USER", "member"), ("MEMBER", "member")):
        made = await tenant.post("/api/api-keys", json={"name": "k", "role": spelled})
        assert made.json()["role"] == role
    for wrong in ("platform_admin", "owner", 1):
        refused = await tenant.post("/api/api-keys", json={"name": "k", "role": wrong})
        assert refused.json()["details"][0]["pointer"] == "/role"


async def test_a_key_ends_at_its_time(tenant: AsyncClient) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = await tenant.post(
        "/api/api-keys", json={"name": "k", "role": "viewer", "expiresAt": soon}
    )
    assert made.json()["expiresAt"].endswith("Z")
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for wrong in (past, "2200-01-01T00:00:00Z", "9999-12-31T23:59:59.9999Z"):
        refused = await tenant.post(
            "/api/api-keys", json={"name": "k", "role": "viewer", "expiresAt": wrong}
        )
        assert (refused.status_code, refused.json()["details"][0]["pointer"]) == (400, "/expiresAt")


async def test_a_repeated_request_makes_one_key_and_shows_it_again(tenant: AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    asked = {"name": "k", "role": "viewer"}
    first = await tenant.post("/api/api-keys", json=asked, headers=headers)
    again = await tenant.post("/api/api-keys", json=asked, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    other = await tenant.post("/api/api-keys", json={**asked, "name": "l"}, headers=headers)
    assert other.status_code == 409


async def test_a_repeated_request_makes_one_tenant(house: House) -> None:
    headers = {"Idempotency-Key": "tenant-once"}
    first = await house.admin("POST", "/api/tenants", json={"name": "once"}, headers=headers)
    renamed = {"name": "renamed since"}
    changed = await house.admin("PATCH", f"/api/tenants/{first.json()['id']}", json=renamed)
    assert changed.json()["name"] == "renamed since"
    again = await house.admin("POST", "/api/tenants", json={"name": "once"}, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    async with house.caller(again.json()["adminApiKey"]) as client:
        assert (await client.get("/api/workflows")).status_code == 200
