"""The graph: order, layers, what is upstream, what each node reads."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from msgspec import structs

from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import (
    AtLeast,
    Condition,
    Definition,
    Edge,
    EdgeType,
    Join,
    Node,
    Retry,
    drawing_to_wire,
    from_wire,
)
from penstock.domain.workflow.reads import Reads
from penstock.domain.workflow.shape import Shape
from tests.unit.domain.workflow.drawings import shapes
from tests.unit.domain.workflow.sound import sound_definitions

FAILURE = Condition(EdgeType.ON_FAILURE)


def noop(node_id: str, **members: object) -> Node:
    return Node(id=node_id, type="noop", **members)  # type: ignore[arg-type]


def graph(*nodes: Node, edges: tuple[Edge, ...] = (), retry: Retry | None = None) -> Graph:
    return Graph.of(Definition(name="w", nodes=nodes, edges=edges, retry=retry))


def loop(node_id: str, *nodes: Node, edges: tuple[Edge, ...] = (), **config: Any) -> Node:
    """A loop with these nodes as its body."""
    return Node(
        id=node_id,
        type="loop",
        config=(config or {"items": [1]}) | {"body": drawing_to_wire(nodes, edges)},
    )


def paths(drawn: Graph, prefix: str = "") -> Iterator[tuple[str, Graph, str]]:
    """The path of every node, in the iteration with index 7 of every loop."""
    for node_id in drawn.order:
        yield prefix + node_id, drawn, node_id
        if node_id in drawn.bodies:
            yield from paths(drawn.bodies[node_id], f"{prefix}{node_id}.7.")


def reads(node: Node, *upstream: str, on: Condition = Condition()) -> Reads:  # noqa: B008
    """What `node` reads after these nodes, or as a root; `on` leads out of it."""
    edges = (*(Edge(source, node.id) for source in upstream), Edge(node.id, "end", on))
    return graph(*map(noop, upstream), node, noop("end"), edges=edges).reads[node.id]


@given(shapes())
def test_layers_hold_every_node_once_after_all_its_predecessors(definition: Definition) -> None:
    drawn = Graph.of(definition)
    layers = drawn.layers()
    place = {node_id: number for number, layer in enumerate(layers) for node_id in layer}
    assert sorted(place) == sorted(drawn.order)
    assert all(place[edge.source] < place[edge.target] for edge in definition.edges)
    for node_id in drawn.order:
        above = [place[source] for source in drawn.predecessors(node_id)]
        assert place[node_id] == max(above, default=-1) + 1
    numbers = {node_id: number for number, node_id in enumerate(drawn.order)}
    assert all(layer == sorted(layer, key=numbers.__getitem__) for layer in layers)


@given(shapes())
def test_upstream_is_what_a_walk_finds(definition: Definition) -> None:
    drawn, shape = Graph.of(definition), Shape(definition)
    for node_id in drawn.order:
        upstream = {other for other in drawn.order if shape.is_upstream(other, node_id)}
        assert upstream == drawn.ancestors(node_id)


@given(shapes())
def test_every_edge_is_found_at_both_its_ends(definition: Definition) -> None:
    drawn = Graph.of(definition)
    assert {e for edges in drawn.incoming.values() for e in edges} == set(definition.edges)
    assert {e for edges in drawn.outgoing.values() for e in edges} == set(definition.edges)
    assert drawn.roots == tuple(n for n in drawn.order if not drawn.incoming[n])
    assert drawn.sinks == tuple(n for n in drawn.order if not drawn.outgoing[n])


def test_predecessors_are_counted_once() -> None:
    drawn = graph(noop("a"), noop("b"), edges=(Edge("a", "b"), Edge("a", "b", FAILURE)))
    assert drawn.predecessors("b") == ("a",)


def test_a_nodes_policy_goes_before_the_workflows_and_that_before_the_default() -> None:
    own, common = Retry(max_attempts=2), Retry(max_attempts=7)
    drawn = graph(noop("a", retry=own), noop("b"), retry=common)
    assert (drawn.retry("a"), drawn.retry("b")) == (own, common)
    assert graph(noop("a")).retry("a") == Retry()


def test_a_step_without_a_limit_has_its_types() -> None:
    text = Node(id="t", type="transform", config={"output": 1})
    drawn = graph(noop("a"), noop("b", timeout_ms=7), text)
    assert [drawn.timeout_ms(node_id) for node_id in drawn.order] == [300_000, 7, 5_000]


def test_a_root_reads_the_runs_input() -> None:
    assert reads(noop("a")) == Reads(input=True, run_input=True)


def test_a_node_that_passes_its_input_reads_its_predecessor() -> None:
    assert reads(noop("a"), "p") == Reads(input=True)


def test_a_node_that_names_nothing_reads_nothing() -> None:
    fetch = Node(id="a", type="http_request", config={"url": "http://x/"})
    assert reads(fetch, "p") == Reads()
    made = Node(id="a", type="transform", config={"output": {"x": 1}})
    assert reads(made, "p") == Reads()


def test_a_request_with_a_method_that_has_a_body_reads_its_input_unless_it_has_one() -> None:
    for method, config, expected in (
        ("post", {}, True),
        ("POST", {"body": 1}, False),
        ("{{ run.input.method }}", {}, True),
        ("DELETE", {}, False),
    ):
        node = Node(id="a", type="http_request", config={"url": "x", "method": method, **config})
        assert reads(node, "p").input is expected


def test_a_nodes_names_are_its_reads() -> None:
    config = {"output": [{"x": "{{ nodes.p-1.output.x }} {{ run.input.y }}"}, "{{ q.z + 1 }}"]}
    node = Node(id="a", type="transform", config=config)
    assert reads(node, "p-1", "p") == Reads(input=True, run_input=True, nodes=("p-1",))


def test_an_expression_is_read_for_names_without_braces() -> None:
    config = {"expression": "nodes.p.output.n > 1 && default(nodes.q.error, null) == null"}
    node = Node(id="a", type="condition", config=config)
    assert reads(node, "p", "q").nodes == ("p", "q")


def test_an_input_template_takes_the_place_of_the_rule() -> None:
    node = noop("a", input={"order": "{{ nodes.p.output }}"}, config={"x": "{{ input.order }}"})
    assert reads(node, "p") == Reads(nodes=("p",))
    assert reads(noop("a", input={"x": "{{ input.x }}"}), "p") == Reads(input=True)
    assert reads(noop("a", input="{{ run }}"), "p") == Reads(run_input=True)


def test_a_node_whose_failure_is_told_reads_its_input_to_tell_it() -> None:
    fetch = Node(id="a", type="http_request", config={"url": "http://x/"})
    assert reads(fetch, "p", on=FAILURE) == Reads(input=True)


@given(sound_definitions())
def test_every_step_is_found_by_its_path(definition: Definition) -> None:
    drawn = Graph.of(definition)
    found = list(paths(drawn))
    for path, graph_of_path, node_id in found:
        assert drawn.scope(path) == (graph_of_path, node_id)
        assert drawn.node(path) is graph_of_path.nodes[node_id]
        assert drawn.retry(path) == graph_of_path.retry(node_id)
        assert drawn.timeout_ms(path) == graph_of_path.timeout_ms(node_id)
    assert drawn.depth == max(path.count(".") for path, _, _ in found) // 2


@pytest.mark.parametrize(
    "path", ["x", "l.0", "l.0.y", "l.x", "l.x.x", "a.0.x", "l.0.x.0.x", "", "."]
)
def test_what_is_no_path_of_a_step_is_not_found(path: str) -> None:
    drawn = graph(noop("a"), loop("l", noop("x")))
    with pytest.raises(KeyError):
        drawn.scope(path)
    with pytest.raises(KeyError):
        drawn.node(path)


def test_a_body_has_the_workflows_retry() -> None:
    own, common = Retry(max_attempts=2), Retry(max_attempts=7)
    inner = loop("m", noop("x", retry=own), noop("y", timeout_ms=9))
    drawn = graph(loop("l", inner), retry=common)
    assert (drawn.retry("l.0.m.3.x"), drawn.retry("l.0.m.3.y")) == (own, common)
    assert (drawn.timeout_ms("l.0.m.3.y"), drawn.timeout_ms("l.0.m")) == (9, 300_000)


def test_a_name_means_the_innermost_node_of_that_name() -> None:
    inner = loop("m", noop("x"), noop("a"))
    drawn = graph(noop("a"), noop("b"), loop("l", inner, noop("b")))
    assert drawn.named("l.4.m.5.x", "a") == "l.4.m.5.a"
    assert drawn.named("l.4.m.5.x", "b") == "l.4.b"
    assert drawn.named("l.4.m", "a") == "a"
    assert drawn.named("b", "a") == "a"
    with pytest.raises(KeyError):
        drawn.named("l.4.m.5.x", "ghost")


def test_a_failure_may_be_handled_by_an_edge_or_by_the_node_itself() -> None:
    drawn = graph(
        *map(noop, ("failure", "always", "asked", "success")),
        *(noop("forgiven", continue_on_error=True), Node(id="end", type="fallback")),
        edges=(
            *(Edge("failure", "end", FAILURE), Edge("always", "end", Condition(EdgeType.ALWAYS))),
            Edge("asked", "end"),
            Edge("asked", "end", Condition(EdgeType.EXPRESSION, expression="true")),
            *(Edge("success", "end"), Edge("forgiven", "success")),
        ),
    )
    handled = {node_id for node_id in drawn.order if drawn.handles_failure(node_id)}
    assert handled == {"failure", "always", "asked", "forgiven"}
    assert {node_id for node_id, found in drawn.fallbacks.items() if found == ("end",)} == {
        *("failure", "always", "asked"),
    }
    assert (drawn.expressions["asked"], drawn.expressions["always"]) == ((1,), ())
    assert drawn.fallbacks.keys() == drawn.expressions.keys() == set(drawn.order)


@given(shapes())
def test_a_join_cancels_what_leads_nowhere_else(definition: Definition) -> None:
    others = AtLeast(at_least=1, cancel_others=True)
    nodes = tuple(structs.replace(node, join=others) for node in definition.nodes)
    drawn = Graph.of(structs.replace(definition, nodes=nodes))
    for join in drawn.order:
        kept = {node_id for node_id in drawn.order if can_avoid(drawn, node_id, join)}
        expected = tuple(n for n in drawn.order if n in drawn.ancestors(join) - kept)
        assert drawn.cancelled_by(join) == expected
        assert drawn.cancelled_by(join) is drawn.cancelled_by(join)


def can_avoid(drawn: Graph, node_id: str, join: str) -> bool:
    """Whether a way leads from the node to an end without passing the join."""
    if node_id == join:
        return False
    targets = [edge.target for edge in drawn.outgoing[node_id]]
    return not targets or any(can_avoid(drawn, target, join) for target in targets)


@pytest.mark.parametrize("join", [Join.ALL, Join.ANY, AtLeast(at_least=1)])
def test_a_join_that_does_not_say_so_cancels_nothing(join: Join | AtLeast) -> None:
    drawn = graph(noop("a"), noop("b", join=join), edges=(Edge("a", "b"),))
    assert drawn.cancelled_by("b") == ()


def test_the_root_of_a_body_reads_the_item_and_what_follows_its_predecessor() -> None:
    body = graph(loop("l", noop("a"), noop("b"), edges=(Edge("a", "b"),))).bodies["l"]
    assert body.reads == {"a": Reads(input=True, item=True), "b": Reads(input=True)}


def test_a_name_inside_a_body_is_read_wherever_it_stands() -> None:
    text = "{{ item.x }} {{ nodes.out.output }} {{ run.input.y }} {{ vars.region }}"
    node = Node(id="x", type="transform", config={"output": text})
    body = graph(noop("out"), loop("l", node), edges=(Edge("out", "l"),)).bodies["l"]
    assert body.reads["x"] == Reads(run_input=True, nodes=("out",), item=True, vars=("region",))


def test_a_loop_reads_its_items_and_not_what_its_body_reads() -> None:
    node = Node(id="x", type="transform", config={"output": "{{ nodes.q.output }} {{ item }}"})
    assert reads(loop("l", node, items="{{ nodes.p.output.list }}"), "p", "q") == Reads(
        nodes=("p",)
    )


def test_a_while_reads_for_its_loop_and_the_last_output_for_itself() -> None:
    condition: dict[str, Any] = {
        "while": "item.n < input.n && nodes.p.output.go && vars.limit > index"
    }
    drawn = graph(noop("p"), loop("l", noop("x"), **condition), edges=(Edge("p", "l"),))
    named = Reads(input=True, nodes=("p",), vars=("limit",))
    assert drawn.reads["l"] == named
    assert drawn.while_reads == {"l": structs.replace(named, item=True)}
    assert graph(loop("l", noop("x"))).while_reads == {}


def test_the_output_of_a_run_has_its_reads() -> None:
    definition = Definition(
        name="w",
        nodes=(noop("a"), noop("b")),
        output={"x": "{{ nodes.b.output }} {{ vars.v }}", "y": ["{{ n + nodes.a.output }}"]},
    )
    assert Graph.of(definition).output_reads == Reads(
        input=True, run_input=True, nodes=("b", "a"), vars=("v",)
    )
    assert graph(noop("a")).output_reads is None


def test_an_edge_that_asks_reads_its_sources_input() -> None:
    fetch = Node(id="a", type="http_request", config={"url": "http://x/"})
    asks = Condition(EdgeType.EXPRESSION, expression="output.status == 200")
    assert reads(fetch, "p", on=asks) == Reads(input=True)


def test_an_event_without_data_is_made_of_the_input() -> None:
    for config, expected in (({}, True), ({"data": 1}, False), ({"data": "{{ input.x }}"}, True)):
        node = Node(id="a", type="emit_event", config={"type": "x", **config})
        assert reads(node, "p").input is expected


def test_a_graph_knows_the_variables_that_anything_in_it_reads() -> None:
    body = {"nodes": [{"id": "in", "type": "noop", "input": "{{ vars.inner }}"}], "edges": []}
    loop = {"items": "{{ vars.items }}", "body": body}
    whole = {
        "name": "w",
        "nodes": [
            {"id": "a", "type": "noop", "input": {"x": "{{ vars.a }} and {{ vars.a + 1 }}"}},
            {"id": "b", "type": "condition", "config": {"expression": "vars.limit > 3"}},
            {"id": "loop", "type": "loop", "config": loop},
        ],
        "edges": [],
        "output": {"y": "{{ vars.out }}"},
        "concurrency": {"max": 1, "key": "{{ vars.key }}", "strategy": "queue"},
    }
    named = {"inner", "items", "a", "limit", "out", "key"}
    assert Graph.of(from_wire(whole)).vars == named
    plain = {"name": "w", "nodes": [{"id": "a", "type": "noop"}]}
    assert Graph.of(from_wire(plain)).vars == frozenset()


@pytest.mark.parametrize("node_type", ["approval", "wait_for_signal"])
def test_a_wait_reads_its_input_only_where_it_names_it(node_type: str) -> None:
    for config, expected in (({}, False), ({"message": "{{ input.text }}"}, True)):
        node = Node(id="a", type=node_type, config=config)
        assert reads(node, "p").input is expected
