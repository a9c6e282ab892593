"""What can have happened to a variable. Stored for ever.

Moments are milliseconds since the epoch, UTC; who did it is the actor of the decision's cause.
"""

from penstock.domain.message import Message
from penstock.domain.payload import Payload


class Event(Message, frozen=True, kw_only=True):
    """The shape that all events of a variable share: tagged by their name."""


class VariableCreated(Event, frozen=True):
    """The variable exists, for the first time or again after it was deleted.

    Its id follows from its tenant and `name`, so `name` is unique. value: any JSON.
    request_hash: what was asked under which Idempotency-Key, empty without one.
    """

    name: str
    value: Payload
    created_at: int
    created_by: str
    description: str = ""
    request_hash: str = ""


class VariableChanged(Event, frozen=True):
    """From here on the variable is this; runs that have begun keep what it was before."""

    value: Payload
    changed_at: int
    description: str = ""


class VariableDeleted(Event, frozen=True):
    """Nobody reads the variable any more, but for runs that have begun."""

    deleted_at: int


VariableEvent = VariableCreated | VariableChanged | VariableDeleted
