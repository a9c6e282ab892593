"""The graph: order, layers, what is upstream, what each node reads."""

from hypothesis import given

from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Condition, Definition, Edge, EdgeType, Node, Retry
from penstock.domain.workflow.reads import Reads
from penstock.domain.workflow.shape import Shape
from tests.unit.domain.workflow.drawings import shapes

FAILURE = Condition(EdgeType.ON_FAILURE)


def noop(node_id: str, **members: object) -> Node:
    return Node(id=node_id, type="noop", **members)  # type: ignore[arg-type]


def graph(*nodes: Node, edges: tuple[Edge, ...] = (), retry: Retry | None = None) -> Graph:
    return Graph.of(Definition(name="w", nodes=nodes, edges=edges, retry=retry))


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
