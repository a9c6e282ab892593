"""How routes are described: their bodies, answers and problems, and the document of them all."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
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

EVERYWHERE = (400, 413, 429, 431, 503)
GUARDED = (401, 403, 404)
WRITING = (401, 403, 409)
WITH_BODY = (408, 415)
CONDITIONAL = 412
PROBLEMS = sorted({*EVERYWHERE, *GUARDED, *WRITING, *WITH_BODY, CONDITIONAL})
"""Statuses of problems: of any request, of one with a credential, of a write (what needs no
credential may be one), of one with a body, of one with `If-Match`."""
ANSWER = "#/components/responses/{status}"
READING = ":read"

Described = dict[str, Any]


def if_match() -> dict[int | str, Described]:
    """More `responses`, of a write that `If-Match` may stop."""
    return {CONDITIONAL: {"$ref": ANSWER.format(status=CONDITIONAL)}}


def if_it_stands_so() -> dict[int | str, Described]:
    """More `responses`, of a read that the state of things may forbid."""
    return {409: {"$ref": ANSWER.format(status=409)}}


def if_none_match() -> dict[int | str, Described]:
    """More `responses`, of a read that `If-None-Match` may spare."""
    return {304: {"description": "It is as the client knows it"}}


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
        components["responses"] = {str(status): _problem_of(status) for status in PROBLEMS}
        made["security"] = SECURITY
        for route in routes:
            _tell_guard(route, made["paths"].get(route.path, {}))
        app.openapi_schema = made
    return app.openapi_schema


def _tell_guard(route: APIRoute, operations: Described) -> None:
    """What a route's operations need, and all that they may answer beside what they are for."""
    guard = guard_of(route)
    for method in route.methods or ():
        operation = operations.get(method.lower(), {"responses": {}})
        answers = operation["responses"]
        for unsaid in ("422", "default"):
            answers.pop(unsaid, None)
        if guard is None or isinstance(guard, Public):
            operation["security"] = []
        else:
            operation["x-permission"] = str(guard.permission)
        for status in problems_of(method, operation, is_open=not operation.get("security", True)):
            answers.setdefault(str(status), {"$ref": ANSWER.format(status=status)})
        if method != "GET" and not str(guard and guard.permission).endswith(READING):
            answers.setdefault("202", _late(answers))


def problems_of(method: str, operation: Described, *, is_open: bool) -> Iterable[int]:
    """The statuses of the problems that an operation may answer."""
    yield from EVERYWHERE
    if not is_open:
        yield from GUARDED
    if method != "GET":
        yield from WRITING
    if "requestBody" in operation:
        yield from WITH_BODY


def _problem_of(status: int) -> Described:
    return problem() | {"description": HTTPStatus(status).phrase}


def _late(answers: Described) -> Described:
    """The answer to a write that the read models do not show yet."""
    done: Described = next((answers[status] for status in ("200", "201") if status in answers), {})
    return {**done, "description": "Written; reads may not show it yet"}
