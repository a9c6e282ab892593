"""A secret as a value, and the fold that makes it; None is one without history."""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.secret.events import SecretEvent, SecretRemoved, SecretSet


class Secret(Struct, frozen=True, kw_only=True):
    """That there is a secret.

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


def evolve(secret: Secret | None, event: SecretEvent) -> Secret:
    """The secret after `event`."""
    match event:
        case SecretSet():
            return after_set(secret, event)
        case SecretRemoved(removed_at=at, removed_by=by):
            assert secret is not None, "a secret's history begins with SecretSet"
            revision = secret.revision + 1
            return replace(secret, deleted_at=at, updated_at=at, updated_by=by, revision=revision)
        case _:
            assert_never(event)


def after_set(before: Secret | None, event: SecretSet) -> Secret:
    """A secret with a new value; one that had been removed begins anew."""
    begins = before is None or before.deleted_at is not None
    hashes = () if before is None else before.request_hashes
    return Secret(
        name=event.name,
        created_at=event.set_at if before is None or begins else before.created_at,
        created_by=event.set_by if before is None or begins else before.created_by,
        updated_at=event.set_at,
        updated_by=event.set_by,
        revision=1 if before is None else before.revision + 1,
        request_hashes=(*hashes, event.request_hash) if event.request_hash else hashes,
    )
