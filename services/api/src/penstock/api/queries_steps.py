"""A run's steps: rows of those that have begun, and the definition for those that have not."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw

from penstock.api.answers import duration_ms, members, moment, moment_of_ms
from penstock.api.payloads import NULL, Allowance, Payloads
from penstock.api.recorded import node_of
from penstock.domain.run.settling import is_taken
from penstock.domain.run.state import SETTLED, Step, StepStatus
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import EdgeType
from penstock.infra.postgres.engine import Engine, Row
from penstock.infra.postgres.tables import run_steps
from penstock.infra.postgres.tenant import tenant_session

STEPS_SHOWN_MAX = 1000
"""What a run's own answer holds; the rest is on pages of `/steps`."""

NAMED = """
select * from penstock.run_steps
where tenant_id = %(tenant)s and run_id = %(run)s and step_id = any(%(steps)s)
"""
UNTOUCHED = frozenset({"pending", "skipped"})
"""Steps of these statuses were never given an input."""
FORGIVING = frozenset({EdgeType.ON_FAILURE, EdgeType.ALWAYS})

PENDING: Row = dict.fromkeys(column.name for column in run_steps.columns) | {
    "status": StepStatus.PENDING,
    "attempt": 0,
}
"""The row that a step would have that nothing has happened to."""

Shown = dict[str, Any]


StepRows = Callable[[Sequence[str]], Awaitable[list[Row]]]
"""Finds the rows of steps by their ids; those that nothing has happened to have none."""


def stored_steps(engine: Engine, run: Row) -> StepRows:
    """The rows of a run's steps as the read models have them."""

    async def read(step_ids: Sequence[str]) -> list[Row]:
        wanted = {"tenant": run["tenant_id"], "run": run["id"], "steps": list(step_ids)}
        async with tenant_session(engine, run["tenant_id"]) as session:
            return await session.all(NAMED, wanted)

    return read


