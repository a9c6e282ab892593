"""A variable as a value, and the fold that makes it; None is one without history."""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.domain.variable.events import (
    VariableChanged,
    VariableCreated,
    VariableDeleted,
    VariableEvent,
)


class Variable(Struct, frozen=True, kw_only=True):
    """A variable as it stands.

    revision: how many events it has. created_at, created_by: of its present life.
    request_hashes: of the requests that made it, one a life; empty where there was no key.
    """

    name: str
    value: Payload
    created_at: int
    created_by: str
    updated_at: int
    description: str = ""
    revision: int = 1
    request_hashes: tuple[str, ...] = ()
    deleted_at: int | None = None


def evolve(variable: Variable | None, event: VariableEvent) -> Variable:
    """The variable after `event`."""
    if isinstance(event, VariableCreated):
        return created(variable, event)
    assert variable is not None, "a variable's history begins with VariableCreated"
    revision = variable.revision + 1
    match event:
        case VariableChanged(value=value, description=description, changed_at=at):
            return replace(
                variable, value=value, description=description, updated_at=at, revision=revision
            )
        case VariableDeleted(deleted_at=at):
            return replace(variable, deleted_at=at, updated_at=at, revision=revision)
        case _:
            assert_never(event)


def created(before: Variable | None, event: VariableCreated) -> Variable:
    """A variable at the beginning of a life."""
    hashes = () if before is None else before.request_hashes
    return Variable(
        name=event.name,
        value=event.value,
        description=event.description,
        created_at=event.created_at,
        created_by=event.created_by,
        updated_at=event.created_at,
        revision=1 if before is None else before.revision + 1,
        request_hashes=(*hashes, event.request_hash),
    )
