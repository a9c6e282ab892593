"""Reading documents: every spelling ends in one form, and that form stays as it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.workflow.model import (
    AtLeast,
    Concurrency,
    Condition,
    Definition,
    Edge,
    EdgeType,
    RateLimit,
    Retry,
    Strategy,
    canonical_bytes,
    content_hash,
    from_bytes,
    to_wire,
)
from penstock.domain.workflow.node_types import NODE_TYPES
from penstock.domain.workflow.parse import parse
from penstock.domain.workflow.reading import snake
from tests.unit.domain.workflow.drawings import VALUES, definitions
from tests.unit.domain.workflow.malformed import condition, document, drawn, edge, noop
from tests.unit.domain.workflow.malformed_constructs import body, loop, node
from tests.unit.domain.workflow.sound import sound_definitions

TRUE = Condition(EdgeType.BRANCH, "true")
FALSE = Condition(EdgeType.BRANCH, "false")


def read(given_document: object) -> Definition:
    parsed = parse(given_document)
    assert parsed.problems == []
    assert parsed.definition is not None
    return parsed.definition


def spelled_in_snake_case(value: Any) -> Any:
    """A document with every key in snake case."""
    if isinstance(value, dict):
        return {snake(key): spelled_in_snake_case(inner) for key, inner in value.items()}
    return [spelled_in_snake_case(v) for v in value] if isinstance(value, list) else value


def chained(*steps: dict[str, Any]) -> list[Edge]:
    return list(read({"name": "w", "steps": list(steps)}).edges)


@given(definitions())
def test_the_canonical_form_is_read_as_it_is(definition: Definition) -> None:
    assert read(to_wire(definition)) == definition


@given(sound_definitions())
def test_the_canonical_form_of_bodies_is_read_as_it_is(definition: Definition) -> None:
    again = read(to_wire(definition))
    assert again == definition
    assert content_hash(again) == content_hash(definition)
    assert from_bytes(canonical_bytes(again)) == definition


@given(sound_definitions(depth=1))
def test_a_loops_body_in_snake_case_is_read_as_the_same(definition: Definition) -> None:
    assert read(spelled_in_snake_case(to_wire(definition))) == definition


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
    (http,) = read(drawn([{"id": "a", "type": "http", "config": config}])).nodes
    assert http.config == {"url": "http://x/", "acceptStatus": [404], "headers": {"x_y": "1"}}
    (other,) = read(drawn([noop("a", config={"my_key": 1})])).nodes
    assert other.config == {"my_key": 1}


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
    plugin = noop("a", type="plugin", pluginId="p", plugin_version="1", config={"x": 1})
    assert read(drawn([plugin])).nodes[0].config == {"x": 1, "pluginId": "p", "pluginVersion": "1"}


def test_auth_that_names_a_connection_is_its_connection() -> None:
    for kind in ("http_request", "webhook"):
        node = noop("a", type=kind, config={"url": "https://x/", "auth": {"connection": "shop"}})
        assert read(drawn([node])).nodes[0].config == {"url": "https://x/", "connection": "shop"}
    both = {"connection": "shop", "auth": {"connection": "other"}}
    assert read(drawn([noop("a", type="http", config=both)])).nodes[0].config == both


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


def test_a_body_that_is_a_workflow_is_one_node() -> None:
    given_body = {"workflow_id": "{{ item.flow }}", "version": 2}
    (read_loop,) = read(drawn([node("l", "loop", items=[1], body=given_body)])).nodes
    config = {"workflowId": "{{ item.flow }}", "version": 2}
    inner = {"id": "workflow", "type": "sub_workflow", "config": config}
    assert read_loop.config["body"] == {"nodes": [inner], "edges": []}


def test_a_body_is_read_in_every_spelling() -> None:
    steps = [
        noop("b", position=2, retry_config={"backoff_ms": 5}),
        {"id": "c", "type": "Conditional", "config": {"expression": "true"}, "position": 1},
        loop("l", noop("x", type="HTTP", config={"accept_status": [404]})) | {"position": 3},
    ]
    given_document = drawn([node("l", "LOOP", items=[], body={"steps": steps})])
    (read_loop,) = read(given_document | {"retryMaxAttempts": 9}).nodes
    retry = {"maxAttempts": 9, "backoffMs": 5, "backoffMultiplier": 2.0}
    inner = {"id": "x", "type": "http_request", "config": {"acceptStatus": [404]}}
    assert read_loop.config["body"] == body(
        {"id": "c", "type": "condition", "config": {"expression": "true"}},
        {"id": "b", "type": "noop", "retry": retry | {"maxBackoffMs": 60_000, "jitter": 0.2}},
        {"id": "l", "type": "loop", "config": {"items": [1, 2], "body": body(inner)}},
        edges=[{"from": "c", "to": "b"}, {"from": "b", "to": "l"}],
    )


def test_a_decision_is_spelled_one_way() -> None:
    approval = node("a", "approval", timeoutMs=1, onTimeout="rejected")
    edges = [edge("a", "b", type="BRANCH", branch=name) for name in ("approved", "approve")]
    definition = read(drawn([approval, noop("b")], *edges))
    assert definition.edges == (Edge("a", "b", Condition(EdgeType.BRANCH, "approve")),)
    assert definition.nodes[0].config["onTimeout"] == "reject"


@pytest.mark.parametrize("spelling", ["name", "signal", "signalName", "signal_name"])
def test_a_signal_is_named_in_several_spellings(spelling: str) -> None:
    (wait,) = read(drawn([node("a", "wait_for_signal", **{spelling: "go"})])).nodes
    assert wait.config == {"name": "go"}


def test_a_join_is_a_word_or_a_number_of_edges() -> None:
    given_document = drawn([noop("a", join={"at_least": 2}), noop("b", join={"atLeast": 1})])
    given_document["nodes"][1]["join"]["cancel_others"] = True
    joins = [drawn_node.join for drawn_node in read(given_document).nodes]
    assert joins == [AtLeast(at_least=2), AtLeast(at_least=1, cancel_others=True)]


def test_a_flow_is_read_in_every_spelling() -> None:
    flat = read(document(rateLimitMaxConcurrent=5, rate_limit={"per_minute": 6}))
    assert flat.rate_limit == RateLimit(max_concurrent=5, per_minute=6)
    given_document = document(
        concurrency={"key": "{{ input.x }}", "strategy": "cancelRunning"}, queued_timeout_ms=7
    )
    definition = read(given_document)
    expected = Concurrency(key="{{ input.x }}", strategy=Strategy.CANCEL_RUNNING)
    assert (definition.concurrency, definition.queued_timeout_ms) == (expected, 7)
