"""What a batch needs that is not in it: ends of chains, rows of live runs, contents of objects."""

from collections.abc import Iterable
from typing import Any

import msgspec
from psycopg import AsyncConnection

from penstock.messages.chains import Head
from penstock.projector import arrays
from penstock.projector.entry import Entry, Log
from penstock.projector.fold import Wanted
from penstock.projector.ids import uuid_text
from penstock.projector.memory import LiveRun, Memory
from penstock.projector.projections.run_steps import (
    SETTLED,
    Attempt,
    LoopMark,
    Status,
    StepRow,
    is_stirring,
)
from penstock.projector.projections.runs import COUNTERS, RunRow, RunStatus
from penstock.projector.sources import Sources

Row = dict[str, Any]
Key = tuple[bytes, bytes]
Connection = AsyncConnection[Row]

CHECKPOINT = "select seq, hash from penstock.checkpoints where log = %s"

HEADS = """
select u.tenant_id, u.subject_id, last.hash
from unnest(%s, %s, %s) as u(tenant_id, kind, subject_id)
cross join lateral (
    select a.hash from penstock.event_archive a
    where a.tenant_id = u.tenant_id and a.subject_id = u.subject_id
      and a.kind = u.kind and a.log = %s
    order by a.seq desc limit 1
) last
"""

TENANTS = """
select u.tenant_id, h.seq, h.decisions, h.hash, t.deleted_at is not null as is_deleted,
       e.erased_at is not null as is_erased
from unnest(%s) as u(tenant_id)
left join penstock.chain_heads h on h.tenant_id = u.tenant_id and h.log = %s
left join penstock.tenants t on t.tenant_id = u.tenant_id
left join penstock.erasures e on e.tenant_id = u.tenant_id
"""


def _ms(column: str) -> str:
    return f"(extract(epoch from {column}) * 1000)::bigint as {column.rpartition('.')[2]}"


RUNS = f"""
select r.tenant_id, r.id, r.status, {", ".join("r." + name for name in COUNTERS)},
       r.definition, r.total, r.evaluating, r.is_quarantined, r.last_seq, {_ms("r.finished_at")}
from unnest(%s, %s) as u(tenant_id, id) join penstock.runs r using (tenant_id, id)
"""

STEPS = f"""
select s.tenant_id, s.run_id, s.step_id, s.status, s.attempt, s.executor_id, s.branch, s.attempts,
       s.loop,
       {_ms("s.ready_at")}, {_ms("s.started_at")}, {_ms("s.attempt_started_at")},
       {_ms("s.wake_at")}
from unnest(%s, %s) as u(tenant_id, run_id) join penstock.run_steps s using (tenant_id, run_id)
where not s.status = any(%s)
"""
"""Those without a last word. When a step ended that a fork has kept is not known, so the status
says it."""


async def checkpoint(connection: Connection, log: Log) -> Head:
    """Where the tables are in the log."""
    row = await (await connection.execute(CHECKPOINT, [str(log)])).fetchone()
    assert row is not None, "the migration makes the checkpoints"
    return Head(row["seq"], 0, bytes(row["hash"]))


async def load(
    connection: Connection, wanted: Wanted, memory: Memory, log: Log, sources: Sources
) -> None:
    """Put into memory what `wanted` names; what is nowhere stays out of it."""
    if wanted.heads:
        await _load_heads(connection, wanted.heads, memory, log)
    if wanted.tenants:
        await _load_tenants(connection, wanted.tenants, memory, log)
    if wanted.runs:
        await _load_runs(connection, wanted.runs, memory, sources)
    for definition, tenant in wanted.definitions.items():
        memory.sizes[definition] = await sources.sizes(tenant, definition)
    for name in wanted.states:
        memory.states[name] = await sources.state(name)


async def _load_heads(
    connection: Connection, subjects: dict[str, Entry], memory: Memory, log: Log
) -> None:
    entries = list(subjects.values())
    cursor = await connection.execute(
        HEADS,
        [
            arrays.uuids([entry.tenant for entry in entries]),
            arrays.texts([entry.kind for entry in entries]),
            arrays.texts([entry.subject_id for entry in entries]),
            str(log),
        ],
    )
    found = {(row["tenant_id"].bytes, row["subject_id"]): row["hash"] async for row in cursor}
    for subject, entry in subjects.items():
        known = found.get((entry.tenant, entry.subject_id))
        memory.heads[subject] = None if known is None else bytes(known)


async def _load_tenants(
    connection: Connection, tenants: Iterable[bytes], memory: Memory, log: Log
) -> None:
    cursor = await connection.execute(TENANTS, [arrays.uuids(list(tenants)), str(log)])
    async for row in cursor:
        tenant = row["tenant_id"].bytes
        if row["seq"] is not None:
            memory.tenants[tenant] = Head(row["seq"], row["decisions"], bytes(row["hash"]))
        if row["is_deleted"]:
            memory.deleted.add(tenant)
        if row["is_erased"]:
            memory.erased.add(tenant)


async def _load_runs(
    connection: Connection, subjects: dict[str, Entry], memory: Memory, sources: Sources
) -> None:
    entries = list(subjects.values())
    key = [
        arrays.uuids([entry.tenant for entry in entries]),
        arrays.uuids([entry.id for entry in entries]),
    ]
    runs: dict[Key, LiveRun] = {}
    definitions: dict[Key, str] = {}
    async for row in await connection.execute(RUNS, key):
        run = _live_run(row)
        runs[run.tenant, run.id] = run
        definitions[run.tenant, run.id] = row["definition"]
    async for row in await connection.execute(STEPS, [*key, list(SETTLED)]):
        step = _step(row)
        run = runs[row["tenant_id"].bytes, row["run_id"].bytes]
        run.steps[step.step_id] = step
        run.stirring += is_stirring(step)
    for subject, entry in subjects.items():
        if (known := runs.get((entry.tenant, entry.id))) is not None:
            memory.runs[subject] = known
            definition = definitions[entry.tenant, entry.id]
            if definition not in memory.sizes:
                tenant = uuid_text(entry.tenant)
                memory.sizes[definition] = await sources.sizes(tenant, definition)
            known.sizes = memory.sizes[definition]


def _live_run(row: Row) -> LiveRun:
    kept = RunRow(
        status=RunStatus(row["status"]),
        total=row["total"],
        evaluating=row["evaluating"],
        finished_at=row["finished_at"],
        is_quarantined=row["is_quarantined"],
        last_seq=row["last_seq"],
    )
    run = LiveRun(row["tenant_id"].bytes, row["id"].bytes, kept, is_stored=True)
    run.counts = [row[name] for name in COUNTERS]
    return run


_loop = msgspec.json.Decoder(LoopMark)
_attempts = msgspec.json.Decoder(tuple[Attempt, ...])


def _step(row: Row) -> StepRow:
    return StepRow(
        step_id=row["step_id"],
        status=Status(row["status"]),
        attempt=row["attempt"],
        ready_at=row["ready_at"],
        started_at=row["started_at"],
        attempt_started_at=row["attempt_started_at"],
        wake_at=row["wake_at"],
        executor_id=row["executor_id"],
        branch=row["branch"],
        attempts=() if row["attempts"] is None else _attempts.decode(row["attempts"]),
        loop=None if row["loop"] is None else _loop.decode(row["loop"]),
        is_stored=True,
    )
