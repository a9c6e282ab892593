"""The nodes that shape a run: branches, stand-ins, events, loops, children and waits."""

from typing import Any

import pytest
from msgspec import Raw

from penstock.domain.ids import derived
from penstock.domain.run.events import WaitKind
from penstock.executor.outcome import Done, Outcome, Rest, StepFault
from tests.unit.executor.attempts import NOW, done, drawing, fault, tried

BODY = {"nodes": [{"id": "x", "type": "noop"}], "edges": []}


def run(kind: str, given: Any = None, **config: Any) -> Outcome | StepFault:
    """What a node of this type and config comes to."""
    node = {"id": "n", "type": kind, "config": config}
    return tried(drawing(node), "n", run__input=given)[0]


# --- switch ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "branch"),
    [
        ("gold", "gold"),
        ("lead", "default"),
        (3, "3"),
        (3.0, "3"),
        (True, "true"),
        (None, "default"),
        ([1], "default"),
    ],
)
def test_a_switch_takes_the_branch_that_is_the_text_of_its_expression(
    value: object, branch: str
) -> None:
    found = run("switch", {"tier": value}, expression="input.tier", cases=["gold", "3", "true"])
    assert isinstance(found, Done)
    assert found.branch == branch
    assert done(found) == {"tier": value}


def test_a_switch_may_name_its_default() -> None:
    found = run("switch", {}, expression="'none'", cases=["a"], default="b")
    assert isinstance(found, Done)
    assert found.branch == "b"


# --- stand-ins and events -------------------------------------------------------------------------


def test_an_error_handler_passes_on_what_it_was_told() -> None:
    assert done(run("error_handler", {"error": {"code": "C"}})) == {"error": {"code": "C"}}


def test_a_fallback_says_what_its_config_says() -> None:
    assert done(run("fallback", {"n": 1}, output={"n": "{{ input.n + 1 }}"})) == {"n": 2}
    assert done(run("fallback", output=None)) is None


def test_an_event_carries_its_input_unless_it_names_its_data() -> None:
    event = {
        "id": derived("r-1", "n", "event"),
        "type": "orders.priced",
        "source": "runs/r-1",
        "time": "2023-11-14T22:13:20.000Z",
    }
    assert done(run("emit_event", [1], type="orders.priced")) == {**event, "data": [1]}
    named = run("emit_event", {"n": 2}, type="orders.priced", source="shop", data="{{ input.n }}")
    assert done(named) == {**event, "source": "shop", "data": 2}


@pytest.mark.parametrize("member", ["type", "source"])
@pytest.mark.parametrize("value", ["", 5, "x" * 201])
def test_an_event_has_a_type_and_a_source_that_are_texts(member: str, value: object) -> None:
    config = {"type": "t", member: "{{ input }}"}
    found = fault(run("emit_event", value, **config))
    assert (found.code, found.retryable) == ("CONFIG_INVALID", False)
    assert member in found.message


# --- loop -----------------------------------------------------------------------------------------


def test_a_loop_says_what_it_goes_over_and_how() -> None:
    found = run("loop", [1, "b"], items="{{ input }}", body=BODY)
    assert found == Rest(
        kind=WaitKind.LOOP, count=2, items=Raw(b'[1,"b"]'), width=512, most=10_000, tolerant=False
    )


@pytest.mark.parametrize(
    ("config", "width", "most", "tolerant"),
    [
        ({"mode": "sequential"}, 1, 10_000, False),
        ({"maxConcurrency": 3, "maxIterations": 7}, 3, 7, False),
        ({"maxConcurrency": "{{ input.width }}", "onItemError": "continue"}, 4, 10_000, True),
    ],
)
def test_a_loop_is_as_wide_as_it_is_told(
    config: dict[str, Any], width: int, most: int, tolerant: bool
) -> None:
    found = run("loop", {"width": "4"}, items=[1], body=BODY, **config)
    assert isinstance(found, Rest)
    assert (found.width, found.most, found.tolerant) == (width, most, tolerant)


def test_a_loop_over_nothing_is_done_at_once() -> None:
    assert done(run("loop", [], items="{{ input }}", body=BODY)) == []


def test_a_while_says_how_often_at_the_most_one_round_at_a_time() -> None:
    found = run("loop", **{"while": "input.none > 1", "body": BODY, "maxIterations": 5})
    assert found == Rest(kind=WaitKind.LOOP, most=5)


def test_the_body_of_a_loop_is_left_as_it_is() -> None:
    body = {"nodes": [{"id": "x", "type": "transform", "config": {"output": "{{ item.none }}"}}]}
    found = run("loop", [1], items="{{ input }}", body={**body, "edges": []})
    assert isinstance(found, Rest)


