"""Secrets and connections through the API: set, replaced, removed, listed, never read."""

from typing import Any

import psycopg
import pytest
from httpx import AsyncClient, Response

from penstock.domain.connection.types import CONNECTION_TYPES, TYPES
from tests.integration.api.houses import House

VALUE = "a-value-nobody-may-see"
CONFIGS: dict[str, dict[str, Any]] = {
    "http_basic": {"username": "u", "password": VALUE, "hosts": ["api.test"]},
    "bearer": {"token": VALUE},
    "api_key": {"in": "query", "name": "key", "key": VALUE},
    "oauth2_client_credentials": {
        "tokenUrl": "https://id.test/token",
        "clientId": "c",
        "clientSecret": VALUE,
    },
    "smtp": {"host": "mail.test", "username": "u", "password": VALUE},
    "postgres": {"host": "db.test", "database": "d", "username": "u", "password": VALUE},
    "s3": {"bucket": "b", "accessKeyId": "a", "secretAccessKey": VALUE},
    "openai": {"baseUrl": "https://ai.test/v1", "apiKey": VALUE},
}


async def made(tenant: AsyncClient, name: str, **headers: str) -> Response:
    """A secret."""
    body = {"name": name, "value": VALUE}
    return await tenant.post("/api/secrets", json=body, headers=headers)


async def test_a_secret_lives_and_lives_again_unseen(tenant: AsyncClient) -> None:
    first = await made(tenant, "token")
    assert first.status_code == 201, first.text
    told = first.json()
    assert set(told) == {"id", "name", "createdBy", "createdAt", "updatedBy", "updatedAt"}
    for ref in ("token", told["id"]):
        read = await tenant.get(f"/api/secrets/{ref}")
        assert (read.json(), read.headers["etag"]) == (told, '"1"')
    taken = await made(tenant, "token")
    assert (taken.status_code, taken.json()["code"]) == (409, "NAME_TAKEN")
    put = await tenant.put("/api/secrets/token", json={"value": VALUE + "2"})
    assert (put.status_code, put.headers["etag"]) == (200, '"2"')
    assert put.json()["createdAt"] == told["createdAt"] != put.json()["updatedAt"]
    headers = {"If-Match": '"1"'}
    lost = await tenant.put("/api/secrets/token", json={"value": VALUE}, headers=headers)
    assert lost.status_code == 412
    renamed = await tenant.put("/api/secrets/token", json={"value": VALUE, "name": "other"})
    assert renamed.json()["details"][0]["pointer"] == "/name"
    assert (await tenant.delete("/api/secrets/token")).status_code == 204
    assert (await tenant.get("/api/secrets/token")).status_code == 404
    assert (await tenant.put("/api/secrets/token", json={"value": VALUE})).status_code == 404
    again = await made(tenant, "token")
    assert (again.status_code, again.json()["id"]) == (201, told["id"])
    assert (await tenant.get("/api/secrets")).json()["items"] == [again.json()]


