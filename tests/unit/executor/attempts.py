"""An attempt at a step of a drawing, without any of what is around it."""

from typing import Any, cast

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from penstock.domain.payload import Payload, of_value
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import from_wire
from penstock.executor.context import StepContext
from penstock.executor.edges import Told, told
from penstock.executor.inputs import ITEMS
from penstock.executor.items import Items, with_item
from penstock.executor.outcome import Done, Outcome, StepFault
from penstock.executor.planning import plan_at
from penstock.executor.transport import GuardedTransport
from penstock.executor.verdict import passed_on
from penstock.infra.expressions import Expressions
from penstock.messages.envelope import Gathered, Task

NOW = 1_700_000_000_000
EVALUATE = Expressions().evaluate


def drawing(
    *nodes: dict[str, Any], edges: list[dict[str, Any]] | None = None, **more: Any
) -> Graph:
    """The graph of a definition."""
    return Graph.of(from_wire({"name": "test", "nodes": list(nodes), "edges": edges or [], **more}))


def edge(source: str, target: str, kind: str = "ON_SUCCESS", **more: str) -> dict[str, Any]:
    """An edge with its condition."""
    return {"from": source, "to": target, "condition": {"type": kind, **more}}


def tried(
    graph: Graph,
    path: str,
    *,
    taken: tuple[str, ...] = (),
    gathered: Gathered | None = None,
    **payloads: Any,
) -> tuple[Outcome | StepFault, Told]:
    """What an attempt comes to, its output filled in, and its edges that hold.

    payloads: values by name, dots written as two underscores.
    """
    named = {name.replace("__", "."): of_value(value) for name, value in payloads.items()}
    task = Task(
        run_id="r-1",
        step_id=path,
        attempt=1,
        definition="d",
        started_at=NOW,
        payloads=named,
        taken=taken,
        gathered=gathered,
    )
    context = StepContext("acme", "r-1", path, 1, NOW, "", cast(GuardedTransport, None))
    given = plan = None
    try:
        brought: dict[str, Payload] = named
        if ITEMS in named:
            brought = with_item(path, named, Items().taken_apart("acme", named[ITEMS]))
        plan = plan_at(graph, path, EVALUATE)
        given = plan.given(task, brought)
        assert plan.handler.immediate is not None
        found = plan.handler.immediate(context, plan.filled(task, brought, given), given)
        found = plan.bounded(found, NOW)
    except StepFault as fault:
        return told(None if plan is None else plan.edges, given, fault)
    said, edges = told(plan.edges, given, found)
    if isinstance(said, Done) and said.output is None:
        carried = passed_on(given)
        assert carried is not None
        raw = carried if isinstance(carried, Raw) else carried.inline
        return replace(said, output=raw), edges
    return said, edges


def done(found: Outcome | StepFault) -> Any:
    """The value of what a step says."""
    assert isinstance(found, Done), found
    assert found.output is not None
    return msgspec.json.decode(found.output)


def fault(found: Outcome | StepFault) -> StepFault:
    """The fault that it is."""
    assert isinstance(found, StepFault), found
    return found
