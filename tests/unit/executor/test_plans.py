"""How a node is run: how long it may take, and how long it may rest."""

from typing import Any

import pytest
from msgspec import Raw

from penstock.domain.run.events import WaitKind
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import from_wire
from penstock.domain.workflow.node_types import STEP_TIMEOUT_MS
from penstock.executor.outcome import Done, Rest
from penstock.executor.planning import plan_at
from penstock.executor.plans import Plan
from penstock.infra.expressions import Expressions

BEGUN = 1_700_000_000_000
LONG = 2 * STEP_TIMEOUT_MS


def planned(kind: str, **more: Any) -> Plan:
    node = {"id": "a", "type": kind, "config": {}, **more}
    graph = Graph.of(from_wire({"name": "test", "nodes": [node], "edges": []}))
    return plan_at(graph, "a", Expressions().evaluate)


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


def test_a_rest_beyond_the_nodes_limit_ends_with_it_and_exceeds_it() -> None:
    plan = planned("delay", timeoutMs=1000)
    assert plan.bounded(Rest(BEGUN + 1000), BEGUN) == Rest(BEGUN + 1000)
    assert plan.bounded(Rest(BEGUN + 1001), BEGUN) == Rest(BEGUN + 1000, exceeds=True)
    assert plan.bounded(Done(), BEGUN) == Done()


@pytest.mark.parametrize("kind", [k for k in WaitKind if k is not WaitKind.DELAY])
def test_the_limit_of_a_node_bounds_whatever_it_waits_for(kind: WaitKind) -> None:
    plan = planned("noop", timeoutMs=1000)
    endless = Rest(kind=kind)
    assert plan.bounded(endless, BEGUN) == Rest(BEGUN + 1000, kind=kind)
    later = Rest(BEGUN + 1001, kind=kind, on_timeout="late", output=Raw(b"1"))
    assert plan.bounded(later, BEGUN) == Rest(BEGUN + 1000, kind=kind)
    sooner = Rest(BEGUN + 999, kind=kind, on_timeout="late", output=Raw(b"1"))
    assert plan.bounded(sooner, BEGUN) == sooner
    assert planned("noop").bounded(endless, BEGUN) == endless


def test_a_node_without_a_limit_rests_as_long_as_it_wants() -> None:
    assert planned("delay").bounded(Rest(BEGUN + LONG), BEGUN) == Rest(BEGUN + LONG)
