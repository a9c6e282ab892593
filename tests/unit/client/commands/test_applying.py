"""From a file to its workflow: which key, and whether anything changes."""

import pytest

from penstock.client.commands.applying import canonical, difference, is_file, key_of


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"id": "Order_1", "name": "x"}, "Order_1"),
        ({"name": "Order enrichment!"}, "order-enrichment"),
        ({"name": "x" * 100}, "x" * 64),
        ({"name": "日本"}, "workflow"),
        ({"id": 7}, "workflow"),
        ({}, "workflow"),
    ],
)
def test_a_workflow_has_a_key_whatever_its_file_says(document: dict[str, object], key: str) -> None:
    assert key_of(document) == key


def test_spelling_makes_no_difference() -> None:
    one = {
        "name": "w",
        "nodes": [{"id": "a", "type": "HTTP", "config": {"url": "http://x", "method": "GET"}}],
    }
    two = {
        "id": "w",
        "name": "w",
        "nodes": [
            {"type": "http_request", "id": "a", "config": {"method": "GET", "url": "http://x"}}
        ],
        "edges": [],
    }
    assert canonical(one) == canonical(two)
    assert difference(canonical(one), canonical(two)) == []


def test_a_difference_is_coloured_and_nothing_else_is_shown() -> None:
    before = canonical({"name": "w", "nodes": [{"id": "a", "type": "noop"}]})
    after = canonical({"name": "w", "nodes": [{"id": "b", "type": "noop"}]})
    changed = [(line.plain, line.style) for line in difference(before, after)[3:]]
    assert ("-- id: a", "red") in changed
    assert ("+- id: b", "green") in changed
    assert sum(text[0] in "+-" for text, _ in changed) == 2


def test_a_new_workflow_is_all_new() -> None:
    lines = difference(None, {"name": "w"})
    assert [line.plain for line in lines][-1] == "+name: w"


def test_what_cannot_be_read_is_left_to_the_server() -> None:
    assert canonical({"nodes": 3}) == {"nodes": 3}


@pytest.mark.parametrize(
    ("named", "expected"),
    [("hello", False), ("hello.yaml", True), ("a/hello", True), ("./hello", True), ("v1.2", False)],
)
def test_a_key_is_told_from_a_file(named: str, expected: bool) -> None:
    assert is_file(named) is expected
