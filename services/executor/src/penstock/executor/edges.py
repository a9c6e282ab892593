"""Edges that an expression decides about: read once per node, asked when its step has ended."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from penstock.domain.expression import EDGE_ROOTS, ExpressionError, scan
from penstock.domain.template import Evaluate, Scope, TemplateError, as_expression
from penstock.domain.workflow.graph import Graph
from penstock.executor.inputs import StepInput, decode, error_of
from penstock.executor.outcome import Done, Outcome, Rest, StepFault

EXPRESSION_ERROR = "EXPRESSION_ERROR"

Told = tuple[int, ...] | None
"""Which of a node's outgoing edges are EXPRESSION edges that hold; None where nobody can tell."""


class EdgeTest(Struct, frozen=True):
    """One edge's expression. number: of the edge among those that leave the node."""

    number: int
    name: str
    test: Callable[[Scope], Any]


class EdgeTests(Struct, frozen=True):
    """All of a node's, and which of `input`, `output` and `error` they read."""

    tests: tuple[EdgeTest, ...]
    reads: frozenset[str]

    def holding(self, scope: Scope) -> tuple[int, ...]:
        """The numbers of the edges that hold.

        Raises StepFault, final, for one that fails or is no boolean, naming the edge.
        """
        return tuple(edge.number for edge in self.tests if holds(edge, scope))

    def holding_after_failure(self, scope: Scope) -> tuple[int, ...]:
        """The numbers of the edges that hold though the step has failed.

        One that cannot be told then, because it reads an output that is not there, does not.
        """
        return tuple(edge.number for edge in self.tests if may_hold(edge, scope))


def may_hold(edge: EdgeTest, scope: Scope) -> bool:
    """Whether an edge's expression can be told, and is true."""
    try:
        return holds(edge, scope)
    except StepFault:
        return False


def holds(edge: EdgeTest, scope: Scope) -> bool:
    """Whether an edge's expression is true. Raises StepFault."""
    try:
        verdict = edge.test(scope)
    except (ExpressionError, TemplateError) as error:
        raise StepFault(EXPRESSION_ERROR, f"the edge {edge.name}: {error}") from error
    if not isinstance(verdict, bool):
        how = f"the edge {edge.name}: it is true or false, not {verdict!r:.200}"
        raise StepFault(EXPRESSION_ERROR, how)
    return verdict


def edges_of(graph: Graph, node_id: str, evaluate: Evaluate) -> EdgeTests | None:
    """What decides about the edges that leave a node; None where no expression does.

    Raises StepFault, final, for an expression that cannot be read.
    """
    tests: list[EdgeTest] = []
    reads: set[str] = set()
    for number in graph.expressions[node_id]:
        edge = graph.outgoing[node_id][number]
        name = f"{edge.source} -> {edge.target}"
        try:
            text = as_expression(edge.condition.expression or "", EDGE_ROOTS)
            reads |= scan(text, EDGE_ROOTS).roots
        except (ExpressionError, TemplateError) as error:
            raise StepFault(EXPRESSION_ERROR, f"the edge {name}: {error}") from error
        tests.append(EdgeTest(number, name, bound(text, evaluate)))
    return EdgeTests(tuple(tests), frozenset(reads)) if tests else None


def bound(text: str, evaluate: Evaluate) -> Callable[[Scope], Any]:
    """An expression as a function of its scope."""
    return lambda scope: evaluate(text, scope)


def told(
    tests: EdgeTests | None, given: StepInput | None, found: Outcome | StepFault
) -> tuple[Outcome | StepFault, Told]:
    """What an attempt came to, and the edges that hold then.

    An expression that fails makes a step fail that had succeeded. One that had failed anyway keeps
    its own failure.
    """
    if tests is None or type(found) is Rest:
        return found, None
    if not isinstance(found, StepFault):
        try:
            return found, tests.holding(edge_scope(tests, given, found))
        except StepFault as fault:
            found = fault
    return found, tests.holding_after_failure(edge_scope(tests, given, found))


def edge_scope(tests: EdgeTests, given: StepInput | None, found: Outcome | StepFault) -> Scope:
    """What the expressions of edges read; what none reads is null."""
    scope: dict[str, Any] = {"input": None, "output": None, "error": None}
    if given is not None and "input" in tests.reads:
        scope["input"] = given.value
    if isinstance(found, StepFault):
        scope["error"] = error_of(found)
    elif "output" in tests.reads:
        assert isinstance(found, Done)
        scope["output"] = output_of(found, given)
    return scope


def output_of(found: Done, given: StepInput | None) -> Any:
    """The value of what a step says."""
    if found.output is not None:
        return decode(found.output)
    assert given is not None, "a step that passes its input on was given one"
    return given.value
