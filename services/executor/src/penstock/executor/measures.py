"""What the executor counts about attempts."""

from functools import cache
from typing import assert_never

from prometheus_client import Counter, Histogram

from penstock.domain.run.commands import (
    CompleteStep,
    ConfirmCancel,
    FailStep,
    Report,
    ReportLost,
    StartStep,
    SuspendStep,
)
from penstock.executor.holdings import Held
from penstock.infra.telemetry.metrics import executor_lost, executor_step_seconds, executor_steps

UNKNOWN = "unknown"
"""The type of a step whose definition could not be had."""


def measured(held: Held, report: Report) -> None:
    """Count an attempt by what is reported about it."""
    kind = UNKNOWN if held.plan is None else held.plan.node.type
    match report:
        case CompleteStep():
            _steps(kind, "succeeded").inc()
            _seconds(kind).observe((report.finished_at - report.started_at) / 1000)
        case FailStep():
            _steps(kind, "timed_out" if report.timed_out else "failed").inc()
            _seconds(kind).observe((report.finished_at - report.started_at) / 1000)
        case SuspendStep():
            _steps(kind, "waiting").inc()
        case ConfirmCancel():
            _steps(kind, "cancelled").inc()
        case ReportLost():
            executor_lost.labels(report.reason).inc()
        case StartStep():
            pass
        case _:
            assert_never(report)


@cache
def _steps(kind: str, status: str) -> Counter:
    """Looked up once: finding a labelled series costs more than counting in it."""
    return executor_steps.labels(kind, status)


@cache
def _seconds(kind: str) -> Histogram:
    return executor_step_seconds.labels(kind)
