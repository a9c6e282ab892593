"""A connection as a value, and the fold that makes it; None is one without history."""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.connection.events import ConnectionEvent, ConnectionRemoved, ConnectionSet
from penstock.domain.payload import Payload


class Connection(Struct, frozen=True, kw_only=True):
    """A connection as it stands, without its secret fields.

    revision: how many events it has. created_at, created_by: of its present life.
    request_hashes: of the requests that made it; empty where there was no key.
    """

    name: str
    kind: str
    config: Payload
    created_at: int
    created_by: str
    updated_at: int
    updated_by: str
    revision: int = 1
    request_hashes: tuple[str, ...] = ()
    deleted_at: int | None = None


def evolve(connection: Connection | None, event: ConnectionEvent) -> Connection:
    """The connection after `event`."""
    match event:
        case ConnectionSet():
            return after_set(connection, event)
        case ConnectionRemoved(removed_at=at, removed_by=by):
            assert connection is not None, "a connection's history begins with ConnectionSet"
            revision = connection.revision + 1
            return replace(
                connection, deleted_at=at, updated_at=at, updated_by=by, revision=revision
            )
        case _:
            assert_never(event)


def after_set(before: Connection | None, event: ConnectionSet) -> Connection:
    """A connection as it is now; one that had been removed begins anew."""
    begins = before is None or before.deleted_at is not None
    hashes = () if before is None else before.request_hashes
    return Connection(
        name=event.name,
        kind=event.kind,
        config=event.config,
        created_at=event.set_at if before is None or begins else before.created_at,
        created_by=event.set_by if before is None or begins else before.created_by,
        updated_at=event.set_at,
        updated_by=event.set_by,
        revision=1 if before is None else before.revision + 1,
        request_hashes=(*hashes, event.request_hash) if event.request_hash else hashes,
    )
