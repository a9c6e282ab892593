"""How a node is run: how long it may take, and how long it may rest."""

from typing import Any

import pytest

from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import from_wire
from penstock.domain.workflow.node_types import STEP_TIMEOUT_MS
from penstock.executor.outcome import Done, Rest, TimedOut
from penstock.executor.plans import Plan, plan_of
from penstock.infra.expressions import Expressions

BEGUN = 1_700_000_000_000
LONG = 2 * STEP_TIMEOUT_MS


def planned(kind: str, **more: Any) -> Plan:
    node = {"id": "a", "type": kind, "config": {}, **more}
    graph = Graph.of(from_wire({"name": "test", "nodes": [node], "edges": []}))
    return plan_of(graph, "a", Expressions().evaluate)


def test_a_call_gets_the_time_that_its_config_asks_for() -> None:
    plan = planned("http_request")
    assert plan.limit_under({}) == STEP_TIMEOUT_MS
    assert plan.limit_under({"timeoutMs": 1000}) == STEP_TIMEOUT_MS
    assert plan.limit_under({"timeoutMs": LONG}) == LONG


@pytest.mark.parametrize("asked", ["soon", True, None, 1e9])
def test_what_is_no_time_asks_for_none(asked: object) -> None:
    assert planned("http_request").limit_under({"timeoutMs": asked}) == STEP_TIMEOUT_MS


def test_the_limit_of_the_node_goes_before_its_configs() -> None:
    assert planned("http_request", timeoutMs=1000).limit_under({"timeoutMs": LONG}) == 1000


def test_a_rest_beyond_the_nodes_limit_is_over_before_it_begins() -> None:
    plan = planned("delay", timeoutMs=1000)
    assert plan.bounded(Rest(BEGUN + 1000), BEGUN) == Rest(BEGUN + 1000)
    with pytest.raises(TimedOut, match="1000 ms") as caught:
        plan.bounded(Rest(BEGUN + 1001), BEGUN)
    assert (caught.value.code, caught.value.retryable) == ("TIMEOUT", True)
    assert plan.bounded(Done(), BEGUN) == Done()


def test_a_node_without_a_limit_rests_as_long_as_it_wants() -> None:
    assert planned("delay").bounded(Rest(BEGUN + LONG), BEGUN) == Rest(BEGUN + LONG)
