"""The rules of a variable's life: made, changed, deleted, perhaps made again.

A command that already took effect adds nothing.
"""

from typing import assert_never

from penstock.domain.decider import Decider
from penstock.domain.errors import Conflict, NotFound
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

NAME_TAKEN = "NAME_TAKEN"
LOST_RACE = "PRECONDITION_FAILED"
"""The code of a change that was made from an older revision."""


def decide(
    command: VariableCommand, variable: Variable | None, /, *, at: int
) -> list[VariableEvent]:
    """The events that `command` adds to a variable's history. at: now, ms since the epoch.

    Raises NotFound without a living variable; Conflict with the code NAME_TAKEN or
    PRECONDITION_FAILED.
    """
    if isinstance(command, CreateVariable):
        return create(command, variable, at)
    if variable is None:
        raise NotFound
    if variable.deleted_at is not None:
        if isinstance(command, DeleteVariable):
            return []
        raise NotFound
    refuse_lost_race(command.revisions, variable)
    match command:
        case ChangeVariable(value=value, description=description):
            if (value, description) == (variable.value, variable.description):
                return []
            return [VariableChanged(value=value, description=description, changed_at=at)]
        case DeleteVariable():
            return [VariableDeleted(deleted_at=at)]
        case _:
            assert_never(command)


def create(command: CreateVariable, variable: Variable | None, at: int) -> list[VariableEvent]:
    """The first event of a life; nothing when this very request began one before."""
    if variable is not None:
        if command.request_hash and command.request_hash in variable.request_hashes:
            return []
        if variable.deleted_at is None:
            raise Conflict(f"the name {command.name!r} is taken", code=NAME_TAKEN)
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


def refuse_lost_race(may_be: frozenset[int] | None, variable: Variable) -> None:
    """Raise Conflict when the variable is at none of the revisions that may be changed."""
    if may_be is not None and variable.revision not in may_be:
        said = f"the variable is at revision {variable.revision}, which If-Match does not name"
        raise Conflict(said, code=LOST_RACE)


VARIABLE: Decider[VariableCommand, VariableEvent, Variable | None] = Decider(
    initial=None, evolve=evolve, decide=decide
)
