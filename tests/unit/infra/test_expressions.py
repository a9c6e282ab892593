"""The expression engine, with everything that the library would get wrong by itself."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.expression import EDGE_NAMES, ROOTS, ExpressionError
from penstock.domain.template import PATH_MISSING, render
from penstock.infra.expression_functions import TEXT_MAX
from penstock.infra.expression_values import FAILED
from penstock.infra.expressions import DEFAULTS_MAX, Expressions

ENGINE = Expressions()
SCOPE: dict[str, Any] = {
    "input": {
        "total": 5,
        "half": 2.5,
        "text": "abc",
        "no": None,
        "yes": True,
        "items": [{"p": 1}, {"p": 2, "q": 3}],
        "node-1": {"x": 1},
        "large": 2**60,
        "a": {"b": {"c": 7}},
    },
    "run": {"id": "r-7", "input": {}, "startedAt": "2026-01-01T00:00:00.000Z"},
    "nodes": {"node-1": {"output": {"n": 3}}, "f": {"error": {"code": "TIMEOUT"}}},
}


def value(text: str, **members: Any) -> Any:
    scope = SCOPE | {"input": SCOPE["input"] | members}
    return ENGINE.evaluate(text, scope)


def code(text: str, **members: Any) -> str:
    with pytest.raises(ExpressionError) as raised:
        value(text, **members)
    return raised.value.code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("input.total > 3", True),
        ("total === 5 && text !== 'x'", True),
        ("total == '5'", False),
        ("total + 1", 6),
        ("half + half", 5),
        ("total / 2", 2.5),
        ("-total", -5),
        ("mod(total, 3) + mod(-1, 3)", 4),
        ("size(items) + 1", 3),
        ("size(items) == 2 && 2 == size(items)", True),
        ("items.filter(i, i.p > 1).size() >= 1", True),
        ("items[size(items) - 1].q", 3),
        ("text.split('b')[1]", "c"),
        ("[total, half, 'x', null, true]", [5, 2.5, "x", None, True]),
        ("{'b': total, 'a': {'c': [half]}}", {"a": {"c": [2.5]}, "b": 5}),
        ("nodes.node-1.output.n * 2", 6),
        ('nodes["f"].error.code', "TIMEOUT"),
        ("input['node-1'].x", 1),
        ("text + string(total) + string(half) + string(1e6)", "abc52.51000000"),
        ("items.exists(item, item.p == 2)", True),
        ("items.map(i, default(i.q, 0))", [0, 3]),
        ("default(a.b.c, 1) + default(a.b.d, 1)", 8),
        ("default(text.length, 'none')", "none"),
        ("default(no.thing, 1)", 1),
        ("default(no, 1)", None),
        ("default(items[7].p, 9)", 9),
        ("has(input.total) && !has(input.nothing)", True),
        ("missing > 1 || yes", True),
        ("yes ? 'a' : 'b'", "a"),
        ("total in [5, 6]", True),
        ("math.floor(half) + math.ceil(half)", 5),
        ("text.upperAscii() + ' x '.trim() + 'a-b'.replace('-', '+')", "ABCxa+b"),
        ("['a', 'b'].join('/') + text.substring(1, 2)", "a/bb"),
        ("text.indexOf('c') == 2", True),
        ("timestamp('2026-01-01T00:00:00Z') + duration('90s')", "2026-01-01T00:01:30Z"),
        ("duration('1.5s')", "1.5s"),
        ("b'hi'", "aGk="),
        ("1u", 1),
        ("type(total) == double", True),
        ("9007199254740993 - 1", 2**53 - 1),
    ],
)
def test_an_expression_has_its_value(text: str, expected: Any) -> None:
    assert ENGINE.check(text, ROOTS) is None
    result = value(text)
    assert result == expected
    assert type(result) is type(expected)


@given(st.integers(-(2**53), 2**53))
def test_integers_up_to_two_to_the_53_come_back_as_they_went_in(number: int) -> None:
    assert value("n", n=number) == number
    assert isinstance(value("n", n=number), int)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**6), 10**6))
def test_numbers_of_two_types_meet_as_in_python(left: float, right: int) -> None:
    assert value("l < r", l=left, r=right) is (left < right)
    assert value("l == r", l=left, r=right) is (left == right)
    assert value("size(t) + l", t="abc", l=left) == 3 + left


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=8,
    )
)
def test_a_value_that_is_passed_through_is_the_same_value(given_value: Any) -> None:
    if "\\u0000" in json.dumps(given_value) or "\\ud" in json.dumps(given_value):
        return
    assert value("[v][0]", v=given_value) == given_value


def test_an_error_is_raised_and_never_a_truthy_value() -> None:
    assert code("total + text") == FAILED
    assert code("total ? 1 : 2") == FAILED
    assert code("nothing(total)") == FAILED
    assert code("mod(total, 0)") == FAILED
    assert code("size(total) / 0") == FAILED
    assert code("text.substring(2, 1)") == FAILED
    with pytest.raises(ExpressionError):
        ENGINE.is_true("missing.a == 1", SCOPE)


def test_a_path_that_is_not_there_is_named() -> None:
    for text, named in (
        ("input.nope > 1", "input.nope"),
        ("a.x.y + 1", "input.a.x"),
        ("no.thing == 1", "input.no.thing"),
        ("nodes.gone.output.x > 1", "nodes.gone"),
    ):
        with pytest.raises(ExpressionError, match="does not exist") as raised:
            value(text)
        assert str(raised.value).startswith(named)
        assert raised.value.code == PATH_MISSING


@pytest.mark.parametrize("text", ["total", "'true'", "null", "1", "items", "a"])
def test_only_a_boolean_is_a_verdict(text: str) -> None:
    with pytest.raises(ExpressionError, match="true or false"):
        ENGINE.is_true(text, SCOPE)
    assert ENGINE.is_true("yes", SCOPE)
    assert not ENGINE.is_true("!yes", SCOPE)


@pytest.mark.parametrize("text", ["1 / 0", "0 / 0", "type(1)", "{1: 2}", "{true: 1}", "[1 / 0]"])
def test_what_json_lacks_is_no_value(text: str) -> None:
    assert code(text) == FAILED


def test_only_what_is_named_is_bound() -> None:
    unusable = {"total": 1, "other": object(), "nul": "a\0b"}
    scope = {"input": unusable, "nodes": {"a": {"output": 2}, "b": object()}, "run": object()}
    assert ENGINE.evaluate("input.total + nodes.a.output", scope) == 3


def test_a_root_that_is_not_in_scope_cannot_be_read() -> None:
    assert code("secrets.token == 'x'") == FAILED


def test_a_text_that_the_engine_would_cut_off_is_refused() -> None:
    assert code("t == 'a'", t="a\0b") == FAILED
    assert code("t", t={"a\0b": 1}) == FAILED


def test_an_integer_too_large_for_a_double_is_refused_and_a_smaller_one_loses_digits() -> None:
    assert code("n > 1", n=10**400) == FAILED
    assert value("n == m", n=2**60, m=2**60 + 1) is True
    assert render("{{ n }}", {"input": {"n": 2**60 + 1}}, ENGINE.evaluate) == 2**60 + 1


def test_time_depth_and_size_are_bounded() -> None:
    ten = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 0]"
    nest = "true"
    for name in "abcde":
        nest = f"{ten}.all({name}, {nest})"
    assert code(nest) == FAILED
    assert ENGINE.check("(" * 40 + "1" + ")" * 40, ROOTS) is not None
    assert ENGINE.check("1" + " + 1" * 100, ROOTS) is not None
    assert code("n.a", n={"a": nested(100)}) == FAILED
    assert code("t.replace('a', t) != ''", t="a" * 2000) == FAILED
    assert code("[t, t].join(t) != ''", t="a" * (TEXT_MAX // 2)) == FAILED
    assert code("'x' + t + t == 'x'", t="a" * (40 * 1024 * 1024)) == FAILED
    assert ENGINE.check("+".join(["default(a, 1)"] * (DEFAULTS_MAX + 1)), ROOTS) is not None


def nested(depth: int) -> Any:
    made: Any = 1
    for _ in range(depth):
        made = [made]
    return made


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("input.a >", "Syntax error"),
        ("'a' > 1", "no matching overload"),
        ("1 == 'a'", "no matching overload"),
        ("nothing(1)", "undeclared reference to 'nothing'"),
        ("text.nothing()", "undeclared reference to 'nothing'"),
        ("optional.of(1)", "undeclared"),
        ("input.?a", "unsupported syntax"),
        ("secrets.x", "secrets cannot be read here"),
        ("", "missing"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(text: str, complaint: str) -> None:
    assert complaint in (ENGINE.check(text, {"input", "run", "nodes"}) or "")


@given(st.text("()[]{}.,'\"=!<>&|-+*?: ax1_nodes", max_size=40))
def test_no_text_makes_the_check_raise(text: str) -> None:
    ENGINE.check(text, ROOTS)


def test_compiled_expressions_are_kept_and_forgotten() -> None:
    engine = Expressions(compiled_max=2)
    first = engine.compile("1 + 1")
    assert engine.compile("1 + 1") is first
    engine.compile("2"), engine.compile("3")
    assert engine.compile("1 + 1") is not first


def test_the_expression_of_an_edge_reads_its_source() -> None:
    scope = {"output": {"n": 2}, "error": None, "input": {"m": 3}}
    assert ENGINE.is_true("output.n == 2 && error == null && m == 3", scope)
    assert ENGINE.is_true("error.code == 'X'", {**scope, "error": {"code": "X"}})


def test_output_is_a_member_of_the_input_elsewhere() -> None:
    assert ENGINE.evaluate("output.n + error", {"input": {"output": {"n": 1}, "error": 2}}) == 3


def test_the_expression_of_an_edge_reads_nothing_else() -> None:
    assert ENGINE.check("output.n > 1 || error != null || n > 1", EDGE_NAMES) is None
    assert ENGINE.check("nodes.a.output > 1", EDGE_NAMES) == "nodes cannot be read here"
    assert ENGINE.check("item > vars.x", EDGE_NAMES) == "item, vars cannot be read here"
