"""Reading documents: every spelling ends in one form, and that form stays as it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.workflow.model import Condition, Definition, Edge, EdgeType, Retry, to_wire
from penstock.domain.workflow.node_types import NODE_TYPES
from penstock.domain.workflow.parse import parse
from tests.unit.domain.workflow.drawings import VALUES, definitions
from tests.unit.domain.workflow.malformed import condition, document, drawn, edge, noop

TRUE = Condition(EdgeType.BRANCH, "true")
FALSE = Condition(EdgeType.BRANCH, "false")


def read(given_document: object) -> Definition:
    parsed = parse(given_document)
    assert parsed.problems == []
    assert parsed.definition is not None
    return parsed.definition


def chained(*steps: dict[str, Any]) -> list[Edge]:
    return list(read({"name": "w", "steps": list(steps)}).edges)


@given(definitions())
def test_the_canonical_form_is_read_as_it_is(definition: Definition) -> None:
    assert read(to_wire(definition)) == definition


@given(definitions(), st.data())
def test_any_order_of_members_gives_the_same_definition(
    definition: Definition, data: st.DataObject
) -> None:
    wire = to_wire(definition)
    members = data.draw(st.permutations(list(wire.items())))
    assert read(dict(members)) == definition


@given(VALUES | st.dictionaries(st.sampled_from(["name", "nodes", "edges", "steps"]), VALUES))
def test_nothing_that_is_given_raises(anything: Any) -> None:
    parse(anything)


@given(st.dictionaries(st.sampled_from(["id", "type", "config", "join", "retry", "x"]), VALUES))
def test_no_node_that_is_given_raises(node: dict[str, Any]) -> None:
    parse(drawn([node], node))


@pytest.mark.parametrize(
    ("alias", "name"),
    [(alias, kind.name) for kind in NODE_TYPES.values() for alias in (kind.name, *kind.aliases)],
)
def test_a_type_has_its_name_and_its_aliases_in_any_case(alias: str, name: str) -> None:
    for spelling in (alias, alias.upper(), alias.title()):
        assert read(drawn([noop("a", type=spelling)])).nodes[0].type == name


def test_names_are_taken_in_snake_case() -> None:
    given_document = document(
        input_schema={"type": "object"},
        timeout_ms=5,
        nodes=[noop("a", timeout_ms=7, continue_on_error=True, retry={"max_attempts": 2})],
        edges=[],
    )
    definition = read(given_document)
    assert definition.input_schema == {"type": "object"}
    assert definition.timeout_ms == 5
    assert definition.nodes[0].timeout_ms == 7
    assert definition.nodes[0].continue_on_error
    assert definition.nodes[0].retry == Retry(max_attempts=2)


def test_config_members_are_taken_in_snake_case_where_the_type_knows_them_in_camel_case() -> None:
    config = {"url": "http://x/", "accept_status": [404], "headers": {"x_y": "1"}}
    (node,) = read(drawn([{"id": "a", "type": "http", "config": config}])).nodes
    assert node.config == {"url": "http://x/", "acceptStatus": [404], "headers": {"x_y": "1"}}
    (node,) = read(drawn([noop("a", config={"my_key": 1})])).nodes
    assert node.config == {"my_key": 1}


def test_what_older_definitions_carry_is_ignored_and_their_id_is_the_key() -> None:
    parsed = parse(document(id="orders", tenantId=3, createdAt="x", updated_at=None))
    assert parsed.problems == []
    assert parsed.key == "orders"
    assert parsed.definition == read(document())


def test_null_is_as_good_as_absent_but_as_an_input() -> None:
    absent = dict.fromkeys(("name", "description", "join", "retry", "timeoutMs", "queue"))
    definition = read(
        document(
            description=None, retry=None, inputSchema=None, nodes=[noop("a", **absent)], edges=None
        )
    )
    assert definition == read(drawn([noop("a")]))
    assert read(drawn([noop("a", input=None)])).nodes[0].input is None


def test_a_nodes_retry_is_filled_from_the_workflows_then_from_the_defaults() -> None:
    definition = read(
        document(
            retryConfig={"maxAttempts": 9, "jitter": 0},
            nodes=[noop("a", retryConfig={"backoffMs": 5}), noop("b")],
        )
    )
    assert definition.retry == Retry(max_attempts=9, jitter=0.0)
    assert definition.nodes[0].retry == Retry(max_attempts=9, backoff_ms=5, jitter=0.0)
    assert definition.nodes[1].retry is None


def test_the_flat_retry_of_a_workflow_is_its_retry() -> None:
    flat = read(document(retryMaxAttempts=2, retry_backoff_ms=3))
    assert flat.retry == Retry(max_attempts=2, backoff_ms=3)
    both = parse(document(retry={"maxAttempts": 1}, retryMaxAttempts=2))
    assert [problem.pointer for problem in both.problems] == ["/retryMaxAttempts"]


def test_a_plugins_name_moves_into_its_config() -> None:
    node = noop("a", type="plugin", pluginId="p", plugin_version="1", config={"x": 1})
    assert read(drawn([node])).nodes[0].config == {"x": 1, "pluginId": "p", "pluginVersion": "1"}


def test_steps_are_a_chain_in_the_order_of_their_positions() -> None:
    assert chained(noop("b", position=2), noop("c", position=3), noop("a", position=1)) == [
        Edge("a", "b"),
        Edge("b", "c"),
    ]


def test_steps_without_positions_are_a_chain_in_the_order_of_the_list() -> None:
    assert chained(noop("b"), noop("a")) == [Edge("b", "a")]
    assert chained(noop("b"), noop("a"), noop("c", position=0)) == [Edge("c", "b"), Edge("b", "a")]


def test_steps_with_edges_are_nodes() -> None:
    definition = read({"name": "w", "steps": [noop("a"), noop("b")], "edges": [edge("b", "a")]})
    assert definition.edges == (Edge("b", "a"),)


@pytest.mark.parametrize("where", ["node", "config"])
def test_the_steps_that_a_condition_names_are_entered_over_its_branches(where: str) -> None:
    lists = {"trueSteps": ["yes", "also"], "falseSteps": "no"}
    step = condition() | lists if where == "node" else condition(**lists)
    edges = chained(noop("a"), step, noop("yes"), noop("also"), noop("no"), noop("end"))
    assert edges == [
        *(Edge("c", "yes", TRUE), Edge("c", "also", TRUE), Edge("c", "no", FALSE)),
        *(Edge("a", "c"), Edge("yes", "end"), Edge("also", "end"), Edge("no", "end")),
    ]


def test_a_branch_that_names_nobody_goes_on_along_the_chain() -> None:
    edges = chained(condition(true_steps=["yes"]), noop("yes"), noop("end"))
    assert edges == [Edge("c", "yes", TRUE), Edge("c", "end", FALSE), Edge("yes", "end")]


def test_a_condition_in_a_graph_may_name_its_steps_too() -> None:
    given_document = drawn(
        [condition(trueSteps=["b"]), noop("b")], edge("c", "b", type="BRANCH", branch="true")
    )
    assert read(given_document).edges == (Edge("c", "b", TRUE),)


def test_an_edge_that_says_the_same_again_is_dropped() -> None:
    twice = document(
        edges=[edge("a", "b"), edge("a", "b", type="ON_SUCCESS"), edge("a", "b", type="ALWAYS")]
    )
    assert read(twice).edges == (Edge("a", "b"), Edge("a", "b", Condition(EdgeType.ALWAYS)))


def test_a_position_belongs_to_steps() -> None:
    parsed = parse(drawn([noop("a", position=1)]))
    assert [(p.pointer, p.code) for p in parsed.problems] == [("/nodes/0/position", "UNKNOWN_KEY")]
