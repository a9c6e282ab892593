"""Runs as the read models have them: one, or a page of those that match."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from penstock.api.answers import duration_ms, members, moment, raw
from penstock.api.pages import After
from penstock.api.payloads import NULL, Allowance, Payloads
from penstock.domain.run.state import RunStatus
from penstock.infra.postgres.engine import Engine, Row
from penstock.infra.postgres.tenant import tenant_session

EARLIER = """
select r.*, r.id is null as is_removed
from (
    select 1 where exists (select from penstock.runs where tenant_id = %(tenant)s and id = %(id)s)
    or exists (
        select from penstock.event_archive
        where tenant_id = %(tenant)s and subject_id = %(id)s::text and log = 'events'
          and kind = 'run' and octet_length(body) = 0
    )
) known
left join penstock.runs r on r.tenant_id = %(tenant)s and r.id = %(id)s
"""
ONE = "select * from penstock.runs where tenant_id = %(tenant)s and id = %(id)s"
SINK_OUTPUTS = """
select s.run_id, s.step_id, s.status, s.output
from unnest(%(runs)s::uuid[], %(steps)s::text[]) as wanted (run_id, step_id)
join penstock.run_steps s
  on s.tenant_id = %(tenant)s and s.run_id = wanted.run_id and s.step_id = wanted.step_id
"""
RETRIES_OF = """
select forked_from ->> 'runId' as of, id from penstock.runs
where tenant_id = %(tenant)s and trigger = 'retry' and created_at >= %(since)s
  and forked_from ->> 'runId' = any(%(runs)s)
"""

SAID = ("workflow_name", "tags", "error")
"""Columns with what somebody has said in words."""

Shown = dict[str, Any]


class Filter(NamedTuple):
    """Which runs a list shows; None takes all. tags: one tag, in each form it may stand in."""

    status: str | None = None
    workflow_id: UUID | None = None
    trigger: str | None = None
    tags: tuple[str, ...] | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


class Source(NamedTuple):
    """Where runs are found, and the columns there that say when one was created, and its id."""

    tables: str
    created: str
    run_id: str


TAGGED = Source(
    "penstock.run_tags t join penstock.runs r on r.tenant_id = t.tenant_id and r.id = t.run_id",
    "t.created_at",
    "t.run_id",
)
CONDITIONS = {
    "status": "r.status = %(status)s",
    "workflow_id": "r.workflow_id = %(workflow_id)s",
    "trigger": "r.trigger = %(trigger)s",
    "created_from": "r.created_at >= %(created_from)s",
    "created_to": "r.created_at <= %(created_to)s",
}


async def find(engine: Engine, tenant_id: str, run_id: UUID) -> Row | None:
    """One run's row, None where the read models have none."""
    async with tenant_session(engine, tenant_id) as session:
        return await session.one(ONE, {"tenant": tenant_id, "id": run_id})


async def earlier(engine: Engine, tenant_id: str, run_id: UUID) -> Row | None:
    """One run's row with `is_removed`, which says that only hashes of its messages are kept."""
    async with tenant_session(engine, tenant_id) as session:
        return await session.one(EARLIER, {"tenant": tenant_id, "id": run_id})


async def matching(
    engine: Engine, tenant_id: str, wanted: Filter, *, after: After | None, limit: int
) -> list[Row]:
    """Up to `limit` rows, newest first."""
    query, parameters = selection("r.*", tenant_id, wanted, after=after, limit=limit)
    async with tenant_session(engine, tenant_id) as session:
        return await session.all(query, parameters)


async def ids_matching(
    engine: Engine, tenant_id: str, wanted: Filter, *, after: After | None, limit: int
) -> list[Row]:
    """Up to `limit` rows of `id` and `created_at`, newest first."""
    columns = "r.id, r.created_at"
    query, parameters = selection(columns, tenant_id, wanted, after=after, limit=limit)
    async with tenant_session(engine, tenant_id) as session:
        return await session.all(query, parameters)


async def retries_of(engine: Engine, tenant_id: str, rows: list[Row]) -> dict[str, set[UUID]]:
    """By the id of a run, the runs that were begun as its retries."""
    found: dict[str, set[UUID]] = {}
    if not rows:
        return found
    since = min(row["created_at"] for row in rows)
    parameters = {"tenant": tenant_id, "since": since, "runs": [str(row["id"]) for row in rows]}
    async with tenant_session(engine, tenant_id) as session:
        for row in await session.all(RETRIES_OF, parameters):
            found.setdefault(row["of"], set()).add(row["id"])
    return found


