"""Every answer has the shape that the OpenAPI document promises, no member more or less."""

from typing import Any

import pytest
from httpx import AsyncClient
from pydantic import BaseModel, TypeAdapter

from penstock.api import schemas, schemas_registry
from tests.integration.api.houses import House, chain, waiting
from tests.integration.api.test_runs import drawn


def fits(model: type[BaseModel], value: Any, *, without: frozenset[str] = frozenset()) -> None:
    """`value` is a `model` with all of its members but those in `without`."""
    model.model_validate(value)
    names = {field.alias or name for name, field in model.model_fields.items()}
    assert set(value) == names - without


async def test_tenants_and_keys(house: House, tenant: AsyncClient) -> None:
    made = (await house.admin("POST", "/api/tenants", json={"name": "shaped"})).json()
    fits(schemas_registry.TenantShown, made)
    hidden = frozenset({"adminApiKey"})
    path = f"/api/tenants/{made['id']}"
    fits(schemas_registry.TenantShown, (await house.admin("GET", path)).json(), without=hidden)
    listed = (await house.admin("GET", "/api/tenants")).json()["items"]
    fits(schemas_registry.TenantShown, listed[0], without=hidden)
    key = (await tenant.post("/api/api-keys", json={"name": "k", "role": "viewer"})).json()
    fits(schemas_registry.KeyShown, key)
    listed = (await tenant.get("/api/api-keys")).json()["items"]
    fits(schemas_registry.KeyShown, listed[0], without=frozenset({"key"}))


async def test_workflows_and_versions(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": chain("a")})).json()
    path = f"/api/workflows/{made['id']}"
    undefined = frozenset({"definition"})
    for value in (made, (await tenant.get(path)).json(), (await tenant.put(path, json={})).json()):
        fits(schemas_registry.WorkflowShown, value)
    listed = (await tenant.get("/api/workflows")).json()["items"]
    fits(schemas_registry.WorkflowShown, listed[0], without=undefined)
    draft = await tenant.post(f"{path}/versions", json={"definition": chain("b")})
    fits(schemas_registry.VersionShown, draft.json())
    fits(schemas_registry.VersionShown, (await tenant.get(f"{path}/versions/2")).json())
    listed = (await tenant.get(f"{path}/versions")).json()["items"]
    fits(schemas_registry.VersionShown, listed[0], without=undefined)
    fits(schemas_registry.WorkflowShown, (await tenant.post(f"{path}/versions/2/publish")).json())
    judged = await tenant.post("/api/workflows/validate", json={"definition": {}})
    compared = await tenant.get(f"{path}/diff?from=1&to=2")
    fits(schemas_registry.DifferenceShown, compared.json())
    imported = await tenant.post("/api/workflows/import", json=chain("a", id="imported"))
    fits(schemas_registry.ImportShown, imported.json())
    fits(schemas_registry.Judgement, judged.json())
    kinds = (await tenant.get("/api/step-types")).json()
    TypeAdapter(list[schemas.StepTypeShown]).validate_python(kinds)


@pytest.mark.parametrize("definition", [chain("a", "b"), waiting(50)], ids=["chain", "wait"])
async def test_runs_steps_and_events(tenant: AsyncClient, definition: dict[str, Any]) -> None:
    workflow = await drawn(tenant, definition)
    accepted = (await tenant.post(f"/api/workflows/{workflow}/execute")).json()
    fits(schemas.Accepted, accepted)
    live = (await tenant.get(accepted["links"]["self"])).json()
    done = (await tenant.post(f"/api/executions/{workflow}/execute", json={})).json()
    for run in (live, done):
        fits(schemas.RunShown, run)
        for step in run["steps"]:
            fits(schemas.StepShown, step)
    listed = (await tenant.get("/api/runs")).json()["items"]
    fits(schemas.RunShown, listed[0], without=frozenset({"steps"}))
    for event in (await tenant.get(f"/api/runs/{done['id']}/events")).json()["items"]:
        fits(schemas.EventShown, event)


async def test_health_and_problems(house: House) -> None:
    fits(schemas.HealthShown, (await house.client.get("/api/health")).json())
    fits(schemas.ProblemDocument, (await house.client.get("/nope")).json())
