"""A run's history: pages of events, and the live stream of them."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from penstock.api import folding, past, queries_runs, recorded
from penstock.api.answers import answered, encode
from penstock.api.auth import RUNS_READ, Caller, RunsReader
from penstock.api.errors import Problem, detail, invalid
from penstock.api.folding import Source
from penstock.api.histories import RunKey
from penstock.api.openapi import gives, gives_page_of, if_it_stands_so, problem
from penstock.api.pages import LIMIT_DEFAULT, Limit
from penstock.api.parts import Parts, parts_of
from penstock.api.payloads import Allowance, Payloads
from penstock.api.positions import EVENTS, START, Position, parse
from penstock.api.queries_steps import STEPS_SHOWN_MAX, Steps
from penstock.api.routes.runs import known_run
from penstock.api.schemas import EventShown, RunShown
from penstock.api.standing import Standing
from penstock.api.tails import Told
from penstock.api.unsealing import opened
from penstock.api.writes import read_after
from penstock.infra.postgres.engine import Row
from penstock.infra.telemetry import metrics

KEEP_ALIVE = b": keep-alive\n\n"
END = b"event: end\ndata: {}\n\n"
RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a browser that lost the stream comes back."""

STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events", "content": {"text/event-stream": {}}},
    "default": problem(),
}

After = Annotated[str | None, Query(max_length=40, description="a position, exclusive")]

At = Annotated[str | None, Query(max_length=40, description="a position or a time, both inclusive")]

Follow = AsyncGenerator[Told | None, None]

router = APIRouter(prefix="/api/runs/{run_id}", tags=["history"])


@router.get("/events", responses=gives_page_of(EventShown))
async def list_events(
    request: Request,
    run_id: str,
    caller: RunsReader,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Response:
    """The run's events after a position, in order; `nextCursor` is the last one's position."""
    parts = parts_of(request)
    await read_after(request, parts)
    key = await key_of_run(parts, caller, run_id)
    start = position_of(after, "/query/after")
    events: list[dict[str, Any]] = []
    seq = max(start.seq - 1, 0)
    while len(events) < limit:
        page = await parts.histories.page(key, seq)
        if not page:
            break
        for told in page:
            seq = told.seq
            events += await opened(parts.seals, caller.tenant_id, recorded.shown(told, key, start))
            if len(events) >= limit:
                break
    items = events[:limit]
    return answered({"items": items, "nextCursor": items[-1]["position"] if items else after})


@router.get("/state", responses=gives(RunShown) | if_it_stands_so())
async def get_state(request: Request, run_id: str, caller: RunsReader, at: At = None) -> Response:
    """The run with its first steps as it stood at a place of its history, that one included."""
    parts = parts_of(request)
    place = past.until(at)
    await read_after(request, parts)
    row = await known_run(parts, caller, run_id)
    key = key_of(row, caller)
    graph = await parts.definitions.graph(caller.tenant_id, row["definition"])
    payloads = parts.payloads(key.tenant_id, partial(parts.histories.decision_of, key))
    then = await folding.folded(Source(parts.histories, payloads, key, graph), place)
    if not then.is_born:
        raise Problem(404, "the run had not begun yet")
    return answered(await shown_then(payloads, then, then.run_row(row)))


async def shown_then(payloads: Payloads, then: past.Past, row: Row) -> dict[str, Any]:
    """A run of the past as clients see runs."""
    sinks = {each["step_id"]: each for each in await then.step_rows(row["sinks"])}
    shown = await queries_runs.opened(payloads, row, sinks, Allowance())
    steps = Steps(then.step_rows, payloads, row, then.run.drawn)
    return {**shown, "steps": (await steps.page(None, STEPS_SHOWN_MAX))[0]}


@router.get("/stream", responses=STREAM, response_class=StreamingResponse)
async def stream(
    request: Request, run_id: str, caller: RunsReader, after: After = None
) -> Response:
    """The run's history and then what happens to it, until its last event."""
    parts = parts_of(request)
    row = await known_run(parts, caller, run_id)
    key = key_of(row, caller)
    resumed = request.headers.get("last-event-id")
    start = position_of(resumed or after, "/header/Last-Event-ID" if resumed else "/query/after")
    is_over = row["finished_at"] is not None and start.seq > row["last_seq"]
    return StreamingResponse(
        nothing_more() if is_over else frames(parts, key, start, Standing(request, RUNS_READ)),
        media_type="text/event-stream",
        headers=STREAM_HEADERS,
    )


async def nothing_more() -> AsyncIterator[bytes]:
    """The end, for a client that names a place behind a finished run's last event."""
    yield RETRY + END


async def frames(
    parts: Parts, key: RunKey, start: Position, standing: Standing
) -> AsyncIterator[bytes]:
    """Every event after `start` as a frame; ends after the run's last one, or with the API.

    Also, without an `end`, when the client may listen no more: it is told so when it comes back.
    """
    yield RETRY
    async with counted(parts.histories.follow(key, max(start.seq - 1, 0))) as history:
        async for told in history:
            if await standing.refusal_when_due() is not None:
                return
            yield await framed(parts, told, key, start)
            if told is not None and recorded.end(told) is not None:
                return


@asynccontextmanager
async def counted(history: Follow) -> AsyncIterator[Follow]:
    """The history, closed at the end, and counted as an open stream until then."""
    with metrics.api_streams_open.track_inprogress():
        async with aclosing(history):
            yield history


async def framed(parts: Parts, told: Told | None, key: RunKey, start: Position) -> bytes:
    """The frames of one decision, with the end if it is the last; a comment for none."""
    if told is None:
        return KEEP_ALIVE
    events = await opened(parts.seals, key.tenant_id, recorded.shown(told, key, start))
    end = END if recorded.end(told) is not None else b""
    return b"".join(map(frame, events)) + end


def frame(event: dict[str, Any]) -> bytes:
    """One event on the wire; JSON text has no line breaks."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (
        event["position"].encode(),
        event["type"].encode(),
        encode(event),
    )


async def key_of_run(parts: Parts, caller: Caller, run_id: str) -> RunKey:
    """Where the run's history is found. Raises Problem 404."""
    return key_of(await known_run(parts, caller, run_id), caller)


def key_of(row: Row, caller: Caller) -> RunKey:
    """Where the history of a row's run is found."""
    return RunKey(caller.tenant_id, str(row["id"]), row["created_at"], row["correlation_id"])


def position_of(text: str | None, pointer: str) -> Position:
    """The place in the log of events that a client names; the beginning for none."""
    if text is None:
        return START
    position = parse(text, pointer)
    if position.log != EVENTS:
        said = "must be a position in the log of events"
        raise invalid("that is no position of a run", detail(pointer, "SCHEMA_INVALID", said))
    return position
