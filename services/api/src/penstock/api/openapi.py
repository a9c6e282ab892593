"""How routes are described: their bodies, answers and problems, and the document of them all."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from penstock.api.auth import Public, guard_of
from penstock.api.errors import PROBLEM_JSON
from penstock.api.schemas import ProblemDocument

REF = "#/components/schemas/{model}"
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}

Described = dict[str, Any]


def takes(model: type[BaseModel], *, required: bool = True) -> Described:
    """`openapi_extra` of a route that reads its body itself, in the shape `model`."""
    return {"requestBody": _body({"$ref": REF.format(model=model.__name__)}, required=required)}


def takes_anything() -> Described:
    """`openapi_extra` of a route whose body is any JSON value."""
    return {"requestBody": _body({}, required=False)}


def _body(schema: Described, *, required: bool) -> Described:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def gives(model: type[BaseModel] | None, *, status: int = 200) -> dict[int | str, Described]:
    """`responses` of a route: its answer in the shape `model`, and its problems."""
    answer: Described = {"description": "Done"}
    if model is not None:
        schema = {"$ref": REF.format(model=model.__name__)}
        answer["content"] = {"application/json": {"schema": schema}}
    return {status: answer, "default": problem()}


def gives_page_of(model: type[BaseModel]) -> dict[int | str, Described]:
    """`responses` of a route that answers a page of `model`."""
    schema = {
        "type": "object",
        "required": ["items", "nextCursor"],
        "properties": {
            "items": {"type": "array", "items": {"$ref": REF.format(model=model.__name__)}},
            "nextCursor": {"type": ["string", "null"]},
        },
    }
    answer = {"description": "Done", "content": {"application/json": {"schema": schema}}}
    return {200: answer, "default": problem()}


def problem() -> Described:
    """The answer that says what is wrong."""
    schema = {"$ref": REF.format(model=ProblemDocument.__name__)}
    return {"description": "A problem", "content": {PROBLEM_JSON: {"schema": schema}}}


def document(
    app: FastAPI, routes: Sequence[APIRoute], models: Sequence[type[BaseModel]]
) -> Described:
    """The OpenAPI document, made at the first call and kept."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version="3.1.0",
            description=app.description,
            routes=app.routes,
        )
        components = made.setdefault("components", {})
        _, defined = models_json_schema(
            [(model, "validation") for model in models], ref_template=REF
        )
        schemas = components.setdefault("schemas", {})
        schemas.update(defined.get("$defs", {}))
        for framework in ("HTTPValidationError", "ValidationError"):
            schemas.pop(framework, None)
        components["securitySchemes"] = SCHEMES
        made["security"] = SECURITY
        for route in routes:
            _tell_guard(route, made["paths"].get(route.path, {}))
        app.openapi_schema = made
    return app.openapi_schema


def _tell_guard(route: APIRoute, operations: Described) -> None:
    """Which permission a route's operations need; none has the framework's 422."""
    guard = guard_of(route)
    for method in route.methods or ():
        operation = operations.get(method.lower(), {"responses": {}})
        operation["responses"].pop("422", None)
        if guard is None or isinstance(guard, Public):
            operation["security"] = []
        else:
            operation["x-permission"] = str(guard.permission)
