"""`condition`: one of two branches; the input is passed on."""

from collections.abc import Mapping
from typing import Any

from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput
from penstock.executor.outcome import Done, StepFault

YES = Done(branch="true")
NO = Done(branch="false")


def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Done:
    """The branch that `config.expression`, evaluated, names; final fault if it is no boolean."""
    verdict = config["expression"]
    if verdict is True:
        return YES
    if verdict is False:
        return NO
    raise StepFault("EXPRESSION_ERROR", f"a condition is true or false, not {verdict!r:.200}")
