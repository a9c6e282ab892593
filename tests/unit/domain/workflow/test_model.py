"""The canonical form: one drawing, one text, one hash."""

import hashlib
import json

import msgspec
import pytest
from hypothesis import given

from penstock.domain.workflow.model import (
    AtLeast,
    Concurrency,
    Condition,
    Definition,
    Edge,
    EdgeType,
    Node,
    RateLimit,
    Retry,
    canonical_bytes,
    content_hash,
    from_bytes,
    from_wire,
    to_wire,
)
from tests.unit.domain.workflow.drawings import definitions


@given(definitions())
def test_what_is_written_is_read_again(definition: Definition) -> None:
    assert from_wire(to_wire(definition)) == definition
    assert from_bytes(canonical_bytes(definition)) == definition


@given(definitions())
def test_the_text_is_sorted_and_tight(definition: Definition) -> None:
    text = canonical_bytes(definition).decode()
    again = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert text == again


@given(definitions())
def test_the_hash_outlives_a_round_trip(definition: Definition) -> None:
    assert content_hash(from_bytes(canonical_bytes(definition))) == content_hash(definition)


def test_equal_values_of_other_origin_have_the_same_hash() -> None:
    made = Retry(backoff_multiplier=float("2"), jitter=1 / 5)
    drawn = Definition(
        name="w", nodes=(Node(id="a", type="noop", retry=made, queue="".join("default")),)
    )
    plain = Definition(name="w", nodes=(Node(id="a", type="noop", retry=Retry()),))
    assert content_hash(drawn) == content_hash(plain)


def test_a_known_definition_keeps_its_hash() -> None:
    definition = Definition(
        name="w",
        nodes=(Node(id="a", type="noop"), Node(id="b", type="noop")),
        edges=(Edge("a", "b"),),
    )
    text = (
        b'{"edges":[{"from":"a","to":"b"}],"name":"w",'
        b'"nodes":[{"id":"a","type":"noop"},{"id":"b","type":"noop"}]}'
    )
    assert canonical_bytes(definition) == text
    assert content_hash(definition).startswith("ea15f139b45c")
    assert content_hash(definition) == hashlib.sha256(text).hexdigest()


def test_a_known_definition_of_every_construct_keeps_its_text() -> None:
    body = {"nodes": [{"id": "x", "type": "noop"}], "edges": []}
    definition = Definition(
        name="w",
        queued_timeout_ms=5,
        concurrency=Concurrency(key="{{ input.k }}"),
        rate_limit=RateLimit(per_minute=6),
        output="{{ nodes.b.output }}",
        nodes=(
            Node(id="a", type="loop", config={"items": [1], "body": body}, queue="gpu"),
            Node(id="b", type="noop", join=AtLeast(at_least=1), continue_on_error=True),
            Node(id="c", type="noop", join=AtLeast(at_least=1, cancel_others=True)),
        ),
        edges=(Edge("a", "b", Condition(EdgeType.EXPRESSION, expression="output > 1")),),
    )
    text = (
        b'{"concurrency":{"key":"{{ input.k }}","max":1,"strategy":"queue"},'
        b'"edges":[{"condition":{"expression":"output > 1","type":"EXPRESSION"},'
        b'"from":"a","to":"b"}],"name":"w","nodes":[{"config":{"body":{"edges":[],'
        b'"nodes":[{"id":"x","type":"noop"}]},"items":[1]},"id":"a","queue":"gpu",'
        b'"type":"loop"},{"continueOnError":true,"id":"b","join":{"atLeast":1},"type":"noop"},'
        b'{"id":"c","join":{"atLeast":1,"cancelOthers":true},"type":"noop"}],'
        b'"output":"{{ nodes.b.output }}","queuedTimeoutMs":5,"rateLimit":{"perMinute":6}}'
    )
    assert canonical_bytes(definition) == text
    assert from_bytes(text) == definition


def test_what_is_not_canonical_is_not_taken() -> None:
    with pytest.raises(msgspec.ValidationError):
        from_wire({"nodes": []})
