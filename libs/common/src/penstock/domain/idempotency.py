"""An Idempotency-Key that was used: which request it stands for, so that no other may use it.

The key of an execute needs none of this, for it names the run that it starts. What is made in the
registry has an id of its own, so here the key is an aggregate: its id follows from the tenant, the
route and the key.
"""

from msgspec import Struct

from penstock.domain.decider import Decider
from penstock.domain.errors import Conflict
from penstock.domain.message import Message

CODE = "IDEMPOTENCY_CONFLICT"


class UseIdempotencyKey(Struct, frozen=True, kw_only=True):
    """Let the key stand for one request. request_hash: of its key, path ids and body."""

    route: str
    request_hash: str


class IdempotencyKeyUsed(Message, frozen=True, kw_only=True):
    """The key stands for this request from here on; no other request may use it.

    route: the method and the template of the path. used_at: milliseconds since the epoch, UTC.
    """

    route: str
    request_hash: str
    used_at: int


def evolve(_used: IdempotencyKeyUsed | None, event: IdempotencyKeyUsed) -> IdempotencyKeyUsed:
    """The key as it stands: it has one event."""
    return event


def decide(
    command: UseIdempotencyKey, used: IdempotencyKeyUsed | None, /, *, at: int
) -> list[IdempotencyKeyUsed]:
    """The key's one event; nothing for the same request. Raises Conflict for another request."""
    if used is None:
        return [
            IdempotencyKeyUsed(route=command.route, request_hash=command.request_hash, used_at=at)
        ]
    if used.request_hash != command.request_hash:
        raise Conflict("this idempotency key was used with another request", code=CODE)
    return []


IDEMPOTENCY: Decider[UseIdempotencyKey, IdempotencyKeyUsed, IdempotencyKeyUsed | None] = Decider(
    initial=None, evolve=evolve, decide=decide
)
