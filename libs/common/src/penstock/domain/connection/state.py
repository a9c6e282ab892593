"""A connection as a value, and the fold that makes it; None is one without history."""

from __future__ import annotations

from typing import assert_never

from penstock.domain.connection.events import ConnectionEvent, ConnectionRemoved, ConnectionSet
from penstock.domain.named import Kept, gone_on, removed
from penstock.domain.payload import Payload


class Connection(Kept, frozen=True, kw_only=True):
    """A connection as it stands, without its secret fields."""

    kind: str
    config: Payload


def evolve(connection: Connection | None, event: ConnectionEvent) -> Connection:
    """The connection after `event`."""
    match event:
        case ConnectionSet():
            return gone_on(connection, as_set(event))
        case ConnectionRemoved(removed_at=at, removed_by=by):
            return removed(connection, at, by)
        case _:
            assert_never(event)


def as_set(event: ConnectionSet) -> Connection:
    """A connection as one event says it."""
    return Connection(
        name=event.name,
        kind=event.kind,
        config=event.config,
        created_at=event.set_at,
        created_by=event.set_by,
        updated_at=event.set_at,
        updated_by=event.set_by,
        request_hashes=(event.request_hash,) if event.request_hash else (),
    )
