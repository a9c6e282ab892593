"""Runs: listed, read with their steps, cancelled."""

import asyncio
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from penstock.api import bodies, pages, queries_registry, queries_runs, starts
from penstock.api.answers import POSITION_HEADER, answered
from penstock.api.auth import Caller, RunsCanceller, RunsReader
from penstock.api.checkpoint import WAIT_S
from penstock.api.errors import Problem, Unavailable
from penstock.api.openapi import gives, gives_page_of, problem, takes
from penstock.api.pages import Asked, Cursor, Limit
from penstock.api.parts import Parts, parts_of, sender_of
from penstock.api.payloads import Payloads
from penstock.api.positions import EVENTS, parse
from penstock.api.queries_runs import Filter
from penstock.api.queries_steps import STEPS_SHOWN_MAX, Steps, stored_steps
from penstock.api.runnable import uuid_or_none
from penstock.api.schemas import Accepted, Cancel, RunFilter, RunShown, RunsWanted, StepShown
from penstock.api.writes import read_after
from penstock.domain.run.commands import CancelRun
from penstock.infra.postgres.engine import Row

LOGS_DEFAULT = 20
RECHECK_S = 0.1
"""How often the read models are asked for a run that is known to be accepted."""

router = APIRouter(prefix="/api", tags=["runs"])


@router.get("/runs", responses=gives_page_of(RunShown))
async def list_runs(
    request: Request, caller: RunsReader, asked: Annotated[RunFilter, Query()]
) -> Response:
    """The tenant's runs that match, newest first, without their steps."""
    parts = parts_of(request)
    await read_after(request, parts)
    wanted = await filter_of(parts, caller, asked)
    if wanted is None:
        return answered({"items": [], "nextCursor": None})
    asked_page = Asked(asked.limit, asked.cursor, pages.listing(request))
    return answered(await page_of_runs(parts, caller, wanted, asked_page))


