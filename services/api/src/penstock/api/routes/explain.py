"""Why a run waits, and where its time went."""

from fastapi import APIRouter, Request, Response

from penstock.api.answers import answered
from penstock.api.auth import RunsReader
from penstock.api.explaining import explanation
from penstock.api.openapi import gives
from penstock.api.parts import parts_of
from penstock.api.routes.runs import known_run
from penstock.api.schemas_control import Explanation
from penstock.api.writes import read_after

router = APIRouter(prefix="/api/runs/{run_id}", tags=["history"])


@router.get("/explain", responses=gives(Explanation))
async def explain_run(request: Request, run_id: str, caller: RunsReader) -> Response:
    """What each part of the run waits for, and every millisecond of its time by cause."""
    parts = parts_of(request)
    await read_after(request, parts)
    row = await known_run(parts, caller, run_id)
    return answered(await explanation(parts, caller, row))
