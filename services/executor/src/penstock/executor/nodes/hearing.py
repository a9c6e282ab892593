"""`approval` and `wait_for_signal`: the step rests until somebody says something, or too long."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from penstock.domain.run.events import WaitKind
from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput
from penstock.executor.nodes.members import text, wait_limit
from penstock.executor.outcome import Rest

SIGNAL_NAME_MAX = 200
TIMED_OUT = Raw(b'{"timedOut":true}')
"""The output of a step that takes the branch of its time limit."""


def approval(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Rest:
    """Waits for a decision about this very step."""
    return waiting(context, config, WaitKind.APPROVAL, "")


def wait_for_signal(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Rest:
    """Waits for a signal by name."""
    name = text(config, "name", most=SIGNAL_NAME_MAX)
    return waiting(context, config, WaitKind.SIGNAL, name)


def waiting(context: StepContext, config: Mapping[str, Any], kind: WaitKind, name: str) -> Rest:
    """What both wait for; the time limit and the branch that it has are optional."""
    limit_ms = wait_limit(config)
    branch = config.get("onTimeout") if limit_ms is not None else None
    return Rest(
        until=0 if limit_ms is None else context.started_at + limit_ms,
        kind=kind,
        on_timeout=branch,
        output=None if branch is None else TIMED_OUT,
        name=name,
    )
