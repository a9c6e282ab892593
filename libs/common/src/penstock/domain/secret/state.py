"""A secret as a value, and the fold that makes it; None is one without history."""

from __future__ import annotations

from typing import assert_never

from penstock.domain.named import Kept, gone_on, removed
from penstock.domain.secret.events import SecretEvent, SecretRemoved, SecretSet


class Secret(Kept, frozen=True, kw_only=True):
    """That there is a secret."""


def evolve(secret: Secret | None, event: SecretEvent) -> Secret:
    """The secret after `event`."""
    match event:
        case SecretSet():
            return gone_on(secret, as_set(event))
        case SecretRemoved(removed_at=at, removed_by=by):
            return removed(secret, at, by)
        case _:
            assert_never(event)


def as_set(event: SecretSet) -> Secret:
    """A secret as one event says it."""
    return Secret(
        name=event.name,
        created_at=event.set_at,
        created_by=event.set_by,
        updated_at=event.set_at,
        updated_by=event.set_by,
        request_hashes=(event.request_hash,) if event.request_hash else (),
    )
