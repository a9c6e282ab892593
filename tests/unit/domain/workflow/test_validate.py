"""Validation: every problem at once, each at its place in the document that was given."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition, canonical_bytes, to_wire
from penstock.domain.workflow.node_types import NODE_TYPES
from penstock.domain.workflow.parse import Limits, Parsed
from penstock.domain.workflow.problems import PROBLEMS_MAX, Code
from penstock.infra.validation import Validation
from tests.unit.domain.workflow.drawings import VALUES
from tests.unit.domain.workflow.malformed import (
    LARGE,
    MALFORMED,
    Malformed,
    condition,
    document,
    drawn,
    edge,
    http,
    noop,
    one,
)
from tests.unit.domain.workflow.malformed_constructs import (
    CONSTRUCTS,
    body,
    loop,
    nested_loops,
    node,
    reader,
)
from tests.unit.domain.workflow.sound import sound_definitions

VALIDATION = Validation()
PIECES = (
    "{{",
    "}}",
    "nodes.",
    "a",
    ".output",
    "'",
    '"',
    "(",
    ")",
    "[0]",
    "default(",
    ",",
    " ",
    "-",
    "1",
    "\\",
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
CONFIGS = st.dictionaries(
    st.sampled_from(
        (
            *("url", "headers", "expression", "language", "output", "auth", "until", "code"),
            *("body", "while", "items", "cases", "default", "onTimeout", "name", "signal"),
        )
    ),
    TEXTS | st.lists(TEXTS, max_size=2) | st.dictionaries(TEXTS, TEXTS, max_size=2) | st.integers(),
)


def check(given: object, **options: Any) -> Parsed:
    return VALIDATION.check(given, **options)


def found(parsed: Parsed) -> list[tuple[str, str]]:
    return sorted((problem.pointer, str(problem.code)) for problem in parsed.problems)


@pytest.mark.parametrize("case", [*MALFORMED, *CONSTRUCTS, *LARGE], ids=lambda case: case.name)
def test_a_malformed_definition_has_all_its_problems_and_no_other(case: Malformed) -> None:
    parsed = check(case.document)
    assert found(parsed) == sorted(case.problems)
    assert parsed.definition is None
    assert all(problem.message for problem in parsed.problems)


def test_every_code_has_a_malformed_definition() -> None:
    seen = {code for case in (*MALFORMED, *LARGE) for _, code in case.problems}
    assert seen == set(Code)


def test_a_sound_definition_has_no_problem() -> None:
    parsed = check(document())
    assert parsed.problems == []
    assert parsed.definition is not None


def test_a_cycle_names_the_nodes_on_it_and_none_beside_it() -> None:
    given = drawn(
        [noop(name) for name in "abcd"], *(edge("a", "b"), edge("b", "c"), edge("c", "b"))
    )
    (problem,) = check(given).problems
    assert problem.nodes == ["b", "c"]


def test_a_name_from_outside_stands_in_for_a_missing_one() -> None:
    given = document()
    del given["name"]
    parsed = check(given, name="outside")
    assert parsed.definition is not None
    assert parsed.definition.name == "outside"


def test_a_body_reads_what_leads_to_its_loop_and_the_innermost_of_a_name() -> None:
    inner = loop(
        "inner",
        reader("x", "{{ nodes.before.output }} {{ nodes.a.output }} {{ item }} {{ index }}"),
        items="{{ item.parts }}",
    )
    given = drawn(
        [noop("before"), noop("a"), loop("l", noop("a"), inner, edges=[edge("a", "inner")])],
        edge("before", "l"),
    )
    assert found(check(given)) == []


def test_a_while_reads_what_its_loop_may_and_its_own_iterations() -> None:
    condition = "index < vals && (item == null || item.more) && nodes.a.output.go && run.id != ''"
    given = drawn([noop("a"), node("l", "loop", **{"while": condition}, body=body(noop("x")))])
    given["edges"] = [edge("a", "l")]
    assert found(check(given)) == []


@pytest.mark.parametrize(
    ("given", "branches"),
    [
        (node("a", "switch", expression="input.x", cases=["x", "y"]), ("x", "y", "default")),
        (node("a", "switch", expression="x", cases=["x"], default="other"), ("x", "other")),
        (node("a", "approval"), ("approve", "reject", "approved", "rejected")),
        (node("a", "approval", timeoutMs=1, onTimeout="late"), ("approve", "late")),
        (node("a", "wait_for_signal", name="n", timeoutMs=1, onTimeout="no"), ("received", "no")),
    ],
)
def test_every_branch_that_a_node_has_may_be_taken(
    given: dict[str, Any], branches: tuple[str, ...]
) -> None:
    edges = [edge("a", "b", type="BRANCH", branch=branch) for branch in branches]
    assert found(check(drawn([given, noop("b")], *edges))) == []


def test_an_edge_reads_all_of_its_source() -> None:
    expression = "output != null && output.n > m || error.code == 'X' || {{ input.z }} > 1"
    given = document(edges=[edge("a", "b", type="EXPRESSION", expression=expression)])
    assert found(check(given)) == []


def test_the_output_reads_every_node_and_a_key_what_is_known_at_the_start() -> None:
    given = document(
        output={"a": "{{ nodes.a.output }}", "b": "{{ nodes.b.error }} {{ run.id }} {{ x }}"},
        concurrency={"key": "{{ input.customer }}/{{ run.input.region + 1 }}"},
    )
    assert found(check(given)) == []


@given(sound_definitions())
def test_a_sound_definition_of_any_shape_has_no_problem_and_its_graph_is_drawn(
    definition: Definition,
) -> None:
    parsed = check(to_wire(definition))
    assert found(parsed) == []
    assert parsed.definition == definition
    assert Graph.of(definition).order == tuple(node.id for node in definition.nodes)


@given(sound_definitions(), VALUES | TEXTS | st.just({"workflowId": "x"}), st.data())
def test_no_junk_inside_a_definition_makes_validation_raise(
    definition: Definition, junk: Any, data: st.DataObject
) -> None:
    wire = json.loads(canonical_bytes(definition))
    places = list(members_of(wire))
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = junk
    parsed = check(wire)
    if parsed.definition is not None:
        Graph.of(parsed.definition)


def members_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or object in a document with each of its positions or names."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield value, key
        if isinstance(inner, dict | list):
            yield from members_of(inner)


def test_bodies_may_nest_as_deep_as_the_limit_says() -> None:
    assert found(check(drawn([nested_loops(8)]))) == []


@pytest.mark.parametrize("limits", [Limits(nodes=4), Limits(edges=1), Limits(depth=1)])
def test_limits_are_those_of_all_scopes_together(limits: Limits) -> None:
    inner = loop("m", noop("x"), noop("y"), edges=[edge("x", "y")])
    given = drawn([noop("a"), loop("l", inner)], edge("a", "l"))
    assert found(check(given)) == []
    assert [code for _, code in found(check(given, limits=limits))] == ["LIMIT_EXCEEDED"]


def test_a_template_stands_for_any_value_of_a_config() -> None:
    given = http(method="{{ input.method }}", timeoutMs="{{ input.limit }}", url="{{ input.url }}")
    assert found(check(given)) == []


def test_an_expression_may_be_written_with_or_without_braces() -> None:
    for expression in ("total > 1", "input.total > 1", "{{ input.total }} > 1", "{{ total > 1 }}"):
        assert found(check(drawn([condition(expression)]))) == []


def test_a_node_reads_any_node_upstream_whatever_its_id() -> None:
    given = drawn(
        [
            noop("node-1"),
            noop("2"),
            noop("c", config={"x": "{{ nodes.node-1.output.x }}", "y": '{{ nodes["2"].error }}'}),
        ],
        *(edge("node-1", "2"), edge("2", "c", type="ON_FAILURE")),
    )
    assert found(check(given)) == []


def test_a_macro_variable_may_have_the_name_of_a_root() -> None:
    given = one("transform", {"output": "{{ input.items.filter(item, item.price > 1) }}"})
    assert found(check(given)) == []


def test_a_webhook_without_a_url_is_an_entry_and_one_with_a_url_is_none() -> None:
    for config, expected in (({}, [("/nodes/1", "UNREACHABLE_NODE")]), ({"url": "http://x/"}, [])):
        hook = {"id": "w", "type": "webhook", "config": config}
        given = drawn([hook, noop("b")], edge("w", "b", type="ON_FAILURE"))
        assert found(check(given)) == expected


def test_the_design_example_has_but_what_comes_later() -> None:
    given = drawn(
        [
            {
                "id": "fetch",
                "type": "http_request",
                "config": {"url": "https://o.example/{{ id }}"},
            },
            {
                "id": "price",
                "type": "transform",
                "input": {"order": "{{ nodes.fetch.output.body }}"},
                "config": {"output": {"total": "{{ input.order.total }}"}},
            },
            {"id": "big", "type": "condition", "config": {"expression": "input.total > 1000"}},
            {"id": "notify", "type": "webhook", "config": {"url": "https://h.example/in"}},
        ],
        *(edge("fetch", "price"), edge("price", "big")),
        edge("big", "notify", type="BRANCH", branch="false"),
    )
    assert found(check(given)) == []


def test_problems_are_many_but_not_without_end() -> None:
    given = drawn([{"id": f"n{number}", "type": "what"} for number in range(PROBLEMS_MAX + 5)])
    assert len(check(given).problems) == PROBLEMS_MAX


def test_a_definition_may_be_as_large_as_the_limits_say() -> None:
    nodes = [
        noop(f"n{number}", config={"x": "{{ nodes.n0.output }}"}) for number in range(1, 10_000)
    ]
    edges = [
        edge(f"n{max(0, target // 5 - back)}", f"n{target}")
        for target in range(1, 10_000)
        for back in range(5)
    ]
    given_document = drawn([noop("n0"), *nodes], *edges)
    assert found(check(given_document, limits=Limits(bytes=8 * 1024 * 1024))) == []


def test_limits_are_the_tenants() -> None:
    assert found(check(document(), limits=Limits(nodes=1, edges=0))) == [
        ("/edges", "LIMIT_EXCEEDED"),
        ("/nodes", "LIMIT_EXCEEDED"),
    ]


@pytest.mark.parametrize("limits", [Limits(nodes=1), Limits(edges=0)])
def test_what_was_not_read_is_not_said_to_be_missing(limits: Limits) -> None:
    reads = {"output": "{{ nodes.a.output }}"}
    drawing = drawn([noop("a"), {"id": "b", "type": "transform", "config": reads}], edge("a", "b"))
    assert found(check(drawing)) == []
    assert [code for _, code in found(check(drawing, limits=limits))] == ["LIMIT_EXCEEDED"]


@given(st.sampled_from(sorted(NODE_TYPES)), CONFIGS, TEXTS)
def test_no_text_makes_validation_raise(node_type: str, config: dict[str, Any], text: str) -> None:
    check(one(node_type, config, input={"x": text}))
    check(drawn([loop("l", node("a", node_type, **config), noop("b", input=text))]))
