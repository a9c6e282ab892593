"""One command to every run that a filter matches: cancel, or retry.

The runs are found in the read models, and the commands are stored before the answer: each is
decided as if it had come alone, and one that has taken effect before adds nothing. So a request
whose answer was lost is simply sent again; a retry under its Idempotency-Key.
"""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from penstock.api import bodies, queries_runs, retrying
from penstock.api.answers import answered
from penstock.api.auth import Caller, RunsCanceller
from penstock.api.errors import Problem
from penstock.api.openapi import gives, takes
from penstock.api.pages import After
from penstock.api.parts import Parts, parts_of, sender_of
from penstock.api.queries_runs import Filter
from penstock.api.routes.runs import filter_of
from penstock.api.schemas import Bulk, BulkAction, BulkTold
from penstock.api.writes import read_after
from penstock.domain.identity import Permission, permits
from penstock.domain.run.commands import CancelRun
from penstock.infra.postgres.tables import LIVE_STATUSES

MATCHED_MAX = 10_000
"""Runs of one request to cancel; `more` says that there are others, for the next one."""
BATCH = 500
"""Commands under way at once."""

router = APIRouter(prefix="/api", tags=["control"])


@router.post(
    "/runs/bulk",
    status_code=202,
    responses=gives(BulkTold, status=202),
    openapi_extra=takes(Bulk),
)
async def tell_runs(request: Request, caller: RunsCanceller) -> Response:
    """Cancel every run that matches and has not ended, or retry what ended without success."""
    parts = parts_of(request)
    asked = await bodies.model(request, Bulk)
    await read_after(request, parts)
    wanted = await filter_of(parts, caller, asked.filter)
    if asked.action is BulkAction.RETRY:
        return await retry_runs(request, caller, asked, wanted)
    if wanted is None:
        return answered({"matched": 0}, status=202)
    parts.require_broker()
    sender = sender_of(request, caller.actor)
    reason = await parts.seals.texts.closed(caller.tenant_id, asked.reason)
    matched: set[UUID] = set()
    async for found in live(parts, caller, wanted):
        new = [run_id for run_id in found if run_id not in matched]
        told = new[: MATCHED_MAX - len(matched)]
        commands = {str(run_id): CancelRun(reason=reason) for run_id in told}
        await parts.commands.send_all(caller.tenant_id, commands, what="cancel", sender=sender)
        matched.update(told)
        if len(told) < len(new):
            return answered({"matched": len(matched), "more": True}, status=202)
    return answered({"matched": len(matched)}, status=202)


async def retry_runs(
    request: Request, caller: Caller, asked: Bulk, wanted: Filter | None
) -> Response:
    """202 with how many runs were retried, and where the next request goes on."""
    if not permits(caller.role, Permission.RUNS_START):
        raise Problem(403, f"the role {caller.role} does not have {Permission.RUNS_START}")
    if wanted is None:
        return answered({"matched": 0, "skipped": 0}, status=202)
    parts = parts_of(request)
    await parts.require_servers()
    job = await retrying.job_of(request, parts, caller, asked.filter)
    told = await retrying.retry_all(job, wanted, asked.cursor)
    body: dict[str, Any] = {"matched": told.matched, "skipped": told.skipped}
    if told.left_off is not None:
        body |= {"more": True, "nextCursor": told.left_off}
    return answered(body, status=202)


async def live(parts: Parts, caller: Caller, wanted: Filter) -> AsyncIterator[list[UUID]]:
    """The ids of the runs that match and have not ended, a batch at a time."""
    for status in LIVE_STATUSES:
        if wanted.status not in {None, status}:
            continue
        after: After | None = None
        while True:
            rows: list[dict[str, Any]] = await queries_runs.ids_matching(
                parts.engine,
                caller.tenant_id,
                wanted._replace(status=status),
                after=after,
                limit=BATCH,
            )
            if rows:
                yield [row["id"] for row in rows]
            if len(rows) < BATCH:
                break
            after = After(rows[-1]["created_at"], rows[-1]["id"])
