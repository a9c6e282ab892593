"""The rules of a variable's life: made, changed, deleted, perhaps made again.

A command that already took effect adds nothing.
"""

from typing import assert_never

from penstock.domain.decider import Decider
from penstock.domain.named import begins, is_gone, living
from penstock.domain.variable.commands import (
    ChangeVariable,
    CreateVariable,
    DeleteVariable,
    VariableCommand,
)
from penstock.domain.variable.events import (
    VariableChanged,
    VariableCreated,
    VariableDeleted,
    VariableEvent,
)
from penstock.domain.variable.state import Variable, evolve


def decide(
    command: VariableCommand, variable: Variable | None, /, *, at: int
) -> list[VariableEvent]:
    """The events that `command` adds to a variable's history. at: now, ms since the epoch.

    Raises NotFound without a living variable; Conflict with the code NAME_TAKEN or
    PRECONDITION_FAILED.
    """
    match command:
        case CreateVariable():
            if not begins(variable, command.name, command.request_hash):
                return []
            return [
                VariableCreated(
                    name=command.name,
                    value=command.value,
                    description=command.description,
                    created_at=at,
                    created_by=command.created_by,
                    request_hash=command.request_hash,
                )
            ]
        case ChangeVariable(value=value, description=description, revisions=revisions):
            before = living(variable, revisions, "variable")
            if (value, description) == (before.value, before.description):
                return []
            return [VariableChanged(value=value, description=description, changed_at=at)]
        case DeleteVariable(revisions=revisions):
            if is_gone(variable):
                return []
            living(variable, revisions, "variable")
            return [VariableDeleted(deleted_at=at)]
        case _:
            assert_never(command)


VARIABLE: Decider[VariableCommand, VariableEvent, Variable | None] = Decider(
    initial=None, evolve=evolve, decide=decide
)
