"""JSON Schemas: of configs, where templates stand for any value, and of a run's input."""

from typing import Any

import pytest

from penstock.domain.workflow.node_types import NODE_TYPES
from penstock.infra.schemas import check_config, check_schema, check_value


@pytest.mark.parametrize("name", sorted(NODE_TYPES))
def test_every_config_schema_is_a_schema(name: str) -> None:
    assert check_schema(dict(NODE_TYPES[name].config_schema)) == []


@pytest.mark.parametrize(
    ("node_type", "config", "pointers"),
    [
        ("http_request", {"url": "https://x/", "method": "get", "acceptStatus": [404, "5xx"]}, []),
        ("http_request", {"url": "{{ input.url }}", "timeoutMs": "{{ input.limit }}"}, []),
        ("http_request", {"url": "x", "timeoutMs": 0}, ["/url", "/timeoutMs"]),
        ("http_request", {"a/b": 1, "url": "https://x/"}, ["/a~1b"]),
        (
            "http_request",
            {"url": "https://x/", "acceptStatus": [99, "zz"]},
            ["/acceptStatus/0", "/acceptStatus/1"],
        ),
        ("condition", {}, ["/expression"]),
        ("delay", {"until": "tomorrow"}, ["/until"]),
        ("delay", {}, [""]),
        ("transform", {"output": None}, []),
        ("transform", {"transform": "shout"}, ["/transform"]),
        ("noop", {"anything": [1]}, []),
        ("no such type", {"anything": 1}, []),
    ],
)
def test_a_config_is_checked_by_its_type(node_type: str, config: Any, pointers: list[str]) -> None:
    assert sorted(pointer for pointer, _ in check_config(node_type, config)) == sorted(pointers)


def test_what_is_to_be_chosen_from_is_named() -> None:
    ((_, message),) = check_config("transform", {})
    assert message == "exactly one of output, transform, code is needed"


@pytest.mark.parametrize(
    "schema",
    [
        *(1, "x", None, []),
        {"type": "thing"},
        {"pattern": "["},
        {"$ref": "#/nowhere"},
        {"$ref": "https://x.example/schema.json"},
        {"$ref": "file:///etc/hostname"},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
        {"$schema": 7},
        {"pattern": "(?=a)b"},
        {"properties": {"a": {"$ref": "#/$defs/missing"}}},
    ],
)
def test_a_schema_that_cannot_be_used_or_leads_outside_is_refused(schema: Any) -> None:
    assert check_schema(schema)


def test_everything_that_is_wrong_with_a_schema_is_told_at_its_place() -> None:
    schema = {
        "type": "objct",
        "properties": {"a/b": {"minimum": "1"}, "c": {"multipleOf": 0}},
        "required": "a",
    }
    assert sorted(pointer for pointer, _ in check_schema(schema)) == [
        "/properties/a~1b/minimum",
        "/properties/c/multipleOf",
        "/required",
        "/type",
    ]


LOOPS = ({"allOf": [{"$ref": "#"}]}, {"$dynamicAnchor": "m", "$dynamicRef": "#m"})


@pytest.mark.parametrize("schema", LOOPS, ids=str)
def test_a_schema_that_refers_to_itself_comes_to_an_end(schema: dict[str, Any]) -> None:
    assert check_schema(schema) == []
    assert check_value(schema, {"a": 1}) == []


@pytest.mark.parametrize(
    ("schema", "value", "pointers"),
    [
        ({"prefixItems": [{"type": "string"}], "items": False}, ["a", 1], ["/1"]),
        (
            {"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False},
            {"a": 1, "b": 2},
            ["/b"],
        ),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, ["/b"]),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1}, ["/b"]),
        ({"$defs": {"n": {"type": "number"}}, "items": {"$ref": "#/$defs/n"}}, ["x"], ["/0"]),
        ({"contains": {"const": 1}, "minContains": 2}, [1], [""]),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, {"a": {}}, ["/a/a"]),
        ({"type": "integer"}, 1.0, []),
        ({"const": 1}, True, [""]),
        ({"format": "email"}, "not one, but formats are notes", []),
    ],
)
def test_the_words_of_2020_12_are_obeyed(schema: Any, value: Any, pointers: list[str]) -> None:
    assert check_schema(schema) == []
    assert [pointer for pointer, _ in check_value(schema, value)] == pointers


def test_a_runs_input_is_checked_at_every_place() -> None:
    schema = {
        "type": "object",
        "required": ["orderId"],
        "properties": {"lines": {"type": "array", "items": {"type": "integer"}}},
    }
    assert check_value(schema, {"orderId": 1, "lines": [1]}) == []
    found = check_value(schema, {"lines": [1, "x"]})
    assert sorted(pointer for pointer, _ in found) == ["/lines/1", "/orderId"]
    assert check_value(True, {"a": 1}) == []
    assert [pointer for pointer, _ in check_value(False, 1)] == [""]


def test_a_message_does_not_repeat_a_large_value() -> None:
    ((_, message),) = check_value({"type": "integer"}, "x" * 100_000)
    assert len(message) <= 300
