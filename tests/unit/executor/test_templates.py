"""Templates prepared once say the same as templates rendered each time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.template import render
from penstock.executor.outcome import StepFault
from penstock.executor.templates import prepared
from penstock.infra.expressions import Expressions

EVALUATE = Expressions().evaluate
SCOPE: dict[str, Any] = {
    "input": {"n": 2, "text": "a", "list": [1, {"x": None}]},
    "run": {"id": "r-1"},
    "nodes": {"fetch-1": {"output": {"total": 7}}, "broken": {"error": {"code": "C"}}},
}

TEXTS = st.sampled_from(
    [
        "plain",
        "",
        "{{ input.n }}",
        "{{ n }}",
        "n is {{ input.n }}",
        "{{ input.list }}",
        "{{ input.list[1].x }}",
        "{{ nodes.fetch-1.output.total + input.n }}",
        "{{ input.text }}{{ run.id }}",
        "{{ default(input.none, 5) }}",
    ]
)
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(VALUES)
def test_filling_in_is_rendering(value: Any) -> None:
    assert prepared(value, EVALUATE).value(SCOPE) == render(value, SCOPE, EVALUATE)


def test_what_holds_no_template_is_handed_out_as_it_is() -> None:
    value = {"a": [1, "b"], "c": {"d": None}}
    made = prepared(value, EVALUATE)
    assert made.value({}) is value
    assert (made.fill, made.roots, made.nodes) == (None, frozenset(), frozenset())


def test_the_names_that_are_read_are_known_ahead() -> None:
    made = prepared(
        {"a": "{{ nodes.fetch-1.output.total }}", "b": ["{{ nodes.broken.error }} {{ x }}"]},
        EVALUATE,
    )
    assert made.roots == {"nodes", "input"}
    assert made.nodes == {"fetch-1", "broken"}


def test_an_expression_field_needs_no_braces() -> None:
    made = prepared({"expression": "input.n > 1"}, EVALUATE, expressions=("expression",))
    assert made.value(SCOPE) == {"expression": True}
    assert made.roots == {"input"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{{ input.none.more }}", "TEMPLATE_ERROR"),
        ("{{ nodes.broken.output }}", "TEMPLATE_ERROR"),
        ("{{ secrets.key }}", "TEMPLATE_ERROR"),
        ("{{ input.text * 2 }}", "EXPRESSION_ERROR"),
    ],
)
def test_what_cannot_be_filled_in_is_a_final_fault(text: str, code: str) -> None:
    with pytest.raises(StepFault) as caught:
        prepared(text, EVALUATE).value(SCOPE)
    assert (caught.value.code, caught.value.retryable) == (code, False)


@pytest.mark.parametrize("text", ["{{ }}", "{{ input.n", "{{ 1 + }}"])
def test_what_cannot_be_read_is_a_final_fault(text: str) -> None:
    with pytest.raises(StepFault):
        prepared(text, EVALUATE).value(SCOPE)
