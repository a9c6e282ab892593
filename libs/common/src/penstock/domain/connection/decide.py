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
from penstock.domain.named import begins, is_gone, living


def decide(
    command: ConnectionCommand, connection: Connection | None, /, *, at: int
) -> list[ConnectionEvent]:
    """The events that `command` adds to a connection's history. at: now, ms since the epoch.

    Raises NotFound without a living connection; Conflict with the code NAME_TAKEN or
    PRECONDITION_FAILED.
    """
    match command:
        case CreateConnection():
            if not begins(connection, command.name, command.request_hash):
                return []
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
        case ReplaceConnection(type=kind, config=config, by=by, revisions=revisions):
            name = living(connection, revisions, "connection").name
            return [ConnectionSet(name=name, kind=kind, config=config, set_at=at, set_by=by)]
        case RemoveConnection(by=by, revisions=revisions):
            if is_gone(connection):
                return []
            living(connection, revisions, "connection")
            return [ConnectionRemoved(removed_at=at, removed_by=by)]
        case _:
            assert_never(command)


CONNECTION: Decider[ConnectionCommand, ConnectionEvent, Connection | None] = Decider(
    initial=None, evolve=evolve, decide=decide
)
