"""Templates: where they begin and end, what they name, what they stand for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.expression import EDGE_ROOTS, Path
from penstock.domain.template import (
    PATH_MISSING,
    Hole,
    Scope,
    TemplateError,
    as_expression,
    holes,
    plain_path,
    render,
    split,
    texts,
    walk,
)

SCOPE: Scope = {
    "input": {
        "order": {"id": 7, "items": [{"name": "nut"}, {"name": "bolt"}], "note": None},
        "node-1": {"x": True},
        "large": 2**70,
        "price": 1.0,
        "odd key": "yes",
    },
    "run": {"id": "r-7", "input": {"a": 1}, "startedAt": "2026-01-01T00:00:00.000Z"},
    "nodes": {"node-1": {"output": {"x": [1, 2]}}, "7": {"error": {"code": "TIMEOUT"}}},
}

LITERALS = st.text(st.characters(exclude_characters="{"), max_size=10)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,5}", fullmatch=True)
SEGMENTS = st.integers(0, 99) | st.text(
    st.characters(exclude_characters="\"\\\n'", codec="utf-8"), max_size=5
)


def echoed(source: str, scope: Scope) -> Any:
    """Stands in for an expression engine: the expression's own text."""
    return f"<{source}>"


def rendered(value: Any) -> Any:
    return render(value, SCOPE, echoed)


@given(st.lists(st.tuples(LITERALS, NAMES)), LITERALS)
def test_pieces_put_together_are_the_text(pairs: list[tuple[str, str]], end: str) -> None:
    text = "".join(f"{literal}{{{{ {name} }}}}" for literal, name in pairs) + end
    parts = split(text)
    assert "".join(p if isinstance(p, str) else f"{{{{ {p.source} }}}}" for p in parts) == text
    assert [p.source for p in parts if isinstance(p, Hole)] == [name for _, name in pairs]


@given(st.text("{}'\"a \\", max_size=30))
def test_any_text_is_split_or_refused(text: str) -> None:
    try:
        parts = split(text)
    except TemplateError:
        return
    assert len("".join(p if isinstance(p, str) else p.source for p in parts)) <= len(text)


@given(st.lists(SEGMENTS, max_size=4))
def test_a_path_is_read_as_it_is_written(steps: list[str | int]) -> None:
    path = Path("input", tuple(steps))
    if "\\" not in str(path):
        assert plain_path(str(path)) == path


@pytest.mark.parametrize(
    ("source", "root", "steps"),
    [
        ("input.a.b", "input", ("a", "b")),
        ("order.id", "input", ("order", "id")),
        ("items[0].name", "input", ("items", 0, "name")),
        ("nodes.node-1.output.x", "nodes", ("node-1", "output", "x")),
        ('nodes["a-b"].output', "nodes", ("a-b", "output")),
        ("nodes['a-b'].error.code", "nodes", ("a-b", "error", "code")),
        ("nodes.7.output", "nodes", ("7", "output")),
        ("run.input", "run", ("input",)),
        ("input", "input", ()),
        ("a-b", "input", ("a-b",)),
        ("package.in", "input", ("package", "in")),
        ("secrets.token", "secrets", ("token",)),
    ],
)
def test_a_plain_path(source: str, root: str, steps: tuple[str | int, ...]) -> None:
    assert plain_path(source) == Path(root, steps)


@pytest.mark.parametrize("source", ["true", "null", "1", "a + b", "a.b()", "a - b", "a[b]", "'x'"])
def test_what_is_more_or_less_than_a_path_is_an_expression(source: str) -> None:
    assert plain_path(source) is None


@pytest.mark.parametrize("text", ["{{", "{{ a", "{{ }}", "{{ a }", "x {{ '}}' ", "{{ {} }"])
def test_a_template_needs_content_and_an_end(text: str) -> None:
    with pytest.raises(TemplateError):
        split(text)


@pytest.mark.parametrize(
    "source", ["nodes", "nodes.a", "nodes.a.total", "nodes[0].output", "run.x"]
)
def test_roots_have_the_members_that_they_have(source: str) -> None:
    with pytest.raises(TemplateError):
        split(f"{{{{ {source} }}}}")


