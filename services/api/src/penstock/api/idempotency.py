"""Idempotency-Key: an id that follows from the key, and a hash that tells requests apart.

Nothing is stored beside the log: the id makes the second request find the first one's effect, and
the hash in the first event tells whether it was the same request. What has an id of its own, made
of something else than the key, asks `kept_to_one_request` first.
"""

import hashlib
import hmac
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from starlette.requests import Request
from uuid_utils import uuid7

from penstock.api.errors import detail, invalid
from penstock.api.parts import parts_of, sender_of
from penstock.domain.idempotency import UseIdempotencyKey
from penstock.domain.ids import derived

KEY_MAX_CHARACTERS = 255
HEADER = "idempotency-key"
REQUEST_LABEL = b"penstock request 1\0"


class Identity(Struct, frozen=True):
    """What a creating request makes. request_hash is empty without a key: never the same again."""

    id: UUID
    request_hash: str


def key_of(request: Request) -> str | None:
    """The request's Idempotency-Key. Raises Problem 400 for one that cannot be used."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 0 < len(key) <= KEY_MAX_CHARACTERS or not key.isprintable():
        said = f"must be 1 to {KEY_MAX_CHARACTERS} printable characters"
        fault = detail("/header/Idempotency-Key", "SCHEMA_INVALID", said)
        raise invalid("the Idempotency-Key is not valid", fault)
    return key


def route_of(request: Request) -> str:
    """The route's template, which keeps the keys of different routes apart."""
    return f"{request.method} {request.scope['route'].path}"


def derived_id(request: Request, scope: str, key: str) -> UUID:
    """The id of what this route makes under this key. scope: the tenant, or `platform`."""
    return UUID(derived(scope, route_of(request), key))


def request_hash(request: Request, key: str, body: Any) -> str:
    """The keyed digest of the canonical request: its key, path ids and body, members in order.

    It stands in an event for ever, and lets nobody try out what the request may have said; a
    password has no place in it all the same.
    """
    canonical = msgspec.json.encode([key, dict(request.path_params), body], order="deterministic")
    pepper = parts_of(request).pepper
    return hmac.digest(pepper, REQUEST_LABEL + canonical, hashlib.sha256).hex()


def identity(request: Request, scope: str, body: Any) -> Identity:
    """The id of what a creating request makes, and its hash."""
    key = key_of(request)
    if key is None:
        return Identity(UUID(str(uuid7())), "")
    return Identity(derived_id(request, scope, key), request_hash(request, key, body))


async def kept_to_one_request(request: Request, tenant_id: str, actor: str, made: Identity) -> None:
    """Let the request's Idempotency-Key stand for this request and no other.

    Raises Conflict where it stands for another one. Nothing happens without a key.
    """
    if made.request_hash:
        command = UseIdempotencyKey(route=route_of(request), request_hash=made.request_hash)
        sender = sender_of(request, actor)
        await parts_of(request).registry.use_key(tenant_id, str(made.id), command, sender)
