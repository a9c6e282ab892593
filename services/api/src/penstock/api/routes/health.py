"""Probes, metrics, health; the types of nodes; the documents about this API."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from penstock.api.answers import answered
from penstock.api.auth import PUBLIC, WorkflowsReader
from penstock.api.docs_page import CONTENT_POLICY, PAGE
from penstock.api.errors import Problem
from penstock.api.health import health_of
from penstock.api.openapi import gives, problem
from penstock.api.parts import parts_of
from penstock.api.schemas import HealthShown, StepTypeShown
from penstock.domain.workflow.node_types import NODE_TYPES, NodeType

HEALTH = gives(HealthShown) | {503: gives(HealthShown)[200] | {"description": "Not well"}}

router = APIRouter()


@router.get("/livez", dependencies=[PUBLIC], tags=["health"], include_in_schema=False)
@router.get("/readyz", dependencies=[PUBLIC], tags=["health"], include_in_schema=False)
@router.get("/metrics", dependencies=[PUBLIC], tags=["health"], include_in_schema=False)
async def probe(request: Request) -> Response:
    """What a supervisor and Prometheus ask."""
    answer = await parts_of(request).probes.answer(request.url.path)
    if answer is None:
        raise Problem(404, "Not Found")
    return Response(answer.body, status_code=answer.status, media_type=answer.content_type)


@router.get("/api/health", dependencies=[PUBLIC], tags=["health"], responses=HEALTH)
async def health(request: Request) -> Response:
    """How the installation is; 503 when it is not well."""
    found = await health_of(parts_of(request))
    return answered(found, status=200 if found["ok"] else 503)


@router.get(
    "/api/step-types",
    tags=["workflows"],
    responses={200: {"model": list[StepTypeShown]}, "default": problem()},
)
async def list_step_types(_: WorkflowsReader) -> Response:
    """The types of nodes that the language has; `available` says which this release runs."""
    return answered([shown(kind) for kind in NODE_TYPES.values()])


@router.get("/api/openapi.json", dependencies=[PUBLIC], include_in_schema=False)
async def openapi(request: Request) -> Response:
    """The description of this API."""
    return answered(request.app.openapi())


@router.get("/docs", dependencies=[PUBLIC], include_in_schema=False)
async def docs() -> Response:
    """The page that shows `/api/openapi.json`, with nothing from elsewhere."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": CONTENT_POLICY})


def shown(kind: NodeType) -> dict[str, object]:
    """A type of node as clients see it."""
    return {
        "name": kind.name,
        "aliases": kind.aliases,
        "version": kind.version,
        "description": kind.description,
        "available": kind.available,
        "configSchema": dict(kind.config_schema),
        "output": kind.output,
        "branches": kind.branches,
        "defaultTimeoutMs": kind.default_timeout_ms,
    }
