"""What can have happened to a connection; its secret fields are no part of it. Stored for ever.

Moments are milliseconds since the epoch, UTC.
"""

from penstock.domain.message import Message
from penstock.domain.payload import Payload


class Event(Message, frozen=True, kw_only=True):
    """The shape that all events of a connection share: tagged by their name."""


class ConnectionSet(Event, frozen=True):
    """The connection is this, for the first time or from now on; steps that begin now use it.

    Its id follows from its tenant and `name`, so `name` is unique. kind: the type of connection,
    as `penstock.domain.connection.types` has them. config: its public part. request_hash: what was
    asked under which Idempotency-Key, without secret fields; empty without one.
    """

    name: str
    kind: str
    config: Payload
    set_at: int
    set_by: str
    request_hash: str = ""


class ConnectionRemoved(Event, frozen=True):
    """The connection is gone, and its secret fields anywhere."""

    removed_at: int
    removed_by: str


ConnectionEvent = ConnectionSet | ConnectionRemoved
