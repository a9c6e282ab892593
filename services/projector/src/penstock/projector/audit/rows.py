"""The rows of runs and their steps, read back and held against what they should say."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from penstock.domain.payload import UNSEALED, Payload
from penstock.domain.run.events import Origin, RunError, StepError
from penstock.projector.audit.accounts import Account, digest, told
from penstock.projector.audit.expected import (
    COUNTED,
    Columns,
    owed_evaluations,
    run_columns,
    step_columns,
    steps_of,
)
from penstock.projector.audit.report import Kind, Report
from penstock.projector.ids import uuid_text

Row = dict[str, Any]
Connection = AsyncConnection[Row]
Key = tuple[UUID, UUID]
Values = Callable[[Row], Columns]

EXTRA_MAX = 100
"""Rows without a history that are told by name."""


def _ms(*columns: str) -> str:
    return ", ".join(
        f"(extract(epoch from {column}) * 1000)::bigint as {column}" for column in columns
    )


RUNS = f"""
select tenant_id, id, workflow_id::text, workflow_name, version, definition, status, trigger, tags,
       priority, total, {", ".join(COUNTED)}, input, output, sinks, is_keyed, error,
       parent_run_id::text, parent_step_id, forked_from, evaluating,
       request_hash, correlation_id, traceparent, partition, is_quarantined, last_seq,
       {_ms("created_at", "started_at", "finished_at", "deadline_at")},
       array(select t.tag from penstock.run_tags t where t.tenant_id = r.tenant_id
             and t.run_id = r.id and t.tag = any(r.tags) and t.created_at = r.created_at
             order by t.tag collate "C") as tag_rows
from penstock.runs r
where (tenant_id, id) in (select * from unnest(%s::uuid[], %s::uuid[]))
"""

STEPS = f"""
select tenant_id, run_id, step_id, status, attempt, executor_id, branch, input, output, error,
       attempts, edges, items, loop,
       {_ms("ready_at", "started_at", "attempt_started_at", "finished_at", "wake_at")}
from penstock.run_steps
where (tenant_id, run_id) in (select * from unnest(%s::uuid[], %s::uuid[]))
"""

COUNT = "select count(*) as n from penstock.{table} {where}"

EXTRA = """
select distinct t.tenant_id::text, t.{run}::text as run_id from penstock.{table} t
where not exists (
    select 1 from penstock.event_archive a
    where a.tenant_id = t.tenant_id and a.subject_id = t.{run}::text and a.kind = 'run'
) {where} limit %s
"""


EMPTIED = """
select distinct a.tenant_id::text, a.subject_id as run_id from penstock.event_archive a
where octet_length(a.body) = 0 and a.kind = 'run' {where} and exists (
    select 1 from penstock.runs r where r.tenant_id = a.tenant_id and r.id::text = a.subject_id
) limit %s
"""


class Payloads(Exception):
    """A payload's bytes are not those of its hash."""


class PastAttempt(msgspec.Struct, rename="camel"):
    """An element of the column `attempts`."""

    attempt: int
    status: str
    executor_id: str | None = None
    started_at: int | None = None
    finished_at: int | None = None


class LoopColumn(msgspec.Struct):
    """The column `loop`."""

    opened: int = 0
    evaluating: str | None = None


