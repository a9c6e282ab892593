"""Edges with expressions: which of them hold when their source has ended."""

from typing import Any

from penstock.domain.workflow.graph import Graph
from penstock.executor.edges import told
from penstock.executor.inputs import StepInput
from penstock.executor.outcome import Done, Rest, StepFault
from penstock.executor.planning import plan_at
from tests.unit.executor.attempts import EVALUATE, done, drawing, edge, fault, tried

NODES = tuple({"id": name, "type": "noop"} for name in ("a", "b", "c", "d"))


def branching(*expressions: str, node: dict[str, Any] | None = None) -> Graph:
    """A node `a` with an ordinary edge, then one for each expression."""
    targets = ("c", "d")
    edges = [edge("a", "b")]
    edges += [
        edge("a", target, "EXPRESSION", expression=text)
        for target, text in zip(targets, expressions, strict=False)
    ]
    return drawing(node or NODES[0], *NODES[1:], edges=edges)


def test_the_edges_that_hold_are_told_by_their_place_among_all() -> None:
    graph = branching("output.n > 1", "output.n > 2 && input.n == 2")
    assert tried(graph, "a", run__input={"n": 2})[1] == (1,)
    assert tried(graph, "a", run__input={"n": 0})[1] == ()


def test_a_node_without_expressions_tells_nothing() -> None:
    graph = drawing(*NODES, edges=[edge("a", "b"), edge("a", "c", "ALWAYS")])
    assert tried(graph, "a", run__input=1)[1] is None


def test_a_failure_is_read_as_error_and_has_no_output() -> None:
    node = {"id": "a", "type": "transform", "config": {"output": "{{ input.none }}"}}
    graph = branching(
        "error.code == 'TEMPLATE_ERROR' && output == null", "error == null", node=node
    )
    found, edges = tried(graph, "a", run__input={"n": 1})
    assert fault(found).code == "TEMPLATE_ERROR"
    assert edges == (1,)


def test_a_success_has_no_error() -> None:
    assert tried(branching("error == null"), "a", run__input=1)[1] == (1,)


def test_an_expression_that_fails_makes_the_step_fail_and_names_the_edge() -> None:
    found, edges = tried(branching("output.none == 1"), "a", run__input={"n": 1})
    assert (fault(found).code, fault(found).retryable) == ("EXPRESSION_ERROR", False)
    assert "a -> c" in fault(found).message
    assert edges == ()


def test_what_is_no_boolean_makes_the_step_fail_and_the_edges_are_asked_again() -> None:
    found, edges = tried(branching("error == null ? 1 : true"), "a", run__input={"n": 1})
    assert fault(found).code == "EXPRESSION_ERROR"
    assert edges == (1,)


def test_a_failure_stays_what_it_is_though_an_edge_reads_an_output_that_is_not_there() -> None:
    node = {"id": "a", "type": "transform", "config": {"output": "{{ input.none }}"}}
    found, edges = tried(branching("output.x > 1", node=node), "a", run__input={})
    assert fault(found).code == "TEMPLATE_ERROR"
    assert edges == ()


def test_an_edge_that_asks_for_the_error_holds_beside_one_that_cannot_be_told() -> None:
    tests = plan_at(branching("output.x > 1", "error != null"), "a", EVALUATE).edges
    found = StepFault("HTTP_STATUS", "the answer was 500", retryable=True)
    assert told(tests, None, found) == (found, (2,))


def test_a_success_whose_edge_cannot_be_told_fails_with_that_alone() -> None:
    node = {"id": "a", "type": "transform", "config": {"output": {"v": 3}}}
    found, edges = tried(branching("output.v", node=node), "a", run__input={})
    assert fault(found).message == "the edge a -> c: it is true or false, not 3"
    assert edges == ()


def test_a_rest_tells_nothing() -> None:
    tests = plan_at(branching("true"), "a", EVALUATE).edges
    rest = Rest(5)
    assert told(tests, StepInput.of_value(1), rest) == (rest, None)


def test_a_fault_before_the_input_was_known_reads_it_as_null() -> None:
    tests = plan_at(branching("input == null"), "a", EVALUATE).edges
    found = StepFault("TEMPLATE_ERROR", "no")
    assert told(tests, None, found) == (found, (1,))


def test_an_output_of_its_own_is_what_the_edges_read() -> None:
    node = {"id": "a", "type": "transform", "config": {"output": {"n": 5}}}
    found, edges = tried(
        branching("output.n == 5 && input.n == 1", node=node), "a", run__input={"n": 1}
    )
    assert done(found) == {"n": 5}
    assert edges == (1,)


def test_the_edges_of_a_step_that_the_scheduler_ended_are_evaluated_for_it() -> None:
    graph = branching("output.ok && input.n == 1", "error != null")
    found, _ = tried(graph, "a@edges", run__input={"n": 1}, nodes__a__output={"ok": True})
    assert found == Done(found.output if isinstance(found, Done) else None, edges=(1,))
    assert done(found) is None


def test_the_edges_of_one_that_it_failed_read_the_error_whatever_stands_in_for_it() -> None:
    graph = branching("output != null", "error.code == 'TIMEOUT' && error.details == null")
    found, _ = tried(
        graph,
        "a@edges",
        run__input={"n": 1},
        nodes__a__error={"code": "TIMEOUT", "message": "too long"},
        nodes__a__output={"from": "a fallback"},
    )
    assert isinstance(found, Done)
    assert found.edges == (2,)


def test_an_evaluation_that_fails_is_final_and_names_the_edge() -> None:
    found, _ = tried(branching("output.x"), "a@edges", run__input=1, nodes__a__output={})
    assert (fault(found).code, fault(found).retryable) == ("EXPRESSION_ERROR", False)
    assert "a -> c" in fault(found).message


def test_edges_in_a_body_are_evaluated_with_their_items() -> None:
    body = {
        "nodes": [{"id": "x", "type": "noop"}, {"id": "y", "type": "noop"}],
        "edges": [edge("x", "y", "EXPRESSION", expression="input.n == output")],
    }
    graph = drawing({"id": "l", "type": "loop", "config": {"items": [], "body": body}})
    found, _ = tried(graph, "l.1.x@edges", items=[{"n": 1}, {"n": 2}], nodes__x__output=2)
    assert isinstance(found, Done)
    assert found.edges == (0,)
