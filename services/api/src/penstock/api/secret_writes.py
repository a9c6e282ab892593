"""What writes to secrets and connections share: how a repeated one is known, and what is refused.

First the event, then the sealed value: a crash in between leaves a value that is older than the log
says, never one that the log does not know of; the client was not answered and sends it again.
"""

import hashlib
import hmac
from typing import Any

import msgspec
from starlette.requests import Request

from penstock.api.errors import Problem, detail, invalid
from penstock.api.idempotency import Identity, identity
from penstock.api.parts import Parts
from penstock.domain.errors import Conflict
from penstock.infra.postgres.engine import Row

LIVING_MAX = 1000
"""Of a tenant, of each kind. Counted in the read models: a few more may get in at once."""
LABEL = b"penstock secret in a request 1"


def identity_of(request: Request, parts: Parts, tenant_id: str, sent: Any) -> Identity:
    """The identity of a request that holds a secret.

    Its hash is stored, so it is made of a keyed digest: nobody can try values against it.
    """
    text = msgspec.json.encode(sent, order="deterministic")
    digest = hmac.digest(parts.pepper, LABEL + tenant_id.encode() + text, hashlib.sha256)
    return identity(request, tenant_id, digest.hex())


def refuse_rename(asked: str | None, row: Row) -> None:
    """Raise Problem 400 where a change names another thing than it changes."""
    if asked not in {None, row["name"]}:
        fault = detail("/name", "SCHEMA_INVALID", f"is {row['name']} and cannot be changed")
        raise invalid("the body is not valid", fault)


def refuse_full(living: int, what: str) -> None:
    """Raise Conflict where the tenant has as many as it may."""
    if living >= LIVING_MAX:
        raise Conflict(f"a tenant has at most {LIVING_MAX} {what}", code="LIMIT_EXCEEDED")


def found(row: Row | None, what: str) -> Row:
    """A row that is there. Raises Problem 404."""
    if row is None:
        raise Problem(404, f"there is no such {what}")
    return row