async def test_a_repeated_request_makes_one_secret(tenant: AsyncClient) -> None:
    first = await made(tenant, "once", **{"Idempotency-Key": "k"})
    again = await made(tenant, "once", **{"Idempotency-Key": "k"})
    assert (again.status_code, again.json()) == (201, first.json())
    body = {"name": "once", "value": "another value"}
    other = await tenant.post("/api/secrets", json=body, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")


@pytest.mark.parametrize("value", ["short", "x" * 16_385, 123456, None, ["a-list-of-things"]])
async def test_a_value_that_cannot_be_kept_is_not_repeated(tenant: AsyncClient, value: Any) -> None:
    refused = await tenant.post("/api/secrets", json={"name": "s", "value": value})
    assert (refused.status_code, refused.json()["details"][0]["pointer"]) == (400, "/value")
    assert "a-list-of-things" not in refused.text


async def test_what_is_stored_is_sealed_and_goes_with_its_removal(
    tenant: AsyncClient, api_urls: dict[str, str]
) -> None:
    await made(tenant, "kept")
    await made(tenant, "gone")
    await tenant.delete("/api/secrets/gone")
    with psycopg.connect(api_urls["penstock_owner"]) as owner:
        rows = owner.execute("select name, sealed from vault.secrets where kind = 'secret'")
        found: dict[str, Any] = dict(rows.fetchall())
    assert found["gone"] is None
    assert VALUE.encode() not in found["kept"]
    assert len(found["kept"]) == len(VALUE) + 28


@pytest.mark.parametrize("kind", CONNECTION_TYPES)
async def test_a_connection_shows_all_but_what_is_secret(tenant: AsyncClient, kind: str) -> None:
    body = {"name": f"my-{kind}", "type": kind, "config": CONFIGS[kind]}
    first = await tenant.post("/api/connections", json=body)
    assert first.status_code == 201, first.text
    told = first.json()
    hidden = CONNECTION_TYPES[kind].secret_fields
    assert told["config"] == {n: v for n, v in CONFIGS[kind].items() if n not in hidden}
    assert told["secretFields"] == list(hidden)
    assert hidden
    assert (await tenant.get(f"/api/connections/my-{kind}")).json() == told
    listed = await tenant.get("/api/connections")
    assert listed.json()["items"] == [told]
    assert VALUE not in first.text + listed.text
    put = await tenant.put(
        f"/api/connections/my-{kind}",
        json={"type": "bearer", "config": {"token": "another-token"}},
    )
    assert (put.status_code, put.json()["type"], put.json()["config"]) == (200, "bearer", {})
    assert (await tenant.delete(f"/api/connections/my-{kind}")).status_code == 204
    assert (await tenant.get("/api/connections")).json()["items"] == []


async def test_a_changed_connection_says_its_secret_again(tenant: AsyncClient) -> None:
    body = {"name": "shop", "type": "http_basic", "config": CONFIGS["http_basic"]}
    assert (await tenant.post("/api/connections", json=body)).status_code == 201
    changed = {"type": "http_basic", "config": {"username": "u", "hosts": ["evil.test"]}}
    refused = await tenant.put("/api/connections/shop", json=changed)
    assert refused.status_code == 400
    assert [each["pointer"] for each in refused.json()["details"]] == ["/config/password"]


@pytest.mark.parametrize(
    ("kind", "config", "pointers"),
    [
        ("none", {}, ["/type"]),
        ("bearer", {"token": "tiny"}, ["/config/token", "/config/token"]),
        ("bearer", {"token": ["not-a-text-at-all"]}, ["/config/token"]),
        ("bearer", {"token": VALUE, "tokn": VALUE}, ["/config/tokn"]),
        ("api_key", {"key": VALUE, "name": "a b"}, ["/config/name"]),
        ("smtp", {"host": "h", "port": 0}, ["/config/port"]),
        ("openai", {"baseUrl": "https://user:pw@ai.test", "apiKey": VALUE}, ["/config/baseUrl"]),
    ],
)
async def test_a_wrong_config_is_told_without_its_secrets(
    tenant: AsyncClient, kind: str, config: dict[str, Any], pointers: list[str]
) -> None:
    body = {"name": "wrong", "type": kind, "config": config}
    refused = await tenant.post("/api/connections", json=body)
    assert refused.status_code == 400
    assert [each["pointer"] for each in refused.json()["details"]] == pointers
    assert VALUE not in refused.text
    assert "not-a-text-at-all" not in refused.text


async def test_types_are_listed_with_their_schemas(tenant: AsyncClient) -> None:
    listed = (await tenant.get("/api/connection-types")).json()["items"]
    assert [each["type"] for each in listed] == [kind.name for kind in TYPES]
    assert listed[0]["configSchema"]["properties"]["password"]["writeOnly"] is True


async def test_who_may_do_what(house: House, tenant: AsyncClient) -> None:
    await made(tenant, "token")
    for role, reads in (("member", 403), ("editor", 200)):
        key = (await tenant.post("/api/api-keys", json={"name": role, "role": role})).json()["key"]
        async with house.caller(key) as caller:
            for path in ("/api/secrets", "/api/connections", "/api/connection-types"):
                assert (await caller.get(path)).status_code == reads
            assert (await made(caller, "mine")).status_code == 403
            assert (await caller.delete("/api/secrets/token")).status_code == 403
    stranger = (await house.admin("POST", "/api/tenants", json={"name": "stranger"})).json()
    async with house.caller(stranger["adminApiKey"]) as other:
        assert (await other.get("/api/secrets")).json()["items"] == []
        for method in ("GET", "PUT", "DELETE"):
            answered = await other.request(method, "/api/secrets/token", json={"value": VALUE})
            assert answered.status_code == 404