class Steps:
    """The steps of one run, read and shown."""

    def __init__(self, read: StepRows, payloads: Payloads, run: Row, graph: Graph) -> None:
        self._find = read
        self._payloads = payloads
        self._run = run
        self._graph = graph
        self._allowance = Allowance()
        self._rows: dict[str, Row] = {}

    async def page(self, first: int, limit: int) -> list[Shown]:
        """Steps number `first` (from 0) and on, in the order of the definition."""
        wanted = self._graph.order[first : first + limit]
        await self._read(wanted)
        await self._read(self._sources(wanted))
        return [await self._step(step_id) for step_id in wanted]

    async def _read(self, step_ids: Sequence[str]) -> None:
        missing = [step_id for step_id in step_ids if step_id not in self._rows]
        if missing:
            self._rows |= {row["step_id"]: row for row in await self._find(missing)}

    def _sources(self, step_ids: Sequence[str]) -> list[str]:
        """The predecessors that the input rule reads for these steps."""
        return [
            source
            for step_id in step_ids
            if (row := self._rows.get(step_id)) is not None and by_rule(row)
            for source in self._graph.predecessors(step_id)
        ]

    async def _step(self, step_id: str) -> Shown:
        row = self._rows.get(step_id, PENDING)
        node = self._graph.node(node_of(step_id))
        return {
            "id": step_id,
            "nodeId": node.id,
            "type": node.type,
            "status": row["status"],
            "attempt": row["attempt"],
            "maxAttempts": self._graph.retry(node.id).max_attempts,
            "input": await self._input(step_id, row),
            "output": await self._output(row),
            "error": await self._error(row["error"]),
            "branch": row["branch"],
            "executorId": row["executor_id"],
            "readyAt": moment(row["ready_at"]),
            "startedAt": moment(row["started_at"]),
            "finishedAt": moment(row["finished_at"]),
            "durationMs": duration_ms(row["started_at"], row["finished_at"]),
            "idempotencyKey": idempotency_key(self._run["id"], step_id),
            "attempts": await self._attempts(row),
        }

    async def _output(self, row: Row) -> Raw | None:
        """What it gave. One that waits has announced an output, and may yet come to none."""
        if row["output"] is None or row["status"] != StepStatus.SUCCEEDED:
            return None
        return await self._payloads.opened(row["output"], self._allowance)

    async def _error(self, stored: bytes | None) -> Shown | None:
        error: Shown | None = members(stored)
        if error is None:
            return None
        return await self._error_shown(error)

    async def _error_shown(self, error: Shown) -> Shown:
        stored = error.get("details")
        details = None
        if stored is not None:
            details = await self._payloads.opened(msgspec.json.encode(stored), self._allowance)
        return {
            "code": error["code"],
            "message": error["message"],
            "retryable": error.get("retryable", False),
            "details": details,
        }

    async def _attempts(self, row: Row) -> list[Shown]:
        """Those that are over from their column, one that is not from the row itself.

        An attempt that waits to be followed by the next one is over, and has its error.
        """
        earlier = [
            {
                "attempt": each["attempt"],
                "status": each["status"],
                "executorId": each.get("executorId"),
                "startedAt": moment_of_ms(each.get("startedAt")),
                "finishedAt": moment_of_ms(each.get("finishedAt")),
                "error": await self._error_shown(each["error"]) if each.get("error") else None,
            }
            for each in members(row["attempts"]) or []
        ]
        if row["attempt"] == 0 or any(each["attempt"] == row["attempt"] for each in earlier):
            return earlier
        last = {
            "attempt": row["attempt"],
            "status": row["status"],
            "executorId": row["executor_id"],
            "startedAt": moment(row["attempt_started_at"]),
            "finishedAt": moment(row["finished_at"]),
            "error": await self._error(row["error"]),
        }
        return [*earlier, last]

    async def _input(self, step_id: str, row: Row) -> object:
        """What the step works on: what its own template came to, else by the input rule."""
        if row["status"] in UNTOUCHED:
            return None
        if not by_rule(row):
            return await self._payloads.opened(row["input"], self._allowance)
        if self._graph.node(node_of(step_id)).input is not UNSET:
            return None  # Only its executor knows yet what the template came to.
        declared = self._graph.predecessors(step_id)
        if not declared:
            return await self._payloads.opened(self._run["input"], self._allowance)
        if len(declared) == 1:
            return await self._contribution(declared[0], step_id)
        return {
            source: await self._contribution(source, step_id) for source in self._taken(step_id)
        }

    def _taken(self, step_id: str) -> list[str]:
        """The predecessors that contribute, in the order of the edges."""
        taken = [
            edge.source
            for number, edge in enumerate(self._graph.incoming[step_id])
            if (row := self._rows.get(edge.source)) is not None
            and row["status"] in SETTLED
            and is_taken(edge, Step(status=StepStatus(row["status"]), branch=row["branch"]), number)
        ]
        return list(dict.fromkeys(taken))

    async def _contribution(self, source: str, step_id: str) -> object:
        """What one predecessor gives: its output, or its failure."""
        row = self._rows.get(source)
        if row is None:
            return None
        if row["status"] == StepStatus.SUCCEEDED:
            return await self._payloads.opened(row["output"], self._allowance)
        failure: Shown = {"error": await self._error(row["error"])}
        edges = [edge for edge in self._graph.incoming[step_id] if edge.source == source]
        if any(edge.condition.type in FORGIVING for edge in edges):
            failure["failedNode"] = source
            failure["input"] = await self._failed_input(source, row)
        return failure

    async def _failed_input(self, source: str, row: Row) -> Raw:
        if row["input"] is None:
            return NULL
        return await self._payloads.opened(row["input"], self._allowance)


def by_rule(row: Row) -> bool:
    """Whether the input rule says what the step works on, for nothing was recorded of it."""
    return row["input"] is None and row["status"] not in UNTOUCHED


def idempotency_key(run_id: UUID, step_id: str) -> str:
    """The step's key, the same over all its attempts, in hex."""
    return hashlib.sha256(f"{run_id}:{step_id}".encode()).hexdigest()
