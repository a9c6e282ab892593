"""A run's steps: rows of those that have begun, and the definition for those that have not."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw

from penstock.api.answers import duration_ms, members, moment, moment_of_ms
from penstock.api.payloads import NULL, Allowance, Payloads
from penstock.api.recorded import node_of
from penstock.api.step_order import Walk
from penstock.domain.run.paths import inside, iteration, iteration_of, scope_of
from penstock.domain.run.settling import is_taken
from penstock.domain.run.state import Step, StepStatus
from penstock.domain.workflow.graph import TELLS_FAILURE, Graph
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
        self._sought: set[str] = set()
        self._items: dict[str, list[Raw]] = {}

    async def page(self, after: str | None, limit: int) -> tuple[list[Shown], str | None]:
        """Up to `limit` steps behind the path `after`, in order; and the last, if more follow.

        Raises ValueError where the definition has no such path.
        """
        is_fork = self._run["forked_from"] is not None
        walk = Walk(self._read, self._opened, self._is_there if is_fork else None)
        wanted: list[str] = []
        more = False
        async with aclosing(walk.behind(self._graph, after)) as paths:
            async for path in paths:
                if more := len(wanted) == limit:
                    break
                wanted.append(path)
        await self._read(wanted)
        given = [step_id for step_id in wanted if by_rule(self._rows.get(step_id, PENDING))]
        await self._read([source for step_id in given for source in self._sources(step_id)])
        return [await self._step(step_id) for step_id in wanted], wanted[-1] if more else None

    async def _read(self, step_ids: Sequence[str]) -> None:
        missing = [step_id for step_id in step_ids if step_id not in self._sought]
        if missing:
            self._sought.update(missing)
            self._rows |= {row["step_id"]: row for row in await self._find(missing)}

    def _opened(self, loop_id: str) -> int:
        mark: Shown = members(self._rows.get(loop_id, PENDING)["loop"]) or {}
        opened: int = mark.get("opened", 0)
        return opened

    def _is_there(self, scope: str, body: Graph) -> bool:
        return any(inside(scope, node_id) in self._rows for node_id in body.order)

    def _sources(self, step_id: str) -> list[str]:
        """The steps whose rows say what the input rule gives to this one."""
        graph, node_id = self._graph.scope(step_id)
        scope = scope_of(step_id)
        declared = graph.predecessors(node_id)
        if not declared and scope:
            return self._item_sources(scope)
        instead = [fallback for source in declared for fallback in graph.fallbacks[source]]
        return [inside(scope, source) for source in (*declared, *instead)]

    def _item_sources(self, scope: str) -> list[str]:
        """The loop, and the sinks of the iteration before this one."""
        loop_id, index = iteration_of(scope)
        graph, node_id = self._graph.scope(loop_id)
        before = iteration(loop_id, index - 1)
        return [loop_id, *(inside(before, sink) for sink in graph.bodies[node_id].sinks)]

    async def _step(self, step_id: str) -> Shown:
        row = self._rows.get(step_id, PENDING)
        node = self._graph.node(step_id)
        return {
            "id": step_id,
            "nodeId": node_of(step_id),
            "type": node.type,
            "status": self._status(step_id, row),
            "attempt": row["attempt"],
            "maxAttempts": self._graph.retry(step_id).max_attempts,
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

    def _status(self, step_id: str, row: Row) -> str:
        """A step that nothing has happened to; in a run that ended before its start, none will."""
        is_over = self._run.get("finished_at") is not None
        if is_over and step_id not in self._rows:
            return str(StepStatus.SKIPPED)
        return str(row["status"])

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
            "message": await self._payloads.words(error["message"]),
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
        graph, node_id = self._graph.scope(step_id)
        if graph.nodes[node_id].input is not UNSET:
            return None  # Only its executor knows yet what the template came to.
        declared, scope = graph.predecessors(node_id), scope_of(step_id)
        if not declared and scope:
            return await self._item(scope)
        if not declared:
            return await self._payloads.opened(self._run["input"], self._allowance)
        if len(declared) == 1:
            return await self._contribution(graph, scope, declared[0], node_id)
        return {
            source: await self._contribution(graph, scope, source, node_id)
            for source in self._taken(graph, scope, node_id)
        }

    async def _item(self, scope: str) -> object:
        """What an iteration is about: its loop's item, or what the one before it came to."""
        loop_id, index = iteration_of(scope)
        stored = self._rows.get(loop_id, PENDING)["items"]
        if stored is None:
            return await self._result(loop_id, index - 1)
        if loop_id not in self._items:
            items = await self._payloads.opened(stored, self._allowance)
            self._items[loop_id] = list_of(items)
        known = self._items[loop_id]
        return known[index] if index < len(known) else None

    async def _result(self, loop_id: str, index: int) -> object:
        """What an iteration came to: what its body's sinks said that succeeded."""
        graph, node_id = self._graph.scope(loop_id)
        sinks = graph.bodies[node_id].sinks
        scope = iteration(loop_id, index)
        rows = {sink: self._rows.get(inside(scope, sink), PENDING) for sink in sinks}
        said = {
            sink: await self._payloads.opened(row["output"], self._allowance)
            for sink, row in rows.items()
            if row["status"] == StepStatus.SUCCEEDED
        }
        return said if len(sinks) > 1 and said else said.get(sinks[0], NULL)

    def _taken(self, graph: Graph, scope: str, node_id: str) -> list[str]:
        """The predecessors that contribute, in the order of the edges."""
        taken = []
        for source in graph.predecessors(node_id):
            row = self._rows.get(inside(scope, source), PENDING)
            step = Step(status=StepStatus(row["status"]), branch=row["branch"], edges=edges_of(row))
            goes_on = graph.nodes[source].continue_on_error
            if any(
                edge.target == node_id and is_taken(edge, step, number, goes_on=goes_on)
                for number, edge in enumerate(graph.outgoing[source])
            ):
                taken.append(source)
        return taken

    async def _contribution(self, graph: Graph, scope: str, source: str, node_id: str) -> object:
        """What one predecessor gives: its output, that of a fallback instead, or its failure."""
        row = self._rows.get(inside(scope, source))
        if row is None:
            return None
        if row["status"] == StepStatus.SUCCEEDED:
            return await self._payloads.opened(row["output"], self._allowance)
        instead = self._fallback(graph, scope, source, node_id)
        if instead is not None:
            return await self._payloads.opened(instead["output"], self._allowance)
        failure: Shown = {"error": await self._error(row["error"])}
        edges = [edge for edge in graph.incoming[node_id] if edge.source == source]
        if any(edge.condition.type in TELLS_FAILURE for edge in edges):
            failure["failedNode"] = source
            failure["input"] = await self._failed_input(row)
        return failure

    def _fallback(self, graph: Graph, scope: str, source: str, node_id: str) -> Row | None:
        """The row of the first fallback behind a failed step that succeeded.

        A step that did not wait for it was given the failure itself.
        """
        fallbacks = graph.fallbacks[source]
        waited = graph.ancestors(node_id).intersection(fallbacks) if fallbacks else frozenset()
        paths = (inside(scope, fallback) for fallback in fallbacks if fallback in waited)
        rows = (self._rows.get(path, PENDING) for path in paths)
        return next((row for row in rows if row["status"] == StepStatus.SUCCEEDED), None)

    async def _failed_input(self, row: Row) -> Raw:
        if row["input"] is None:
            return NULL
        return await self._payloads.opened(row["input"], self._allowance)


def by_rule(row: Row) -> bool:
    """Whether the input rule says what the step works on, for nothing was recorded of it."""
    return row["input"] is None and row["status"] not in UNTOUCHED


def edges_of(row: Row) -> tuple[int, ...] | None:
    """Which of a step's EXPRESSION edges came to true; None where nobody has told."""
    edges: list[int] | None = members(row["edges"])
    return None if edges is None else tuple(edges)


def list_of(items: Raw) -> list[Raw]:
    """The items of a loop, each as its text; none where they are shown by their reference."""
    try:
        return msgspec.json.decode(items, type=list[Raw])
    except msgspec.ValidationError:
        return []


def idempotency_key(run_id: UUID, step_id: str) -> str:
    """The step's key, the same over all its attempts, in hex."""
    return hashlib.sha256(f"{run_id}:{step_id}".encode()).hexdigest()