def test_braces_and_strings_inside_do_not_end_a_template() -> None:
    sources = ["{'a': {'b': 1}}", '"}}"', "'{{' + \"'}}\"", "{'a': 1}['a']"]
    text = " ".join(f"{{{{ {source} }}}}" for source in sources)
    assert [p.source for p in split(text) if isinstance(p, Hole)] == sources


def test_a_text_that_is_one_template_keeps_the_values_type() -> None:
    assert rendered("{{ order.id }}") == 7
    assert rendered("{{order}}") is SCOPE["input"]["order"]
    assert rendered("{{ input.large }}") == 2**70
    assert rendered("{{ order.note }}") is None
    price = rendered("{{ price }}")
    assert isinstance(price, float)


def test_a_value_in_a_longer_text_is_text() -> None:
    assert rendered("n {{ order.id }}, {{ node-1.x }}, {{ order.note }}") == "n 7, true, null"
    assert rendered(" {{ order.items[1] }}") == ' {"name":"bolt"}'
    assert rendered("{{ run.id }}/{{ input['odd key'] }}") == "r-7/yes"


def test_rendering_goes_through_lists_and_objects_and_leaves_keys_alone() -> None:
    given_value = {"{{ order.id }}": ["{{ order.id }}", {"x": "{{ nodes.node-1.output.x[1] }}"}, 5]}
    assert rendered(given_value) == {"{{ order.id }}": [7, {"x": 2}, 5]}


def test_what_is_no_path_goes_to_the_engine_as_it_is_written() -> None:
    assert rendered("{{  order.id + 1 }}") == "<order.id + 1>"
    assert rendered("{{ default(order.x, 1) }}!") == "<default(order.x, 1)>!"


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("order.total", "input.order.total does not exist"),
        ("order.items[2].name", "input.order.items[2] does not exist"),
        ("order.note.by", "input.order.note.by does not exist"),
        ("order.id.x", "input.order.id.x does not exist"),
        ("nodes.x.output.y", "nodes.x does not exist"),
        ("nodes.7.output", "nodes.7.output does not exist"),
        ("vars.region", "vars does not exist"),
        ("order[0]", "input.order[0] does not exist"),
    ],
)
def test_a_path_that_does_not_exist_names_itself(source: str, named: str) -> None:
    with pytest.raises(TemplateError, match="does not exist") as raised:
        rendered(f"{{{{ {source} }}}}")
    assert str(raised.value).startswith(named)
    assert raised.value.code == PATH_MISSING
    assert raised.value.path is not None
    assert raised.value.path.endswith(source)


@given(st.dictionaries(NAMES, st.integers() | st.lists(st.integers()), min_size=1))
def test_every_member_is_found_where_it_is(members: dict[str, Any]) -> None:
    for name, value in members.items():
        assert walk(Path("input", (name,)), {"input": members}) is value


def test_every_text_with_a_template_is_found_with_its_pointer() -> None:
    value = {"a/b": ["x", "{{ p }}"], "c": {"~": "{{ q + nodes.n.output }}"}, "d": "{{"}
    assert list(texts(value, "/config")) == [
        ("/config/a~1b/1", "{{ p }}"),
        ("/config/c/~0", "{{ q + nodes.n.output }}"),
        ("/config/d", "{{"),
    ]
    del value["d"]
    read = [str(path) for hole in holes(value) for path in hole.paths]
    assert read == ["input.p", "input.q", "nodes.n.output"]


def test_an_expressions_templates_become_terms_not_text() -> None:
    assert as_expression("a > 1") == "a > 1"
    assert as_expression("{{ a > 1 }}") == "(a > 1)"
    assert as_expression("{{ node-1.x }} == {{ b }}") == '(input["node-1"].x) == (input.b)'
    with pytest.raises(TemplateError, match="quotes"):
        as_expression("'{{ a }}' == 'x'")


def test_a_template_in_the_expression_of_an_edge_reads_its_source() -> None:
    assert as_expression("{{ output.n }} > {{ n }}", EDGE_ROOTS) == "(output.n) > (input.n)"
