"""Metrics: names as agreed, labels bounded, and each service shows its own."""

import re

import pytest

from penstock.infra.telemetry import metrics

SERVICES = ("scheduler", "executor", "projector", "api")
NAME = re.compile(rf"(penstock_({'|'.join(SERVICES)}|nats|process)_|process_|python_)[a-z_]+")
UNBOUNDED = {"tenant", "run", "run_id", "step", "step_id", "workflow", "subject", "path", "id"}


def test_names_follow_the_rule() -> None:
    for family in metrics.REGISTRY.collect():
        assert NAME.fullmatch(family.name), family.name
        assert family.documentation, family.name


def test_no_label_can_grow_without_bound() -> None:
    ours = [value for value in vars(metrics).values() if hasattr(value, "_labelnames")]
    assert len(ours) > 40
    assert not [metric for metric in ours if UNBOUNDED & {*metric._labelnames}]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_shows_its_own_and_the_shared_ones(service: str) -> None:
    shown = metrics.exposition(service).decode()
    assert "penstock_nats_connected" in shown
    assert "process_resident_memory_bytes" in shown
    assert f"penstock_{service}_" in shown
    assert not [other for other in SERVICES if other != service and f"_{other}_" in shown]


def test_a_figure_is_shown_with_its_value() -> None:
    metrics.scheduler_unowned_runs.set(0)
    metrics.executor_steps.labels("noop", "succeeded").inc()
    assert "\npenstock_scheduler_unowned_runs 0.0\n" in metrics.exposition("scheduler").decode()
    line = '\npenstock_executor_steps_total{status="succeeded",type="noop"} '
    assert line in metrics.exposition("executor").decode()
