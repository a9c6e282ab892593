"""Hypothesis strategies: sound definitions that use every construct of the language, nested.

Every node has a config that its type takes, every edge a condition that its source may meet, and
every template names what is upstream or around its loop.
"""

from typing import Any

from hypothesis import strategies as st
from msgspec import UNSET

from penstock.domain.workflow.model import (
    AtLeast,
    Condition,
    Definition,
    Edge,
    EdgeType,
    Join,
    Node,
    drawing_to_wire,
)
from penstock.domain.workflow.node_types import branches_of
from tests.unit.domain.workflow.drawings import CONCURRENCIES, IDS, RATE_LIMITS, RETRIES

DEPTH = 2
NODES_MAX = 5

EXPRESSIONS = st.sampled_from(
    ["output != null", "error == null || error.code == 'X'", "{{ output.n }} > input.n"]
)
CONFIGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "noop": st.just({}),
    "transform": st.just({"output": {"x": "{{ input.x }}"}}) | st.just({"transform": "trim"}),
    "condition": st.just({"expression": "input.n > 1"}),
    "switch": st.just({"expression": "input.kind", "cases": ["a", "b"]})
    | st.just({"expression": "kind", "cases": ["a"], "default": "else"}),
    "approval": st.just({})
    | st.just({"timeoutMs": 5, "onTimeout": "reject", "message": "{{ input.text }}"}),
    "wait_for_signal": st.just({"name": "go"})
    | st.just({"name": "go-{{ run.id }}", "timeoutMs": 5, "onTimeout": "late"}),
    "emit_event": st.just({"type": "done"}) | st.just({"type": "done", "data": ["{{ input }}"]}),
    "error_handler": st.just({}),
    "fallback": st.just({"output": {"why": "{{ input.error.code }}"}}),
    "sub_workflow": st.just({"workflowId": "other"})
    | st.just({"workflowId": "{{ input.flow }}", "version": "{{ input.version }}"}),
    "delay": st.just({"durationMs": 5}),
}
LOOPS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"items": [1, "{{ input.x }}"]},
        {"items": "{{ input.list }}", "mode": "sequential"},
        {"items": "{{ input.list }}", "maxConcurrency": 7, "onItemError": "continue"},
        {"while": "index < 3 && (item == null || item.more) && input.go"},
        {"while": "{{ item }} != 3", "maxIterations": 10, "mode": "sequential"},
    ]
)


@st.composite
def scopes(
    draw: st.DrawFn, *, depth: int, around: tuple[str, ...] = (), in_body: bool = False
) -> tuple[tuple[Node, ...], tuple[Edge, ...]]:
    """The nodes and edges of one scope.

    depth: how deep loops may nest in it. around: the nodes outside that lead to its loop.
    """
    ids = [f"n{number}" for number in range(draw(st.integers(1, NODES_MAX)))]
    nodes: list[Node] = []
    edges: list[Edge] = []
    above: dict[str, tuple[str, ...]] = {}
    for node_id in ids:
        sources = draw(st.lists(st.sampled_from(nodes), max_size=3)) if nodes else []
        entering = [Edge(source.id, node_id, draw(conditions(source))) for source in sources]
        entering = list(dict.fromkeys(entering))
        upstream = dict.fromkeys(n for source in sources for n in (source.id, *above[source.id]))
        above[node_id] = tuple(upstream)
        readable = (*upstream, *(name for name in around if name not in ids))
        nodes.append(draw(nodes_of(node_id, len(entering), readable, depth=depth, item=in_body)))
        edges += entering
    return tuple(nodes), tuple(edges)


@st.composite
def nodes_of(
    draw: st.DrawFn,
    node_id: str,
    incoming: int,
    readable: tuple[str, ...],
    *,
    depth: int,
    item: bool,
) -> Node:
    """A node that may read these nodes, and the item where there is one."""
    node_type = draw(st.sampled_from([*CONFIGS, *(["loop"] * 3 if depth else [])]))
    if node_type == "loop":
        inner, between = draw(scopes(depth=depth - 1, around=readable, in_body=True))
        config = draw(LOOPS) | {"body": drawing_to_wire(inner, between)}
    else:
        config = draw(CONFIGS[node_type])
    texts = [f"{{{{ nodes.{name}.output }}}}" for name in readable]
    texts += ["{{ item.x }}", "{{ index + 1 }}"] if item else ["{{ run.input.x }}"]
    joins: list[Join | AtLeast] = [*Join]
    joins += [
        AtLeast(at_least=number, cancel_others=cancels)
        for number in range(1, incoming + 1)
        for cancels in (False, True)
    ]
    return Node(
        id=node_id,
        type=node_type,
        config=config,
        input=draw(st.just(UNSET) | st.sampled_from(texts) | st.just({"x": texts})),
        join=draw(st.sampled_from(joins)),
        retry=draw(st.none() | RETRIES),
        continue_on_error=draw(st.booleans()),
        queue=draw(st.just("default") | IDS),
    )


@st.composite
def conditions(draw: st.DrawFn, source: Node) -> Condition:
    """A condition that this source may meet."""
    edge_type = draw(st.sampled_from(EdgeType))
    branches = branches_of(source)
    if edge_type is EdgeType.EXPRESSION:
        return Condition(edge_type, expression=draw(EXPRESSIONS))
    if edge_type is EdgeType.BRANCH:
        return Condition(edge_type, draw(st.sampled_from(branches))) if branches else Condition()
    return Condition(edge_type)


@st.composite
def sound_definitions(draw: st.DrawFn, *, depth: int = DEPTH) -> Definition:
    """A definition in which nothing is wrong."""
    nodes, edges = draw(scopes(depth=depth))
    outputs = [{node.id: f"{{{{ nodes.{node.id}.output }}}}" for node in nodes}, "{{ input.x }}"]
    return Definition(
        name="w",
        retry=draw(st.none() | RETRIES),
        concurrency=draw(st.none() | CONCURRENCIES),
        rate_limit=draw(st.none() | RATE_LIMITS),
        output=draw(st.just(UNSET) | st.sampled_from(outputs)),
        nodes=nodes,
        edges=edges,
    )
