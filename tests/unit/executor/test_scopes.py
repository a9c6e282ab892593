"""What names stand for: the variables that the run began with."""

from typing import Any

import pytest

from penstock.domain.payload import of_value
from penstock.executor.inputs import StepInput
from penstock.executor.outcome import StepFault
from penstock.executor.scopes import scope_of
from penstock.executor.templates import prepared
from penstock.infra.expressions import Expressions
from penstock.messages.envelope import Task

TASK = Task(run_id="r", step_id="a", attempt=1, definition="d", started_at=0)
VARS = {"region": {"name": "eu"}, "limit": 3}


def filled(template: Any, **payloads: Any) -> Any:
    """A template's value where a task has brought these payloads."""
    made = prepared(template, Expressions().evaluate)
    brought = {name: of_value(value) for name, value in payloads.items()}
    return made.value(scope_of(made, TASK, brought, StepInput.of_value(None)))


def test_a_variable_keeps_its_type_and_can_be_calculated_with() -> None:
    template = {"whole": "{{ vars.region }}", "sum": "{{ vars.limit + 1 }}"}
    assert filled(template, vars=VARS) == {"whole": {"name": "eu"}, "sum": 4}
    assert filled("in {{ vars.region.name }}", vars=VARS) == "in eu"
    assert filled("{{ default(vars.absent, 7) }}", vars=VARS) == 7


def test_a_variable_that_is_not_there_is_named() -> None:
    with pytest.raises(StepFault, match=r"vars\.absent") as refused:
        filled("{{ vars.absent }}", vars=VARS)
    assert refused.value.code == "TEMPLATE_ERROR"


def test_what_reads_no_variable_needs_none() -> None:
    assert filled("plain") == "plain"
    with pytest.raises(StepFault, match="vars"):
        filled("{{ vars.region }}")
