"""Two APIs at once: what one does, the other knows before its answer is out."""

from collections.abc import AsyncIterator

import pytest
from httpx import AsyncClient

from penstock.api.app import Api
from penstock.dev.ports import free_port
from tests.integration.api.houses import House, chain


@pytest.fixture
async def other(house: House, tenant: AsyncClient) -> AsyncIterator[AsyncClient]:
    """The tenant's admin at another replica."""
    settings = house.settings.model_copy(update={"api_port": (port := free_port())})
    api = Api(settings, house.api.parts.nc)
    await api.start()
    url = f"http://127.0.0.1:{port}"
    async with AsyncClient(base_url=url, headers=tenant.headers, timeout=20) as client:
        yield client
    await api.stop()


async def test_a_new_version_is_run_everywhere_at_once(
    tenant: AsyncClient, other: AsyncClient
) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": chain("a")})).json()
    at = f"/api/workflows/{made['id']}"
    for version in range(2, 8):
        for client in (tenant, other):
            run = await client.post(f"{at}/execute?mode=sync")
            assert run.json()["version"] == version - 1, run.text
        await tenant.put(at, json={"definition": chain("a", f"b{version}")})
    await tenant.delete(at)
    for client in (other, tenant):
        assert (await client.post(f"{at}/execute")).status_code == 404


async def test_a_revoked_key_opens_nothing_anywhere(
    house: House, tenant: AsyncClient, other: AsyncClient
) -> None:
    key = (await tenant.post("/api/api-keys", json={"name": "k", "role": "viewer"})).json()
    sent = {"Authorization": f"Bearer {key['key']}"}
    assert (await other.get("/api/runs", headers=sent)).status_code == 200
    await tenant.delete(f"/api/api-keys/{key['id']}")
    for client in (other, tenant):
        assert (await client.get("/api/runs", headers=sent)).status_code == 401


async def test_a_key_names_one_run_at_both(tenant: AsyncClient, other: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": chain("a")})).json()
    path, headers = f"/api/workflows/{made['id']}/execute", {"Idempotency-Key": "both"}
    one = await tenant.post(path, json={"input": 1}, headers=headers)
    two = await other.post(path, json={"input": 1}, headers=headers)
    assert one.text == two.text


async def test_a_write_at_one_is_read_at_the_other(tenant: AsyncClient, other: AsyncClient) -> None:
    made = await tenant.post("/api/workflows", json={"name": "seen"})
    sent = {"X-Read-After": made.headers["x-log-position"]}
    assert (await other.get(made.headers["location"], headers=sent)).status_code == 200
