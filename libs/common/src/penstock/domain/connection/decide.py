"""The rules of a connection's life: made, changed, removed, perhaps made again.

Whether its secret fields are other ones cannot be told here: each change is an event of its own.
"""

from typing import assert_never

from penstock.domain.connection.commands import (
    ConnectionCommand,
    CreateConnection,
    RemoveConnection,
    ReplaceConnection,
)
from penstock.domain.connection.events import ConnectionEvent, ConnectionRemoved, ConnectionSet
from penstock.domain.connection.state import Connection, evolve
from penstock.domain.decider import Decider
from penstock.domain.errors import Conflict, NotFound

NAME_TAKEN = "NAME_TAKEN"
LOST_RACE = "PRECONDITION_FAILED"
"""The code of a change that was made from an older revision."""


def decide(
    command: ConnectionCommand, connection: Connection | None, /, *, at: int
) -> list[ConnectionEvent]:
    """The events that `command` adds to a connection's history. at: now, ms since the epoch.

    Raises NotFound without a living connection; Conflict with the code NAME_TAKEN or
    PRECONDITION_FAILED.
    """
    if isinstance(command, CreateConnection):
        return create(command, connection, at)
    if connection is None:
        raise NotFound
    if connection.deleted_at is not None:
        if isinstance(command, RemoveConnection):
            return []
        raise NotFound
    refuse_lost_race(command.revisions, connection)
    match command:
        case ReplaceConnection(type=kind, config=config, by=by):
            name = connection.name
            return [ConnectionSet(name=name, kind=kind, config=config, set_at=at, set_by=by)]
        case RemoveConnection(by=by):
            return [ConnectionRemoved(removed_at=at, removed_by=by)]
        case _:
            assert_never(command)


def create(
    command: CreateConnection, connection: Connection | None, at: int
) -> list[ConnectionEvent]:
    """The first event of a life; nothing when this very request began one before."""
    if connection is not None:
        if command.request_hash and command.request_hash in connection.request_hashes:
            return []
        if connection.deleted_at is None:
            raise Conflict(f"the name {command.name!r} is taken", code=NAME_TAKEN)
    return [
        ConnectionSet(
            name=command.name,
            kind=command.type,
            config=command.config,
            set_at=at,
            set_by=command.by,
            request_hash=command.request_hash,
        )
    ]


def refuse_lost_race(may_be: frozenset[int] | None, connection: Connection) -> None:
    """Raise Conflict when the connection is at none of the revisions that may be changed."""
    if may_be is not None and connection.revision not in may_be:
        said = f"the connection is at revision {connection.revision}, which If-Match does not name"
        raise Conflict(said, code=LOST_RACE)


CONNECTION: Decider[ConnectionCommand, ConnectionEvent, Connection | None] = Decider(
    initial=None, evolve=evolve, decide=decide
)
