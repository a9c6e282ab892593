"""What can have happened to a secret: that somebody set it, never to what. Stored for ever.

Moments are milliseconds since the epoch, UTC.
"""

from penstock.domain.message import Message


class Event(Message, frozen=True, kw_only=True):
    """The shape that all events of a secret share: tagged by their name."""


class SecretSet(Event, frozen=True):
    """The secret has a value, its first one or another one; steps that begin now read it.

    Its id follows from its tenant and `name`, so `name` is unique. request_hash: what was asked
    under which Idempotency-Key, without the value; empty without one.
    """

    name: str
    set_at: int
    set_by: str
    request_hash: str = ""


class SecretRemoved(Event, frozen=True):
    """The secret has no value any more, anywhere."""

    removed_at: int
    removed_by: str


SecretEvent = SecretSet | SecretRemoved
