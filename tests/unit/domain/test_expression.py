"""Reading expressions: their names, their CEL text, and their cost before they are run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.expression import EDGE_ROOTS, ExpressionError, Path, scan, tokens


def cel(text: str) -> str:
    """The CEL of an expression without its spaces."""
    return scan(text).cel.replace(" ", "")


def paths(text: str) -> list[str]:
    return [str(path) for path in scan(text).paths]


@given(st.text(max_size=60))
def test_every_character_belongs_to_a_token(text: str) -> None:
    significant = "".join(token.text for token in tokens(text))
    assert len(significant) <= len(text)


@given(st.text("()[]{}.,'\"=!-+ ax1_nodes", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        scan(text)
    except ExpressionError:
        return


@given(st.text("abc=! 'x", max_size=20))
def test_a_string_stays_as_it_is(content: str) -> None:
    literal = '"' + content + '"'
    assert scan(literal).cel == literal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a === b !== c", "input.a==input.b!=input.c"),
        ("'===' == \"!==\"", "'==='==\"!==\""),
        ("r'\\' + '\\''", "r'\\'+'\\''"),
        ("1 + 2.5 + 1e3 + 0x10 + 3u", "1.0+2.5+1000.0+16.0+3.0"),
        ("[1][0]", "[1.0][0.0]"),
        ("nodes.node-1.output.x-1", 'nodes["node-1"].output.x-1.0'),
        ("nodes.2.error == null", 'nodes["2"].error==null'),
        ("input.a - b", "input.a-input.b"),
        ("type(x) == string", "type(input.x)==string"),
        ("string(n)", "text(input.n)"),
        ("math.floor(n)", "math.floor(input.n)"),
        ("math + 1", "input.math+1.0"),
        ("x.startsWith('a')", "input.x.startsWith('a')"),
        ("items.map(item, item.p + q)", "input.items.map(item,item.p+input.q)"),
        ("{'a': a}", "{'a':input.a}"),
        ("default(a.b, 1) + 1", "(has_0_?input.a.b:(1.0))+1.0"),
        ("a // a comment\n + b", "input.a+input.b"),
        ("true && !false", "true&&!false"),
    ],
)
def test_the_liberties_are_taken_back(text: str, expected: str) -> None:
    assert cel(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b[0]['c d'].e", ['input.a.b[0]["c d"].e']),
        ("a + a", ["input.a"]),
        ("items.all(x, x > limit) && x", ["input.items", "input.limit", "input.x"]),
        ("a.map(nodes, nodes.x)", ["input.a"]),
        ("nodes.a-b.output + run.input.c", ["nodes.a-b.output", "run.input.c"]),
        ("default(nodes.a.output.b, c)", ["nodes.a.output.b", "input.c"]),
        ("a.b.size()", ["input.a.b"]),
        ("a[i]", ["input.a", "input.i"]),
        ("'a.b'", []),
    ],
)
def test_paths_are_what_is_read(text: str, expected: list[str]) -> None:
    assert paths(text) == expected


def test_what_a_default_asks_for_is_told_apart() -> None:
    scanned = scan("default(a.b, default(c, 1)) + a.b")
    assert scanned.defaults == (Path("input", ("a", "b")), Path("input", ("c",)))


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "// nothing", "default(1, 2)", "default(a)", "default()", "default(f(x), 1)"),
        *("nodes", "nodes.a", "nodes[x].output", "run.colour", "nodes.a.b.output"),
        "x" * 4097,
    ],
)
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        scan(text)


def test_macros_that_multiply_their_variables_are_refused_before_they_run() -> None:
    scan("a" + ".map(x, x + x)" * 8)
    with pytest.raises(ExpressionError, match="repeat"):
        scan("a" + ".map(x, x + x)" * 9)
    with pytest.raises(ExpressionError, match="repeat"):
        scan("a.map(x, [" + ", ".join(["x"] * 300) + "])")


def test_an_edge_has_two_more_roots() -> None:
    assert scan("output.n > n", EDGE_ROOTS).cel == "output.n > input.n"
    assert scan("output.n > n").cel == "input.output.n > input.n"


@pytest.mark.parametrize("text", ["vars", "vars[input.name]", "default(secrets, 1)"])
def test_variables_and_secrets_are_read_by_name(text: str) -> None:
    with pytest.raises(ExpressionError, match="by name"):
        scan(text)
