"""The rules of a secret's life: made, given other values, removed, perhaps made again.

Whether a value is another one cannot be told, for nobody here knows any: each replacement is an
event of its own.
"""

from typing import assert_never

from penstock.domain.decider import Decider
from penstock.domain.errors import Conflict, NotFound
from penstock.domain.secret.commands import (
    CreateSecret,
    RemoveSecret,
    ReplaceSecret,
    SecretCommand,
)
from penstock.domain.secret.events import SecretEvent, SecretRemoved, SecretSet
from penstock.domain.secret.state import Secret, evolve

NAME_TAKEN = "NAME_TAKEN"
LOST_RACE = "PRECONDITION_FAILED"
"""The code of a change that was made from an older revision."""


def decide(command: SecretCommand, secret: Secret | None, /, *, at: int) -> list[SecretEvent]:
    """The events that `command` adds to a secret's history. at: now, ms since the epoch.

    Raises NotFound without a living secret; Conflict with the code NAME_TAKEN or
    PRECONDITION_FAILED.
    """
    if isinstance(command, CreateSecret):
        return create(command, secret, at)
    if secret is None:
        raise NotFound
    if secret.deleted_at is not None:
        if isinstance(command, RemoveSecret):
            return []
        raise NotFound
    refuse_lost_race(command.revisions, secret)
    match command:
        case ReplaceSecret(by=by):
            return [SecretSet(name=secret.name, set_at=at, set_by=by)]
        case RemoveSecret(by=by):
            return [SecretRemoved(removed_at=at, removed_by=by)]
        case _:
            assert_never(command)


def create(command: CreateSecret, secret: Secret | None, at: int) -> list[SecretEvent]:
    """The first event of a life; nothing when this very request began one before."""
    if secret is not None:
        if command.request_hash and command.request_hash in secret.request_hashes:
            return []
        if secret.deleted_at is None:
            raise Conflict(f"the name {command.name!r} is taken", code=NAME_TAKEN)
    return [
        SecretSet(
            name=command.name,
            set_at=at,
            set_by=command.by,
            request_hash=command.request_hash,
        )
    ]


def refuse_lost_race(may_be: frozenset[int] | None, secret: Secret) -> None:
    """Raise Conflict when the secret is at none of the revisions that may be changed."""
    if may_be is not None and secret.revision not in may_be:
        said = f"the secret is at revision {secret.revision}, which If-Match does not name"
        raise Conflict(said, code=LOST_RACE)


SECRET: Decider[SecretCommand, SecretEvent, Secret | None] = Decider(
    initial=None, evolve=evolve, decide=decide
)