def selection(
    columns: str, tenant_id: str, wanted: Filter, *, after: After | None, limit: int
) -> tuple[str, dict[str, Any]]:
    """The query for runs that match, newest first, and its parameters.

    Each form of a tag is looked for by itself, so that each look-up follows the index.
    """
    conditions = ["r.tenant_id = %(tenant)s"]
    parameters: dict[str, Any] = {"tenant": tenant_id, "limit": limit, **wanted._asdict()}
    conditions += [sql for name, sql in CONDITIONS.items() if parameters[name] is not None]
    if after is not None:
        parameters.update(after_at=after.created_at, after_id=after.id)
    if wanted.tags is None:
        source = Source("penstock.runs r", "r.created_at", "r.id")
        return newest(columns, source, conditions, after), parameters
    queries = []
    for number, tag in enumerate(wanted.tags):
        parameters[f"tag{number}"] = tag
        of_tag = [*conditions, "t.tenant_id = %(tenant)s", f"t.tag = %(tag{number})s"]
        queries.append(f"({newest(columns, TAGGED, of_tag, after)})")
    query = (
        f"select * from ({' union all '.join(queries)}) found "
        "order by created_at desc, id desc limit %(limit)s"
    )
    return query, parameters


def newest(columns: str, source: Source, conditions: list[str], after: After | None) -> str:
    """The query for the newest rows of a source under some conditions."""
    tables, created, run_id = source
    if after is not None:
        conditions = [*conditions, f"({created}, {run_id}) < (%(after_at)s, %(after_id)s)"]
    return (
        f"select {columns} from {tables} where {' and '.join(conditions)} "
        f"order by {created} desc, {run_id} desc limit %(limit)s"
    )


async def shown(engine: Engine, payloads: Payloads, rows: list[Row]) -> list[Shown]:
    """The rows as clients see runs, with what was said opened; all of one tenant."""
    allowance = Allowance()
    outputs = await sink_outputs(engine, rows)
    return [await opened(payloads, row, outputs.get(row["id"], {}), allowance) for row in rows]


async def opened(
    payloads: Payloads, row: Row, sinks: dict[str, Row], allowance: Allowance
) -> Shown:
    """A row as clients see a run; `sinks`: rows of the steps whose outputs make up the run's."""
    (told,) = await payloads.rows([row], *SAID)
    return {
        **head(told),
        "input": await payloads.opened(row["input"], allowance),
        "output": await output(payloads, row, sinks, allowance),
    }


def head(row: Row) -> Shown:
    """All of a run but its payloads and steps, of a row whose texts are opened."""
    return {
        "id": str(row["id"]),
        "tenantId": str(row["tenant_id"]),
        "workflowId": str(row["workflow_id"]),
        "workflowName": row["workflow_name"],
        "version": row["version"],
        "status": row["status"],
        "input": None,
        "output": None,
        "error": raw(row["error"]),
        "trigger": row["trigger"],
        "tags": row["tags"],
        "priority": row["priority"],
        "parentRunId": str(row["parent_run_id"]) if row["parent_run_id"] else None,
        "forkedFrom": members(row["forked_from"]),
        "createdAt": moment(row["created_at"]),
        "startedAt": moment(row["started_at"]),
        "finishedAt": moment(row["finished_at"]),
        "durationMs": duration_ms(row["started_at"], row["finished_at"]),
        "progress": {
            name: row[name] for name in ("total", "succeeded", "failed", "skipped", "running")
        },
    }


async def sink_outputs(engine: Engine, rows: list[Row]) -> dict[UUID, dict[str, Row]]:
    """By run and step, the rows of the steps whose outputs make up a run's."""
    wanted = [
        (row["id"], step_id)
        for row in rows
        if row["status"] == RunStatus.SUCCEEDED and row["output"] is None
        for step_id in row["sinks"] or ()
    ]
    found: dict[UUID, dict[str, Row]] = {}
    if not wanted:
        return found
    tenant_id = rows[0]["tenant_id"]
    parameters = {
        "tenant": tenant_id,
        "runs": [run_id for run_id, _ in wanted],
        "steps": [step_id for _, step_id in wanted],
    }
    async with tenant_session(engine, tenant_id) as session:
        for step in await session.all(SINK_OUTPUTS, parameters):
            found.setdefault(step["run_id"], {})[step["step_id"]] = step
    return found


async def output(
    payloads: Payloads, row: Row, steps: dict[str, Row], allowance: Allowance
) -> object:
    """A run's output by the rule of the language; None until it has succeeded."""
    if row["status"] != RunStatus.SUCCEEDED:
        return None
    if row["output"] is not None:
        return await payloads.opened(row["output"], allowance)
    sinks = row["sinks"] or []
    outputs = {
        step_id: await payloads.opened(steps[step_id]["output"], allowance)
        for step_id in sinks
        if step_id in steps
    }
    if row["is_keyed"]:
        return outputs
    return outputs.get(sinks[0], NULL) if sinks else None
