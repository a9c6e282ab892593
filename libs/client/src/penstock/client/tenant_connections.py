"""Calls about connections: how steps reach servers of others. `connection` is a name or id."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from penstock.client.calls import Call, delete, encoded, get, reading, segment
from penstock.client.models import Model, Page

PATH = "/api/connections"


class Connection(Model, frozen=True, kw_only=True):
    """A connection; `config` is without its `secret_fields`."""

    id: str
    name: str
    type: str
    config: Any = None
    secret_fields: tuple[str, ...] = ()
    created_by: str | None = None
    created_at: datetime | None = None
    updated_by: str | None = None
    updated_at: datetime | None = None


def create_connection(name: str, kind: str, config: dict[str, Any]) -> Call[Connection]:
    """Make a connection. kind: its type; config: with its secret fields.

    Raises Invalid, Conflict (the name is taken).
    """
    body, headers = encoded({"name": name, "type": kind, "config": config})
    return Call(
        method="POST",
        path=PATH,
        read=reading(Connection),
        headers={**headers, "Idempotency-Key": uuid4().hex},
        body=body,
        repeatable=True,
    )


def get_connection(connection: str) -> Call[Connection]:
    """One connection, without its secret fields. Raises NotFound."""
    path = f"{PATH}/{segment(connection)}"
    return Call(method="GET", path=path, read=reading(Connection), repeatable=True)


def list_connections(
    *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[Connection]]:
    """A page of connections, without their secret fields. limit: 1 to 200."""
    return get(PATH, Page[Connection], limit=limit, cursor=cursor)


def update_connection(connection: str, kind: str, config: dict[str, Any]) -> Call[Connection]:
    """Have all of a connection be otherwise, secret fields too. Raises Invalid, NotFound."""
    body, headers = encoded({"type": kind, "config": config})
    path = f"{PATH}/{segment(connection)}"
    read = reading(Connection)
    return Call(method="PUT", path=path, read=read, headers=headers, body=body, repeatable=True)


def remove_connection(connection: str) -> Call[None]:
    """Let no step use the connection any more. Raises NotFound."""
    return delete(f"{PATH}/{segment(connection)}")
