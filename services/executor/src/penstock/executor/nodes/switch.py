"""`switch`: the branch that an expression names; the input is passed on."""

from collections.abc import Mapping
from typing import Any

from penstock.domain.template import as_text
from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput
from penstock.executor.outcome import Done

DEFAULT = "default"


def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Done:
    """The text of `config.expression`, evaluated, if it is one of the cases, else the default."""
    named = as_text(config["expression"])
    cases = config.get("cases", ())
    return Done(branch=named if named in cases else config.get("default", DEFAULT))
