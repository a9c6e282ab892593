"""The input rule: what a step gets from those before it, without decoding anything."""

import json

import pytest
from msgspec import Raw

from penstock.domain.payload import Payload, inline, of_value
from penstock.executor.inputs import RUN_INPUT, Sources, StepInput, input_by_rule
from penstock.executor.outcome import StepFault

ERROR = {"code": "HTTP_STATUS", "message": "the answer was 500"}


def sources(*declared: str, forgiving: tuple[str, ...] = ()) -> Sources:
    return Sources(declared=declared, forgiving=frozenset(forgiving))


def test_a_node_without_predecessors_gets_the_runs_input() -> None:
    payload = inline(b'{"odd" :1}')
    given = input_by_rule(sources(), (), {RUN_INPUT: payload})
    assert given.payload is payload
    assert bytes(given.raw) == b'{"odd" :1}'
    assert given.value == {"odd": 1}


def test_a_node_with_one_predecessor_gets_its_output_as_it_is() -> None:
    payload = of_value([1, 2])
    given = input_by_rule(sources("a"), ("a",), {"nodes.a.output": payload})
    assert given.payload is payload


def test_a_node_with_several_gets_those_that_were_taken_by_name() -> None:
    payloads = {"nodes.a.output": inline(b"1.0"), "nodes.b.output": inline(b'"x"')}
    given = input_by_rule(sources("a", "b", "c"), ("b", "a"), payloads)
    assert bytes(given.raw) == b'{"b":"x","a":1.0}'
    assert given.payload is None


def test_one_of_several_still_comes_by_name() -> None:
    given = input_by_rule(sources("a", "b"), ("a",), {"nodes.a.output": of_value(1)})
    assert given.value == {"a": 1}


def test_a_failure_over_a_forgiving_edge_says_who_and_with_what() -> None:
    payloads = {
        "nodes.a.error": of_value(ERROR),
        "nodes.a.error.details": of_value({"status": 500}),
        "nodes.a.input": of_value({"n": 1}),
    }
    given = input_by_rule(sources("a", forgiving=("a",)), ("a",), payloads)
    assert given.value == {
        "error": {**ERROR, "retryable": False, "details": {"status": 500}},
        "failedNode": "a",
        "input": {"n": 1},
    }


def test_a_failure_that_is_continued_gives_its_error_alone() -> None:
    given = input_by_rule(sources("a"), ("a",), {"nodes.a.error": of_value(ERROR)})
    assert given.value == {"error": {**ERROR, "retryable": False, "details": None}}


def test_a_failure_says_that_it_was_retryable() -> None:
    error = {**ERROR, "retryable": True}
    given = input_by_rule(sources("a"), ("a",), {"nodes.a.error": of_value(error)})
    assert given.value["error"] == {**error, "details": None}


def test_a_failure_that_worked_on_nothing_known_says_null() -> None:
    given = input_by_rule(
        sources("a", forgiving=("a",)), ("a",), {"nodes.a.error": of_value(ERROR)}
    )
    assert given.value["input"] is None


def test_what_the_task_did_not_bring_is_a_fault_that_names_it() -> None:
    with pytest.raises(StepFault, match=r"nodes\.a\.error"):
        input_by_rule(sources("a"), ("a",), {})
    with pytest.raises(StepFault, match=r"run\.input"):
        input_by_rule(sources(), (), {})


def test_a_value_made_here_is_encoded_once_and_never_decoded() -> None:
    value = {"a": [1, 2]}
    given = StepInput.of_value(value)
    assert given.value is value
    assert json.loads(bytes(given.raw)) == value
    assert given.raw is given.raw


def test_only_one_source_can_be_passed_on_as_an_object() -> None:
    assert sources().only == RUN_INPUT
    assert sources("a").only == "nodes.a.output"
    assert sources("a", "b").only is None


def test_an_object_that_is_passed_on_is_not_opened() -> None:
    payload = Payload(size=70_000, sha256="0" * 64, blob="t/0")
    given = input_by_rule(sources(), (), {RUN_INPUT: payload})
    assert given.payload is payload
    with pytest.raises(AssertionError):
        assert given.raw == Raw(b"")
