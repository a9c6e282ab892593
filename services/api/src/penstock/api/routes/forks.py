"""New runs from old ones: retried from what failed, or forked from any step or position."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from penstock.api import bodies, forks, starts
from penstock.api.answers import POSITION_HEADER, REPLAYED_HEADER, answered
from penstock.api.auth import RunsStarter, refuse_without
from penstock.api.forks import Asked, Beginning
from penstock.api.openapi import gives, takes
from penstock.api.parts import parts_of
from penstock.api.positions import EVENTS, parse
from penstock.api.routes.runs import known_run, whole_run
from penstock.api.schemas import RunShown
from penstock.api.schemas_control import Fork, ForkPlan
from penstock.api.writes import read_after
from penstock.domain.identity import Permission

router = APIRouter(prefix="/api/runs/{run_id}", tags=["control"])

DryRun = Annotated[bool, Query(alias="dryRun", description="only tell what would be done")]


@router.post(
    "/retry",
    status_code=201,
    responses=gives(RunShown, status=201) | gives(ForkPlan),
)
async def retry_run(
    request: Request, run_id: str, caller: RunsStarter, dry_run: DryRun = False
) -> Response:
    """Begin a new run with what succeeded in one that did not; all else has its turn again."""
    parts = parts_of(request)
    await read_after(request, parts)
    row = await known_run(parts, caller, run_id)
    begin = await forks.retried(parts, caller, row)
    if dry_run:
        return answered(forks.preview(begin))
    return await created(Asked(request, parts, caller, row, {}, forks.RETRY), begin)


@router.post(
    "/fork",
    status_code=201,
    responses=gives(RunShown, status=201) | gives(ForkPlan),
    openapi_extra=takes(Fork, required=False),
)
async def fork_run(
    request: Request, run_id: str, caller: RunsStarter, dry_run: DryRun = False
) -> Response:
    """Begin a new run that shares the history of another one up to a step or a position.

    Another definition is for those who may write workflows: it can do whatever these can.
    """
    parts = parts_of(request)
    await read_after(request, parts)
    row = await known_run(parts, caller, run_id)
    sent = await bodies.value(request, default={})
    wanted = bodies.fitted(sent, Fork)
    if wanted.definition is not None:
        refuse_without(caller.role, Permission.WORKFLOWS_WRITE)
    begin = await forks.forked(parts, caller, row, wanted)
    if dry_run:
        return answered(forks.preview(begin))
    given = wanted.input if "input" in wanted.model_fields_set else ...
    asked = Asked(request, parts, caller, row, sent, forks.FORK)
    return await created(asked, begin, given=given)


async def created(asked: Asked, begin: Beginning, *, given: object = ...) -> Response:
    """201 with the new run, or with what is known of it until the read models have it."""
    run_id, reply = await forks.begun(asked, begin, given)
    parts, caller = asked.parts, asked.caller
    headers = {"Location": f"/api/runs/{run_id}"}
    if reply is not None and reply.replayed:
        headers[REPLAYED_HEADER] = "true"
    position = reply.position if reply is not None else None
    if position and await parts.checkpoint.reached(EVENTS, parse(position, "").seq):
        headers[POSITION_HEADER] = position
    row = await forks.row_of(parts, caller, run_id)
    if row is not None:
        return answered(await whole_run(parts, row), status=201, headers=headers)
    body = {
        **starts.accepted_body(run_id),
        "id": str(run_id),
        "forkedFrom": {"runId": begin.origin.run_id, "position": begin.origin.position},
    }
    return answered(body, status=202, headers=headers)
