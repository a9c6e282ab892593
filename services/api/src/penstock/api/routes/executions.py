"""Execute, in its three forms: by workflow, by workflow with the bare input, and named in the body.

They differ in their default mode and in where the input stands; a run is a run.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from penstock.api import bodies, queries_runs, starts
from penstock.api.answers import POSITION_HEADER, answered
from penstock.api.auth import Caller, RunsStarter
from penstock.api.errors import Problem
from penstock.api.openapi import problem, takes, takes_anything
from penstock.api.parts import Parts, parts_of
from penstock.api.routes.runs import whole_run
from penstock.api.schemas import Accepted, Execute, ExecuteNamed, Mode, RunShown

TIMEOUT_DEFAULT_MS = 30_000
TIMEOUT_MAX_MS = 300_000

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": RunShown, "description": "The run, which has ended"},
    202: {"model": Accepted, "description": "The run, which goes on by itself"},
    "default": problem(),
}

TimeoutMs = Annotated[
    int, Query(alias="timeoutMs", ge=1, le=TIMEOUT_MAX_MS, description="of `mode=sync`")
]

router = APIRouter(prefix="/api", tags=["runs"])


@router.post(
    "/workflows/{workflow_id}/execute",
    status_code=202,
    responses=ANSWERS,
    openapi_extra=takes(Execute, required=False),
)
async def execute(
    request: Request,
    workflow_id: str,
    caller: RunsStarter,
    mode: Mode = Mode.ASYNC,
    timeout_ms: TimeoutMs = TIMEOUT_DEFAULT_MS,
) -> Response:
    """Run a workflow."""
    parts = parts_of(request)
    await _refuse_unknown(request, parts, caller, workflow_id)
    sent = await bodies.value(request, default={})
    start = starts.start_of(request, caller, sent, bodies.fitted(sent, Execute))
    run = await starts.begun(request, parts, caller, start, workflow_id)
    return await _answer(parts, caller, run, timeout_ms if mode is Mode.SYNC else None)


@router.post(
    "/executions/{workflow_id}/execute",
    responses=ANSWERS,
    openapi_extra=takes_anything(),
)
async def execute_bare(
    request: Request,
    workflow_id: str,
    caller: RunsStarter,
    mode: Mode = Mode.SYNC,
    timeout_ms: TimeoutMs = TIMEOUT_DEFAULT_MS,
) -> Response:
    """Run a workflow; the body is its input."""
    parts = parts_of(request)
    await _refuse_unknown(request, parts, caller, workflow_id)
    sent = await bodies.value(request, default=None)
    asked = Execute.model_construct(input=sent, version=None, priority=0, tags=[])
    start = starts.start_of(request, caller, sent, asked, bare_input=True)
    run = await starts.begun(request, parts, caller, start, workflow_id)
    return await _answer(parts, caller, run, timeout_ms if mode is Mode.SYNC else None)


@router.post("/executions/run", responses=ANSWERS, openapi_extra=takes(ExecuteNamed))
async def execute_named(
    request: Request,
    caller: RunsStarter,
    mode: Mode = Mode.SYNC,
    timeout_ms: TimeoutMs = TIMEOUT_DEFAULT_MS,
) -> Response:
    """Run the workflow that the body names."""
    parts = parts_of(request)
    sent = await bodies.value(request)
    asked = bodies.fitted(sent, ExecuteNamed)
    start = starts.start_of(request, caller, sent, asked)
    run = await starts.begun(request, parts, caller, start, asked.workflow_id)
    return await _answer(parts, caller, run, timeout_ms if mode is Mode.SYNC else None)


async def _refuse_unknown(request: Request, parts: Parts, caller: Caller, workflow_id: str) -> None:
    """Raise Problem 404 for an unknown workflow, before anybody looks at the body.

    A repeat under an Idempotency-Key is answered even when the workflow is deleted by now.
    """
    if not await parts.runnables.is_known(caller.tenant_id, workflow_id):
        key_id = starts.repeated_id(request, caller)
        known = key_id is not None and await queries_runs.find(
            parts.engine, caller.tenant_id, key_id
        )
        if not known:
            raise Problem(404, "there is no such workflow")


async def _answer(
    parts: Parts, caller: Caller, run: starts.Begun, timeout_ms: int | None
) -> Response:
    """The ended run where the caller waits for it and it ends in time, else 202."""
    if timeout_ms is not None:
        position = await starts.ended(parts, caller, run, timeout_ms / 1000)
        if position is not None:
            row = await queries_runs.find(parts.engine, caller.tenant_id, run.run_id)
            if row is not None:
                headers = starts.headers_of(run) | {POSITION_HEADER: position}
                return answered(await whole_run(parts, row), headers=headers)
    return await starts.accepted(parts, run)
