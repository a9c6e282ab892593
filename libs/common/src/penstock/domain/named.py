"""What a tenant calls by a name, secrets, connections and variables: begun, changed, gone, back.

Each is an aggregate of its own, whose id follows from its name; the rules that they share are here.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.errors import Conflict, NotFound

NAME_TAKEN = "NAME_TAKEN"
LOST_RACE = "PRECONDITION_FAILED"
"""The code of a change that was made from an older revision."""


class Named(Protocol):
    """What the rules ask of a thing.

    revision: how many events it has. request_hashes: of the requests that made it; none where
    there was no key.
    """

    @property
    def name(self) -> str: ...
    @property
    def revision(self) -> int: ...
    @property
    def request_hashes(self) -> tuple[str, ...]: ...
    @property
    def deleted_at(self) -> int | None: ...


T = TypeVar("T", bound=Named)


def begins(thing: Named | None, name: str, request_hash: str) -> bool:
    """Whether a command begins a life; not where this very request began one before.

    Raises Conflict, NAME_TAKEN, while another one goes on.
    """
    if thing is None:
        return True
    if request_hash and request_hash in thing.request_hashes:
        return False
    if thing.deleted_at is None:
        raise Conflict(f"the name {name!r} is taken", code=NAME_TAKEN)
    return True


def is_gone(thing: Named | None) -> bool:
    """Whether it was there and is not any more, so that to remove it adds nothing."""
    return thing is not None and thing.deleted_at is not None


def living(thing: T | None, revisions: frozenset[int] | None, what: str) -> T:
    """The thing that a command is about. revisions: those that may be changed, None for any.

    Raises NotFound, and Conflict with PRECONDITION_FAILED.
    """
    if thing is None or thing.deleted_at is not None:
        raise NotFound
    if revisions is not None and thing.revision not in revisions:
        said = f"the {what} is at revision {thing.revision}, which If-Match does not name"
        raise Conflict(said, code=LOST_RACE)
    return thing


class Kept(Struct, frozen=True, kw_only=True):
    """That there is something whose value is set as a whole; of some, all that is known here.

    revision: how many events it has. created_at, created_by: of its present life.
    request_hashes: of the requests that made it; empty where there was no key.
    """

    name: str
    created_at: int
    created_by: str
    updated_at: int
    updated_by: str
    revision: int = 1
    request_hashes: tuple[str, ...] = ()
    deleted_at: int | None = None


K = TypeVar("K", bound=Kept)


def gone_on(before: K | None, now: K) -> K:
    """What was set, as if for the first time, as it is after what was there `before`.

    The life goes on, or where it was over, another one begins.
    """
    if before is None:
        return now
    begun = now if before.deleted_at is not None else before
    return replace(
        now,
        created_at=begun.created_at,
        created_by=begun.created_by,
        revision=before.revision + 1,
        request_hashes=(*before.request_hashes, *now.request_hashes),
    )


def removed(thing: K | None, at: int, by: str) -> K:
    """What is there no more."""
    assert thing is not None, "a history begins with what is set"
    revision = thing.revision + 1
    return replace(thing, deleted_at=at, updated_at=at, updated_by=by, revision=revision)
