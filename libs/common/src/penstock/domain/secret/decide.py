"""The rules of a secret's life: made, given other values, removed, perhaps made again.

Whether a value is another one cannot be told, for nobody here knows any: each replacement is an
event of its own.
"""

from typing import assert_never

from penstock.domain.decider import Decider
from penstock.domain.named import begins, is_gone, living
from penstock.domain.secret.commands import (
    CreateSecret,
    RemoveSecret,
    ReplaceSecret,
    SecretCommand,
)
from penstock.domain.secret.events import SecretEvent, SecretRemoved, SecretSet
from penstock.domain.secret.state import Secret, evolve


def decide(command: SecretCommand, secret: Secret | None, /, *, at: int) -> list[SecretEvent]:
    """The events that `command` adds to a secret's history. at: now, ms since the epoch.

    Raises NotFound without a living secret; Conflict with the code NAME_TAKEN or
    PRECONDITION_FAILED.
    """
    match command:
        case CreateSecret(name=name, by=by, request_hash=request_hash):
            if not begins(secret, name, request_hash):
                return []
            return [SecretSet(name=name, set_at=at, set_by=by, request_hash=request_hash)]
        case ReplaceSecret(by=by, revisions=revisions):
            name = living(secret, revisions, "secret").name
            return [SecretSet(name=name, set_at=at, set_by=by)]
        case RemoveSecret(by=by, revisions=revisions):
            if is_gone(secret):
                return []
            living(secret, revisions, "secret")
            return [SecretRemoved(removed_at=at, removed_by=by)]
        case _:
            assert_never(command)


SECRET: Decider[SecretCommand, SecretEvent, Secret | None] = Decider(
    initial=None, evolve=evolve, decide=decide
)