@pytest.mark.parametrize(
    ("config", "code", "member"),
    [
        ({"items": "{{ input.text }}"}, "CONFIG_INVALID", "items"),
        ({"items": "{{ input.object }}"}, "CONFIG_INVALID", "items"),
        ({"items": [1, 2, 3], "maxIterations": 2}, "LOOP_LIMIT", "items"),
        ({"items": [1], "maxIterations": "{{ input.text }}"}, "CONFIG_INVALID", "maxIterations"),
        ({"items": [1], "maxIterations": "{{ input.many }}"}, "CONFIG_INVALID", "maxIterations"),
        ({"items": [1], "maxConcurrency": "{{ input.none }}"}, "CONFIG_INVALID", "maxConcurrency"),
        ({"items": [1], "mode": "{{ input.text }}"}, "CONFIG_INVALID", "mode"),
        ({"items": [1], "onItemError": "{{ input.many }}"}, "CONFIG_INVALID", "onItemError"),
    ],
)
def test_what_a_loop_cannot_go_over_is_a_final_fault_that_names_the_member(
    config: dict[str, Any], code: str, member: str
) -> None:
    given = {"text": "abc", "object": {}, "none": 0, "many": 10_001}
    found = fault(run("loop", given, body=BODY, **config))
    assert (found.code, found.retryable) == (code, False)
    assert found.message.startswith(member)


# --- children -------------------------------------------------------------------------------------


def test_a_child_is_named_by_its_workflow_and_version() -> None:
    found = run("sub_workflow", {"id": "w-1", "v": 3}, workflowId="{{ id }}", version="{{ v }}")
    assert found == Rest(kind=WaitKind.CHILD, workflow_id="w-1", version=3)
    assert run("sub_workflow", workflowId="w") == Rest(kind=WaitKind.CHILD, workflow_id="w")


@pytest.mark.parametrize(
    ("config", "member"),
    [
        ({"workflowId": "{{ input.none }}"}, "workflowId"),
        ({"workflowId": "{{ input.bad }}"}, "workflowId"),
        ({"workflowId": "w", "version": "{{ input.bad }}"}, "version"),
        ({"workflowId": "w", "version": "{{ input.half }}"}, "version"),
    ],
)
def test_what_names_no_workflow_is_a_final_fault(config: dict[str, Any], member: str) -> None:
    found = fault(run("sub_workflow", {"none": None, "bad": "a/b", "half": 1.5}, **config))
    assert (found.code, found.retryable) == ("CONFIG_INVALID", False)
    assert found.message.startswith(member)


# --- waits ----------------------------------------------------------------------------------------


def test_waits_without_a_limit_are_never_over() -> None:
    assert run("approval") == Rest(kind=WaitKind.APPROVAL)
    assert run("wait_for_signal", "paid", name="{{ input }}") == Rest(
        kind=WaitKind.SIGNAL, name="paid"
    )


def test_a_limit_without_a_branch_has_no_output() -> None:
    assert run("approval", timeoutMs=5) == Rest(NOW + 5, WaitKind.APPROVAL)


def test_a_limit_with_a_branch_takes_it_and_says_that_time_was_up() -> None:
    found = run("wait_for_signal", name="paid", timeoutMs="{{ 1000 * 5 }}", onTimeout="late")
    assert found == Rest(
        NOW + 5000,
        WaitKind.SIGNAL,
        on_timeout="late",
        output=Raw(b'{"timedOut":true}'),
        name="paid",
    )


@pytest.mark.parametrize(
    ("config", "member"),
    [
        ({"name": "{{ input.number }}"}, "name"),
        ({"name": "{{ input.empty }}"}, "name"),
        ({"name": "n", "timeoutMs": "{{ input.number - 8 }}"}, "timeoutMs"),
        ({"name": "n", "timeoutMs": "{{ input.empty }}"}, "timeoutMs"),
        ({"name": "n", "timeoutMs": "{{ 1000 * 3600 * 24 * 367 }}"}, "timeoutMs"),
        ({"name": "n", "timeoutMs": "{{ input.yes }}"}, "timeoutMs"),
    ],
)
def test_what_is_no_wait_is_a_final_fault(config: dict[str, Any], member: str) -> None:
    found = fault(run("wait_for_signal", {"number": 7, "empty": "", "yes": True}, **config))
    assert (found.code, found.retryable) == ("CONFIG_INVALID", False)
    assert found.message.startswith(member)
