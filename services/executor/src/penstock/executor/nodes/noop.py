"""`noop`, `trigger`, and `webhook` without a url: the input is passed on."""

from collections.abc import Mapping
from typing import Any

from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput
from penstock.executor.outcome import Done

PASSED_ON = Done()


def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Done:
    """The input as it came, not looked into."""
    return PASSED_ON