@router.get("/workflows/{workflow_id}/runs", responses=gives_page_of(RunShown))
async def list_runs_of_workflow(
    request: Request,
    workflow_id: str,
    caller: RunsReader,
    limit: Limit = pages.LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """A workflow's runs, newest first, without their steps."""
    parts = parts_of(request)
    await read_after(request, parts)
    wanted = Filter(workflow_id=await workflow_of(parts, caller, workflow_id))
    asked = Asked(limit, cursor, pages.listing(request))
    return answered(await page_of_runs(parts, caller, wanted, asked))


@router.get(
    "/executions/{workflow_id}/logs",
    responses={200: {"model": list[RunShown]}, "default": problem()},
)
async def list_executions(
    request: Request, workflow_id: str, caller: RunsReader, limit: Limit = LOGS_DEFAULT
) -> Response:
    """A workflow's runs, newest first, as a bare array."""
    parts = parts_of(request)
    await read_after(request, parts)
    wanted = Filter(workflow_id=await workflow_of(parts, caller, workflow_id))
    page = await page_of_runs(parts, caller, wanted, Asked(limit, None, pages.listing(request)))
    return answered(page["items"])


@router.get("/runs/{run_id}", responses=gives(RunShown))
@router.get("/executions/{run_id}", responses=gives(RunShown))
async def get_run(request: Request, run_id: str, caller: RunsReader) -> Response:
    """One run with its first steps."""
    parts = parts_of(request)
    await read_after(request, parts)
    row = await known_run(parts, caller, run_id)
    return answered(await whole_run(parts, row))


@router.get("/runs/{run_id}/steps", responses=gives_page_of(StepShown))
async def list_steps(
    request: Request,
    run_id: str,
    caller: RunsReader,
    limit: Limit = pages.LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """A run's steps, in the order of the definition; those inside a loop right behind it."""
    parts = parts_of(request)
    await read_after(request, parts)
    row = await known_run(parts, caller, run_id)
    of = pages.listing(request)
    after = after_of(cursor, of)
    graph = await parts.definitions.graph(caller.tenant_id, row["definition"])
    steps = Steps(stored_steps(parts.engine, row), payloads_of(parts, row), row, graph)
    try:
        items, last = await steps.page(after, limit)
    except ValueError:
        raise pages.bad_cursor() from None
    following = None if last is None else pages.sealed([last], of)
    return answered({"items": items, "nextCursor": following})


@router.post(
    "/runs/{run_id}/cancel",
    status_code=202,
    responses=gives(Accepted, status=202),
    openapi_extra=takes(Cancel, required=False),
)
async def cancel_run(request: Request, run_id: str, caller: RunsCanceller) -> Response:
    """Bring a run to its end; what runs is told to stop."""
    parts = parts_of(request)
    known = id_of(run_id)
    row = await queries_runs.find(parts.engine, caller.tenant_id, known)
    if row is None and not await is_accepted(parts, caller, str(known)):
        raise unknown()
    asked = bodies.fitted(await bodies.value(request, default={}), Cancel)
    reason = await parts.seals.texts.closed(caller.tenant_id, asked.reason)
    sender = sender_of(request, caller.actor)
    reply = await parts.commands.send(
        caller.tenant_id,
        str(known),
        CancelRun(reason=reason),
        id=f"{known}/cancel/{sender.request_id}",
        sender=sender,
    )
    headers = {"Location": f"/api/runs/{known}"}
    position = reply.position if reply is not None else None
    if position and await parts.checkpoint.reached(EVENTS, parse(position, "").seq):
        headers[POSITION_HEADER] = position
        row = await queries_runs.find(parts.engine, caller.tenant_id, known)
    status = row["status"] if row is not None else "queued"
    body = {"runId": str(known), "status": status, "links": starts.links(known)}
    return answered(body, status=202, headers=headers)


async def filter_of(parts: Parts, caller: Caller, asked: RunsWanted) -> Filter | None:
    """The filter that a client asks for; None where its workflow does not exist."""
    workflow_id = None
    if asked.workflow_id is not None:
        workflow = await queries_registry.workflow_id(
            parts.engine, caller.tenant_id, asked.workflow_id
        )
        if workflow is None:
            return None
        workflow_id = workflow["id"]
    tags = None
    if asked.tag is not None:
        tags = tuple((await parts.seals.texts.marks(caller.tenant_id)).forms(asked.tag))
    return Filter(
        status=asked.status,
        workflow_id=workflow_id,
        trigger=asked.trigger,
        tags=tags,
        created_from=asked.created_from,
        created_to=asked.created_to,
    )


async def page_of_runs(
    parts: Parts, caller: Caller, wanted: Filter, asked: Asked
) -> dict[str, Any]:
    """A page of runs with inputs and outputs, without steps."""
    limit, cursor, of = asked
    after = pages.after(cursor, of)
    rows = await queries_runs.matching(
        parts.engine, caller.tenant_id, wanted, after=after, limit=limit + 1
    )
    shown = await queries_runs.shown(parts.engine, parts.payloads(caller.tenant_id), rows[:limit])
    following = pages.cursor_of(rows[limit - 1], of) if len(rows) > limit else None
    return {"items": shown, "nextCursor": following}


def payloads_of(parts: Parts, row: Row) -> Payloads:
    """What opens a run's payloads: those of a fork may lie in the history of another, older run."""
    tenant_id = str(row["tenant_id"])
    return parts.payloads(tenant_id, partial(parts.histories.decision_in, tenant_id))


async def whole_run(parts: Parts, row: Row) -> dict[str, Any]:
    """A run with its first steps."""
    (shown,) = await queries_runs.shown(parts.engine, payloads_of(parts, row), [row])
    graph = await parts.definitions.graph(str(row["tenant_id"]), row["definition"])
    steps = Steps(stored_steps(parts.engine, row), payloads_of(parts, row), row, graph)
    return {**shown, "steps": (await steps.page(None, STEPS_SHOWN_MAX))[0]}


async def known_run(parts: Parts, caller: Caller, text: str) -> Row:
    """A run's row; one that was accepted a moment ago is waited for.

    Raises Problem 404 for an id that is unknown to the read models, to this API and to the log.
    """
    run_id = id_of(text)
    row = await queries_runs.find(parts.engine, caller.tenant_id, run_id)
    if row is not None:
        return row
    if not await is_accepted(parts, caller, str(run_id)):
        raise unknown()
    try:
        async with asyncio.timeout(WAIT_S):
            while row is None:
                await asyncio.sleep(RECHECK_S)
                row = await queries_runs.find(parts.engine, caller.tenant_id, run_id)
    except TimeoutError:
        raise Unavailable("the run is accepted; the read models do not have it yet") from None
    return row


async def is_accepted(parts: Parts, caller: Caller, run_id: str) -> bool:
    """Whether there is such a run although the read models do not have it."""
    if parts.commands.accepted(caller.tenant_id, run_id):
        return True
    return await parts.histories.exists(caller.tenant_id, run_id)


async def workflow_of(parts: Parts, caller: Caller, ref: str) -> UUID:
    """The id of a workflow, deleted or not. Raises Problem 404."""
    row = await queries_registry.workflow_id(parts.engine, caller.tenant_id, ref)
    if row is None:
        raise Problem(404, "there is no such workflow")
    found: UUID = row["id"]
    return found


def id_of(text: str) -> UUID:
    """The id in a path; a malformed one is as unknown as any other."""
    found = uuid_or_none(text)
    if found is None:
        raise unknown()
    return found


def unknown() -> Problem:
    """The problem of an id that nobody knows."""
    return Problem(404, "there is no such run")


def after_of(cursor: str | None, of: str) -> str | None:
    """The last step on the page before, in the list `of`. Raises Problem 400."""
    if cursor is None:
        return None
    match pages.opened(cursor, of):
        case [str(step_id)]:
            return step_id
        case _:
            raise pages.bad_cursor()
