"""Steps in order and page by page, those inside loops too, and what each of them works on."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.payloads import Payloads
from penstock.api.queries_steps import PENDING, Shown, Steps
from penstock.domain import payload
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import from_wire
from penstock.infra.keyring.data_keys import DataKeys
from penstock.infra.keyring.keks import Keks
from penstock.infra.keyring.payloads import Seals
from penstock.infra.postgres.engine import Row

NODES: list[dict[str, Any]] = [
    {"id": "first", "type": "noop"},
    {
        "id": "loop",
        "type": "loop",
        "config": {
            "items": "{{ input }}",
            "body": {
                "nodes": [
                    {"id": "x", "type": "noop"},
                    {
                        "id": "in",
                        "type": "loop",
                        "config": {
                            "while": "true",
                            "maxIterations": 9,
                            "body": {"nodes": [{"id": "y", "type": "noop"}], "edges": []},
                        },
                    },
                ],
                "edges": [{"from": "x", "to": "in"}],
            },
        },
    },
    {"id": "last", "type": "noop"},
]
EDGES = [{"from": "first", "to": "loop"}, {"from": "loop", "to": "last"}]


def graph_of(nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> Graph:
    return Graph.of(from_wire({"name": "drawn", "nodes": nodes, "edges": edges}))


LOOPS = graph_of(NODES, EDGES)


def text(value: object) -> bytes:
    return msgspec.json.encode(payload.of_value(value))


def row(step_id: str, **changes: Any) -> Row:
    return PENDING | {"step_id": step_id, "status": "succeeded", "attempt": 1} | changes


def opened(count: int, **changes: Any) -> Row:
    return {"loop": msgspec.json.encode({"opened": count}), **changes}


async def nowhere(_seq: int) -> None:
    return None


def steps(rows: Sequence[Row], graph: Graph = LOOPS, **run: Any) -> Steps:
    """The steps of a run whose rows are these; nothing of theirs lies elsewhere or is sealed."""
    by_id = {each["step_id"]: each for each in rows}

    async def read(step_ids: Sequence[str]) -> list[Row]:
        return [by_id[step_id] for step_id in step_ids if step_id in by_id]

    nothing: Any = None
    seals = Seals(DataKeys(nothing, Keks(bytes(32))))
    of_run = {"id": UUID(int=1), "forked_from": None, "input": text("the run's")} | run
    return Steps(read, Payloads(nothing, seals, nowhere, "t"), of_run, graph)


def shown(*args: Any, **run: Any) -> dict[str, Shown]:
    items, last = asyncio.run(steps(*args, **run).page(None, 1000))
    assert last is None
    return {each["id"]: each for each in items}


MANY = [
    row("loop", **opened(12)),
    *(row(f"loop.{i}.in", **opened(2)) for i in range(12)),
    *(row(f"loop.{i}.x") for i in range(12)),
]
IN_ORDER = [
    "first",
    "loop",
    *(f"loop.{i}.{inner}" for i in range(12) for inner in ("x", "in", "in.0.y", "in.1.y")),
    "last",
]


def test_steps_stand_in_the_definitions_order_and_iterations_in_that_of_their_numbers() -> None:
    items = shown(MANY)
    assert list(items) == IN_ORDER
    assert items["loop.11.in.1.y"]["nodeId"] == "y"
    assert items["loop.11.in.1.y"]["status"] == "pending"


@given(st.integers(1, 60))
def test_pages_of_any_size_leave_nothing_out_and_repeat_nothing(size: int) -> None:
    async def walked() -> list[str]:
        found: list[str] = []
        after = None
        while True:
            items, after = await steps(MANY).page(after, size)
            found += [each["id"] for each in items]
            if after is None:
                return found

    assert asyncio.run(walked()) == IN_ORDER


@pytest.mark.parametrize("after", ["nobody", "loop.x.in", "loop.-1.x", "loop.3.nobody", ""])
def test_a_page_cannot_begin_behind_what_the_definition_does_not_have(after: str) -> None:
    with pytest.raises(ValueError, match=r"\S*"):
        asyncio.run(steps(MANY).page(after, 5))


def test_a_fork_has_the_iterations_that_go_on_only() -> None:
    rows = [row("loop", **opened(40, status="running")), row("loop.38.x"), row("loop.39.x")]
    items = shown(rows, forked_from=b"{}")
    inside = [step_id for step_id in items if "." in step_id]
    assert inside == ["loop.38.x", "loop.38.in", "loop.39.x", "loop.39.in"]


def test_the_first_steps_of_an_iteration_work_on_its_item() -> None:
    rows = [
        row("loop", **opened(2, items=text([{"a": 1}, "b"]))),
        row("loop.0.x"),
        row("loop.1.x", output=text("x1")),
        row("loop.1.in", **opened(2)),
        row("loop.1.in.0.y", output=text("y0")),
        row("loop.1.in.1.y"),
    ]
    items = shown(rows)
    assert [told(items[f"loop.{i}.x"]) for i in (0, 1)] == [{"a": 1}, "b"]
    assert told(items["loop.1.in"]) == "x1"
    assert [told(items[f"loop.1.in.{i}.y"]) for i in (0, 1)] == [None, "y0"]


def told(step: Shown) -> Any:
    return msgspec.json.decode(msgspec.json.encode(step["input"]))


def test_an_edge_that_was_evaluated_says_who_contributes() -> None:
    nodes: list[dict[str, Any]] = [{"id": each, "type": "noop"} for each in "abc"]
    edges = [
        {"from": "a", "to": "b", "condition": {"type": "EXPRESSION", "expression": "false"}},
        {"from": "a", "to": "c", "condition": {"type": "EXPRESSION", "expression": "true"}},
        {"from": "b", "to": "c", "condition": {"type": "ALWAYS"}},
    ]
    rows = [row("a", output=text(1), edges=b"[1]"), row("b", output=text(2)), row("c")]
    assert told(shown(rows, graph_of(nodes, edges))["c"]) == {"a": 1, "b": 2}
    rows[0]["edges"] = b"[0]"
    assert told(shown(rows, graph_of(nodes, edges))["c"]) == {"b": 2}


def test_who_goes_on_after_a_failure_contributes_its_error() -> None:
    nodes: list[dict[str, Any]] = [
        {"id": "a", "type": "noop", "continueOnError": True},
        {"id": "b", "type": "noop"},
    ]
    error = {"code": "BROKEN", "message": "it broke"}
    rows = [row("a", status="failed", error=msgspec.json.encode(error), input=text(1)), row("b")]
    items = shown(rows, graph_of(nodes, [{"from": "a", "to": "b"}]))
    assert told(items["b"]) == {"error": error | {"retryable": False, "details": None}}


def test_what_a_fallback_said_stands_for_the_failed_steps_output() -> None:
    nodes: list[dict[str, Any]] = [
        {"id": "a", "type": "noop"},
        {"id": "f", "type": "fallback", "config": {"output": 1}},
        {"id": "z", "type": "noop"},
    ]
    edges: list[dict[str, Any]] = [
        {"from": "a", "to": "f", "condition": {"type": "ON_FAILURE"}},
        {"from": "a", "to": "z", "condition": {"type": "ALWAYS"}},
        {"from": "f", "to": "z"},
    ]
    error = msgspec.json.encode({"code": "BROKEN", "message": "it broke"})
    failed = row("a", status="failed", error=error, input=text("it"))
    rows = [failed, row("f", output=text("instead")), row("z")]
    items = shown(rows, graph_of(nodes, edges))
    assert told(items["f"])["failedNode"] == "a"
    assert told(items["z"]) == {"a": "instead", "f": "instead"}
