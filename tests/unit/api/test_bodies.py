"""Strict JSON: what is taken, what is not, and that nothing makes it fail otherwise."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.bodies import DEPTH_MAX, KEYS_MAX, fitted, parsed
from penstock.api.errors import Problem
from penstock.api.schemas_registry import NewKey

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_what_json_is_comes_through_unchanged(value: Any) -> None:
    assert parsed(json.dumps(value).encode()) == value


def status_of(body: bytes) -> int:
    """What a client is told of a body: 200 stands for a value."""
    try:
        parsed(body)
    except Problem as problem:
        return problem.status
    return 200


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_problem(body: bytes) -> None:
    assert status_of(body) in {200, 400}


@given(JSON, st.data())
def test_a_changed_byte_is_a_value_or_a_problem(value: Any, data: st.DataObject) -> None:
    body = bytearray(json.dumps(value).encode())
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert status_of(bytes(body)) in {200, 400}


@pytest.mark.parametrize("bracket", ["[]", "{}"])
def test_depth_is_bounded_exactly(bracket: str) -> None:
    def nested(depth: int) -> bytes:
        opening = "[" if bracket == "[]" else '{"a":'
        closing = bracket[1]
        return (opening * depth + "1" + closing * depth).encode()

    parsed(nested(DEPTH_MAX))
    with pytest.raises(Problem):
        parsed(nested(DEPTH_MAX + 1))


def test_many_brackets_are_not_depth() -> None:
    parsed(json.dumps([[1]] * 1000).encode())


def test_an_object_has_so_many_keys_and_no_more() -> None:
    parsed(json.dumps({str(number): 1 for number in range(KEYS_MAX)}).encode())
    with pytest.raises(Problem):
        parsed(json.dumps({str(number): 1 for number in range(KEYS_MAX + 1)}).encode())


@pytest.mark.parametrize("body", [b'{"a":1,"a":2}', b'[{"x":{"a":1,"a":1}}]', b"NaN", b"-Infinity"])
def test_what_readers_disagree_about_is_refused(body: bytes) -> None:
    with pytest.raises(Problem):
        parsed(body)


def test_every_fault_has_its_place() -> None:
    with pytest.raises(Problem) as refused:
        fitted({"name": 1, "role": "x", "a/b": 1}, NewKey)
    assert {each["pointer"] for each in refused.value.details} == {"/name", "/role", "/a~1b"}
