"""What writes to secrets and connections share: how a repeated one is known.

First the event, then the sealed value: a crash in between leaves a value that is older than the log
says, never one that the log does not know of; the client was not answered and sends it again.
"""

import hashlib
import hmac
from typing import Any

import msgspec
from starlette.requests import Request

from penstock.api.idempotency import Identity, identity
from penstock.api.parts import Parts

LABEL = b"penstock secret in a request 1"


def identity_of(request: Request, parts: Parts, tenant_id: str, sent: Any) -> Identity:
    """The identity of a request that holds a secret.

    Its hash is stored, so it is made of a keyed digest: nobody can try values against it.
    """
    text = msgspec.json.encode(sent, order="deterministic")
    digest = hmac.digest(parts.pepper, LABEL + tenant_id.encode() + text, hashlib.sha256)
    return identity(request, tenant_id, digest.hex())
