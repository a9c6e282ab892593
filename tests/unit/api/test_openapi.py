"""The routes say who may use them, and the document says it to everybody."""

import inspect
from typing import Any, cast

from fastapi import FastAPI

from penstock.api.app import MODELS, application, routes
from penstock.api.auth import Access, PlatformAccess, Public, guard_of
from penstock.api.cross_origin import Refusals
from penstock.api.door import Door
from penstock.api.openapi import document
from penstock.api.parts import Parts
from penstock.domain.identity import Permission

PUBLIC = {"/livez", "/readyz", "/metrics", "/api/health", "/api/openapi.json", "/docs"} | {
    f"/api/auth/{name}" for name in ("register", "login", "refresh", "logout", "accept")
}
CONTRACT = {
    ("GET", "/api/usage"),
    ("GET", "/api/tenants"), ("POST", "/api/tenants"), ("GET", "/api/tenants/{tenant_id}"),
    ("GET", "/api/tenants/{tenant_id}/deletion"),
    ("PATCH", "/api/tenants/{tenant_id}"), ("DELETE", "/api/tenants/{tenant_id}"),
    ("GET", "/api/api-keys"), ("POST", "/api/api-keys"), ("DELETE", "/api/api-keys/{key_id}"),
    ("GET", "/api/workflows"), ("POST", "/api/workflows"),
    ("POST", "/api/workflows/validate"), ("GET", "/api/workflows/{workflow_id}"),
    ("PUT", "/api/workflows/{workflow_id}"), ("DELETE", "/api/workflows/{workflow_id}"),
    ("POST", "/api/workflows/{workflow_id}/execute"),
    ("POST", "/api/executions/{workflow_id}/execute"), ("POST", "/api/executions/run"),
    ("GET", "/api/workflows/{workflow_id}/runs"), ("GET", "/api/executions/{workflow_id}/logs"),
    ("GET", "/api/runs"), ("GET", "/api/runs/{run_id}"), ("GET", "/api/executions/{run_id}"),
    ("GET", "/api/runs/{run_id}/steps"), ("GET", "/api/runs/{run_id}/events"),
    ("GET", "/api/runs/{run_id}/stream"), ("POST", "/api/runs/{run_id}/cancel"),
    ("GET", "/api/step-types"), ("GET", "/api/health"),
    ("POST", "/api/auth/register"), ("POST", "/api/auth/login"), ("POST", "/api/auth/refresh"),
    ("POST", "/api/auth/logout"), ("POST", "/api/auth/accept"), ("GET", "/api/auth/me"),
    ("GET", "/api/users"), ("POST", "/api/users"), ("PATCH", "/api/users/{user_id}"),
    ("DELETE", "/api/users/{user_id}"),
}  # fmt: skip


def described() -> dict[str, Any]:
    door = application(cast("Parts", object()))
    assert isinstance(door, Door)
    assert isinstance(door.app, Refusals)
    app = door.app.app
    assert isinstance(app, FastAPI)
    return document(app, routes(), MODELS)


def test_every_route_states_what_it_needs() -> None:
    for route in routes():
        guard = guard_of(route)
        assert guard is not None, route.path
        assert isinstance(guard, Public) == (route.path in PUBLIC), route.path


def test_tenants_are_the_platform_admins_and_all_else_belongs_to_a_tenant() -> None:
    for route in routes():
        guard = guard_of(route)
        if isinstance(guard, PlatformAccess) and guard.permission is Permission.SELF_READ:
            assert route.path in {"/api/auth/me", "/api/auth/password"}
        elif isinstance(guard, PlatformAccess):
            assert route.path.startswith("/api/tenants")
            assert guard.permission is Permission.TENANTS_MANAGE
        elif isinstance(guard, Access):
            assert not route.path.startswith("/api/tenants")


def test_a_route_that_changes_something_needs_more_than_reading() -> None:
    reading = {Permission.RUNS_READ, Permission.WORKFLOWS_READ}
    for route in routes():
        guard = guard_of(route)
        if isinstance(guard, Access) and route.methods != {"GET"}:
            judging = route.path == "/api/workflows/validate"
            assert (guard.permission in reading) == judging, route.path


def test_the_contract_is_served() -> None:
    served = {(method, route.path) for route in routes() for method in route.methods or ()}
    assert served >= CONTRACT


def test_the_document_is_whole() -> None:
    found = described()
    named = {part.split("'")[0] for part in str(found).split("#/components/schemas/")[1:]}
    assert named <= set(found["components"]["schemas"])
    for path, operations in found["paths"].items():
        for operation in operations.values():
            public = path in PUBLIC
            assert ("x-permission" in operation) != public
            assert (operation.get("security") == []) == public
            assert not {"default", "422"} & set(operation["responses"]), path


def test_every_operation_names_its_problems() -> None:
    found = described()
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            answers = set(operation["responses"])
            assert answers >= {"400", "413", "429", "503"}, path
            if path not in PUBLIC and "x-permission" in operation:
                assert answers >= {"401", "403", "404"}, path
            assert "409" in answers or method == "get", path
            assert ("415" in answers) == ("requestBody" in operation), path
            assert any(status.startswith("2") for status in answers), path
    for answer in found["components"]["responses"].values():
        assert set(answer["content"]) == {"application/problem+json"}


def test_what_depends_on_a_revision_says_so() -> None:
    found = described()["paths"]
    for route in routes():
        source = inspect.getsource(route.endpoint)
        for method in route.methods or ():
            answers = found.get(route.path, {}).get(method.lower(), {}).get("responses", {})
            assert ("may_change(" not in source) or "412" in answers, route.path
            assert ("status_code=304" not in source) or "304" in answers, route.path
