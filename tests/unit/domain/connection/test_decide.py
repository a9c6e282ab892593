"""The rules of a connection's life, and its types."""

from functools import reduce

import pytest

from penstock.domain.connection.commands import (
    CreateConnection,
    RemoveConnection,
    ReplaceConnection,
)
from penstock.domain.connection.decide import CONNECTION, decide
from penstock.domain.connection.events import ConnectionEvent, ConnectionRemoved, ConnectionSet
from penstock.domain.connection.state import Connection
from penstock.domain.connection.types import TYPES, ConnectionType, parted
from penstock.domain.errors import Conflict, NotFound
from penstock.domain.payload import of_value
from penstock.infra.schemas import check_schema

ONE, OTHER = of_value({"username": "u"}), of_value({"username": "v"})
MADE = ConnectionSet(
    name="shop", kind="http_basic", config=ONE, set_at=1, set_by="a", request_hash="h"
)
CHANGED = ConnectionSet(name="shop", kind="bearer", config=OTHER, set_at=2, set_by="b")
GONE = ConnectionRemoved(removed_at=3, removed_by="c")
CREATE = CreateConnection(name="shop", type="http_basic", config=ONE, by="a", request_hash="h")
REPLACE = ReplaceConnection(type="bearer", config=OTHER, by="b")


def after(*events: ConnectionEvent) -> Connection | None:
    return reduce(CONNECTION.evolve, events, CONNECTION.initial)


def test_it_begins_changes_and_goes() -> None:
    assert decide(CREATE, None, at=1) == [MADE]
    assert decide(CREATE, after(MADE, CHANGED), at=1) == []
    assert decide(REPLACE, after(MADE), at=2) == [CHANGED]
    assert decide(REPLACE, after(MADE, CHANGED), at=2) == [CHANGED]
    assert decide(RemoveConnection(by="c"), after(MADE), at=3) == [GONE]
    assert decide(RemoveConnection(by="c"), after(MADE, GONE), at=3) == []


def test_what_cannot_be_is_refused() -> None:
    for state in (None, after(MADE, GONE)):
        with pytest.raises(NotFound):
            decide(REPLACE, state, at=5)
    other = CreateConnection(name="shop", type="http_basic", config=ONE, by="a")
    with pytest.raises(Conflict, match="taken"):
        decide(other, after(MADE), at=5)
    late = RemoveConnection(by="c", revisions=frozenset({7}))
    with pytest.raises(Conflict, match="revision 1"):
        decide(late, after(MADE), at=5)


def test_it_tells_of_its_present_life() -> None:
    again = ConnectionSet(name="shop", kind="bearer", config=OTHER, set_at=9, set_by="d")
    found = after(MADE, GONE, again)
    assert found is not None
    assert (found.created_at, found.kind, found.config, found.revision) == (9, "bearer", OTHER, 3)
    kept = after(MADE, CHANGED)
    assert kept is not None
    assert (kept.created_by, kept.updated_by, kept.kind) == ("a", "b", "bearer")


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_a_type_has_a_schema_and_something_secret(kind: ConnectionType) -> None:
    assert check_schema(dict(kind.config_schema)) == []
    assert kind.secret_fields
    whole = dict.fromkeys(kind.config_schema["properties"], "x")
    found = parted(kind, whole)
    assert found.secret.keys() == set(kind.secret_fields)
    assert found.public | found.secret == whole
