"""The retry of every run that a filter matches, some hundred in one request.

The id of each new run follows from the request's Idempotency-Key and the run that it repeats, so a
request that comes again finds what it has begun and begins only the rest. What has been retried
before, by whatever request, is left alone: its retry is what counts from then on.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import datetime
from time import monotonic
from typing import NamedTuple
from uuid import UUID

import msgspec
from fastapi import Request
from uuid_utils import uuid7

from penstock.api import forks, pages, queries_runs
from penstock.api.answers import members
from penstock.api.auth import Caller
from penstock.api.errors import Problem, detail, invalid
from penstock.api.idempotency import (
    Identity,
    derived_id,
    kept_to_one_request,
    key_of,
    request_hash,
)
from penstock.api.pages import After
from penstock.api.parts import Parts
from penstock.api.positions import EVENTS, parse
from penstock.api.queries_runs import Filter
from penstock.api.schemas import RunsWanted
from penstock.domain.ids import derived
from penstock.infra.postgres.engine import Row

LOOKED_AT_MAX = 500
"""Runs of one request; the rest is for the next one, from `nextCursor` on."""
WITHIN_S = 10.0
"""After this the request is answered, however many runs it has come to."""
FOLDS_MAX = 8
"""Histories that are folded at once, and commands that wait for their answers."""
RETRIED = ("failed", "timed_out")
"""Statuses of runs that are meant where the filter names none: nobody wanted them to end so."""
RETRIABLE = (*RETRIED, "cancelled")
PASSING = frozenset({429, 503})
"""Statuses of what is over in a moment, and says nothing about the run."""
MARK_CHARACTERS = 12


class Told(NamedTuple):
    """What one request has done. left_off: the last run that it looked at, if there are others."""

    matched: int
    skipped: int
    left_off: str | None


class Job(NamedTuple):
    """One request. made: its identity, from which those of the new runs follow."""

    request: Request
    parts: Parts
    caller: Caller
    made: Identity

    def of(self, run_id: UUID) -> Identity:
        """The identity of the retry of a run by this request."""
        return Identity(UUID(derived(str(self.made.id), str(run_id))), self.made.request_hash)


async def job_of(request: Request, parts: Parts, caller: Caller, wanted: RunsWanted) -> Job:
    """The job of a request. Raises Conflict where its key stands for another filter."""
    key = key_of(request)
    if key is None:
        return Job(request, parts, caller, Identity(UUID(str(uuid7())), ""))
    asked = wanted.model_dump(mode="json")
    hashed = request_hash(request, key, [forks.RETRY, asked])
    made = Identity(derived_id(request, caller.tenant_id, key), hashed)
    await kept_to_one_request(request, caller.tenant_id, caller.actor, made)
    return Job(request, parts, caller, made)


async def retry_all(job: Job, wanted: Filter, cursor: str | None) -> Told:
    """Retry what matches, newest first, from where a cursor left off.

    Raises Problem 400 for a cursor of another filter; and as the servers do that are away.
    """
    of = mark(job.caller, wanted)
    place = left_off(cursor, of)
    ends = monotonic() + WITHIN_S
    matched = skipped = looked_at = 0
    async for status, rows in found(job, wanted, place):
        retries = await queries_runs.retries_of(job.parts.engine, job.caller.tenant_id, rows)
        done = await asyncio.gather(
            *(retried(job, row, retries.get(str(row["id"]), set())) for row in rows)
        )
        matched += done.count(True)
        skipped += done.count(False)
        looked_at += len(rows)
        if looked_at >= LOOKED_AT_MAX or monotonic() > ends:
            last = rows[-1]
            return Told(matched, skipped, pages.sealed([status, *key_of_row(last)], of))
    return Told(matched, skipped, None)


async def found(
    job: Job, wanted: Filter, place: tuple[str, After] | None
) -> AsyncIterator[tuple[str, list[Row]]]:
    """The runs that match and ended without success, a few at a time, each with its status."""
    meant = RETRIED if wanted.status is None else (wanted.status,)
    statuses = [status for status in RETRIABLE if status in meant]
    if place is not None:
        statuses = statuses[statuses.index(place[0]) :]
    for status in statuses:
        after = place[1] if place is not None and place[0] == status else None
        while True:
            rows = await queries_runs.matching(
                job.parts.engine,
                job.caller.tenant_id,
                wanted._replace(status=status),
                after=after,
                limit=FOLDS_MAX,
            )
            if rows:
                yield status, rows
            if len(rows) < FOLDS_MAX:
                break
            after = After(rows[-1]["created_at"], rows[-1]["id"])


async def retried(job: Job, row: Row, retries: set[UUID]) -> bool | None:
    """Whether a run is retried by this request, now or when it came before.

    None for a run that the request itself has begun. Raises Problem where a server is away.
    """
    made = job.of(row["id"])
    origin = members(row["forked_from"])
    if origin is not None and row["id"] == job.of(UUID(origin["runId"])).id:
        return None
    if made.id in retries:
        return True
    if retries:
        return False
    asked = forks.Asked(job.request, job.parts, job.caller, row, {}, forks.RETRY, made)
    try:
        begin = await forks.retried(job.parts, job.caller, row)
        _, reply = await forks.begun(asked, begin)
    except Problem as problem:
        if problem.status in PASSING:
            raise
        return False
    if reply is not None and reply.position:
        await job.parts.checkpoint.reached(EVENTS, parse(reply.position, "").seq)
    return True


def mark(caller: Caller, wanted: Filter) -> str:
    """What ties a cursor to a tenant and a filter."""
    named = msgspec.json.encode([caller.tenant_id, forks.RETRY, wanted])
    return hashlib.sha256(named).hexdigest()[:MARK_CHARACTERS]


def key_of_row(row: Row) -> list[str]:
    """What a cursor says of the last run that was looked at."""
    return [row["created_at"].isoformat(), str(row["id"])]


def left_off(cursor: str | None, of: str) -> tuple[str, After] | None:
    """The status and the run that a cursor names. Raises Problem 400."""
    if cursor is None:
        return None
    try:
        status, created_at, run_id = pages.opened(cursor, of)
        if status in RETRIABLE:
            return status, After(datetime.fromisoformat(created_at), UUID(run_id))
    except (Problem, ValueError, TypeError, AttributeError):
        pass
    said = "is not a cursor of a retry with this filter"
    raise invalid("the cursor is not valid", detail("/cursor", "SCHEMA_INVALID", said))