class Rows:
    """Compares accounts with rows, many at once, and counts what it compared."""

    def __init__(self, connection: Connection, report: Report) -> None:
        self._connection = connection
        self._report = report
        self._found = {"runs": 0, "run_steps": 0}

    async def compare(self, accounts: Sequence[Account]) -> None:
        """Every column of the runs' rows and of all their steps'."""
        keys: list[Key] = [(UUID(bytes=a.entry.tenant), UUID(bytes=a.entry.id)) for a in accounts]
        ids = [[tenant for tenant, _ in keys], [run for _, run in keys]]
        runs: dict[Key, Row] = {}
        async for row in await self._connection.execute(RUNS, ids):
            runs[row["tenant_id"], row["id"]] = row
        steps: dict[Key, dict[str, Row]] = {key: {} for key in keys}
        async for row in await self._connection.execute(STEPS, ids):
            steps[row["tenant_id"], row["run_id"]][row["step_id"]] = row
        for key, account in zip(keys, accounts, strict=True):
            self._compare_run(account, runs.get(key))
            self._compare_steps(account, steps[key])
        self._found["runs"] += len(runs)
        self._found["run_steps"] += sum(len(found) for found in steps.values())

    async def find_extra(self, tenant: UUID | None) -> None:
        """Rows of runs that have no history at all."""
        parameters: list[Any] = [] if tenant is None else [tenant]
        for table, run in (("runs", "id"), ("run_steps", "run_id")):
            where = "" if tenant is None else "where tenant_id = %s"
            cursor = await self._connection.execute(
                COUNT.format(table=table, where=where).encode(), parameters
            )
            counted = await cursor.fetchone()
            if counted is None or counted["n"] == self._found[table]:
                continue
            where = "" if tenant is None else "and t.tenant_id = %s"
            sql = EXTRA.format(table=table, run=run, where=where)
            async for row in await self._connection.execute(sql.encode(), [*parameters, EXTRA_MAX]):
                where = f"{table} {row['tenant_id']} {row['run_id']}"
                self._report.add(Kind.EXTRA_ROW, where, "the log knows of no such run")

    async def find_emptied(self, tenant: UUID | None) -> None:
        """Runs that are still there although the archive has lost what their messages said."""
        where = "" if tenant is None else "and a.tenant_id = %s"
        parameters = [EXTRA_MAX] if tenant is None else [tenant, EXTRA_MAX]
        async for row in await self._connection.execute(
            EMPTIED.format(where=where).encode(), parameters
        ):
            where = f"runs {row['tenant_id']} {row['run_id']}"
            self._report.add(Kind.HISTORY, where, "its messages in the archive were emptied")

    def _compare_run(self, account: Account, row: Row | None) -> None:
        self._report.runs += 1
        where = f"runs {_name(account)}"
        if row is None:
            self._report.add(Kind.MISSING_ROW, where, "the log has this run")
            return
        self._tell(where, run_columns(account), row, _run_values)

    def _compare_steps(self, account: Account, rows: dict[str, Row]) -> None:
        expected = {step_id.replace("\0", "\ufffd"): step_id for step_id in steps_of(account)}
        owed = dict(owed_evaluations(account.run))
        for shown, step_id in expected.items():
            self._report.steps += 1
            where = f"run_steps {_name(account)} {shown}"
            row = rows.get(shown)
            if row is None:
                self._report.add(Kind.MISSING_ROW, where, "the log has this step")
                continue
            self._tell(where, step_columns(account, step_id, owed), row, _step_values)
        for shown in rows.keys() - expected.keys():
            where = f"run_steps {_name(account)} {shown}"
            self._report.add(Kind.EXTRA_ROW, where, "the log knows of no such step")

    def _tell(self, where: str, expected: Columns, row: Row, values: Values) -> None:
        try:
            self._report.compare(where, expected, values(row))
        except (Payloads, msgspec.MsgspecError) as error:
            self._report.add(Kind.WRONG_ROW, where, str(error))


def _name(account: Account) -> str:
    return f"{uuid_text(account.entry.tenant)} {account.entry.subject_id}"


def _run_values(row: Row) -> Columns:
    """A row of `runs` in the terms of `expected`."""
    error = None if row["error"] is None else msgspec.json.decode(row["error"], type=RunError)
    forked = row["forked_from"]
    origin = None if forked is None else msgspec.json.decode(forked, type=Origin)
    return row | {
        "input": _payload("input", row["input"]),
        "output": _payload("output", row["output"]),
        "error": None if error is None else (error.code, error.message, error.step_id),
        "forked_from": None if origin is None else (origin.run_id, origin.position),
    }


def _step_values(row: Row) -> Columns:
    """A row of `run_steps` in the terms of `expected`."""
    error = None if row["error"] is None else msgspec.json.decode(row["error"], type=StepError)
    if error is not None and error.details is not None:
        _whole("error", error.details)
    past = [] if row["attempts"] is None else _past(row["attempts"])
    return row | {
        "input": _payload("input", row["input"]),
        "output": _payload("output", row["output"]),
        "error": told(error),
        "attempts": [
            (each.attempt, each.status, each.executor_id, each.started_at, each.finished_at)
            for each in past
        ],
        "edges": None if row["edges"] is None else _edges(row["edges"]),
        "items": _payload("items", row["items"]),
        "loop": None if row["loop"] is None else msgspec.structs.astuple(_loop(row["loop"])),
    }


_edges = msgspec.json.Decoder(tuple[int, ...]).decode
_loop = msgspec.json.Decoder(LoopColumn).decode
_past = msgspec.json.Decoder(list[PastAttempt]).decode
_decode_payload = msgspec.json.Decoder(Payload).decode


def _payload(column: str, text: bytes | None) -> tuple[object, ...] | None:
    return None if text is None else digest(_whole(column, _decode_payload(text)))


def _whole(column: str, payload: Payload) -> Payload:
    """The payload, whose inline bytes must be those of its hash; a sealed one's are elsewhere."""
    if (
        payload.inline
        and payload.enc == UNSEALED
        and sha256(payload.inline).hexdigest() != payload.sha256
    ):
        raise Payloads(f"{column}: its bytes do not have its hash")
    return payload
