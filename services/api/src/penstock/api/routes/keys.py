"""API keys of a tenant."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response

from penstock.api import bodies, pages, queries_registry, vault
from penstock.api.answers import MS, answered, moment_of_ms
from penstock.api.auth import KeysManager
from penstock.api.credentials import hash_of, new_key, repeated_key
from penstock.api.errors import Problem, detail, invalid
from penstock.api.idempotency import identity, key_of
from penstock.api.openapi import gives, gives_page_of, takes
from penstock.api.pages import Cursor, Limit
from penstock.api.parts import parts_of, sender_of
from penstock.api.runnable import uuid_or_none
from penstock.api.schemas_registry import KeyShown, NewKey
from penstock.api.unsealing import rows_opened
from penstock.api.writes import read_after, settled
from penstock.domain.identity import Role, may_grant
from penstock.domain.tenant.commands import CreateApiKey, RevokeApiKey
from penstock.domain.tenant.state import ApiKey

EXPIRES_BEFORE = datetime(2200, 1, 1, tzinfo=UTC)
"""Read models take moments up to 2248; what is meant by a later one is never."""

router = APIRouter(prefix="/api/api-keys", tags=["keys"])


@router.get("", responses=gives_page_of(KeyShown))
async def list_keys(
    request: Request,
    caller: KeysManager,
    limit: Limit = pages.LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """The tenant's keys that are not revoked, newest first."""
    parts = parts_of(request)
    await read_after(request, parts)
    of = pages.listing(request)
    after = pages.after(cursor, of)
    rows = await queries_registry.keys(parts.engine, caller.tenant_id, after=after, limit=limit + 1)
    rows = await rows_opened(parts.seals, rows, "name")
    return answered(pages.page(rows, limit, queries_registry.shown_key, of=of))


@router.post(
    "", status_code=201, responses=gives(KeyShown, status=201), openapi_extra=takes(NewKey)
)
async def create_key(request: Request, caller: KeysManager) -> Response:
    """Make a key; it is shown in this answer only."""
    parts = parts_of(request)
    sent = await bodies.value(request)
    asked = bodies.fitted(sent, NewKey)
    if asked.expires_at is not None:
        _refuse_moment(asked.expires_at)
    if not may_grant(caller.role, asked.role):
        raise Problem(403, f"the role {caller.role} cannot make a key with the role {asked.role}")
    made = identity(request, caller.tenant_id, sent)
    repeatable = key_of(request) is not None
    key = repeated_key(made.id, parts.pepper) if repeatable else new_key(made.id)
    digest = hash_of(key.text, parts.pepper)
    await vault.keep_hash(
        parts.engine,
        caller.tenant_id,
        made.id,
        digest,
        role=asked.role,
        expires_at=asked.expires_at,
    )
    command = CreateApiKey(
        name=(await parts.seals.texts.marks(caller.tenant_id)).closed(asked.name),
        role=asked.role,
        created_by=caller.actor,
        expires_at=milliseconds(asked.expires_at),
        request_hash=made.request_hash,
    )
    sender = sender_of(request, caller.actor)
    written = await parts.registry.key(caller.tenant_id, str(made.id), command, sender)
    name = await parts.seals.texts.opened(caller.tenant_id, written.state.name)
    body = {**_shown(made.id, written.state), "name": name, "key": key.text}
    headers = {"Location": f"/api/api-keys/{made.id}"}
    return await settled(parts, written, body, status=201, headers=headers)


@router.delete("/{key_id}", status_code=204, responses=gives(None, status=204))
async def revoke_key(request: Request, key_id: str, caller: KeysManager) -> Response:
    """Let the key open nothing any more, at once and everywhere."""
    parts = parts_of(request)
    known = uuid_or_none(key_id)
    if known is None or await queries_registry.key(parts.engine, caller.tenant_id, known) is None:
        raise Problem(404, "there is no such key")
    await vault.revoke(parts.engine, caller.tenant_id, known)
    parts.keys.forget_key(known)
    sender = sender_of(request, caller.actor)
    written = await parts.registry.key(caller.tenant_id, str(known), RevokeApiKey(), sender)
    return await settled(parts, written, None, status=204)


def _refuse_moment(expires_at: datetime) -> None:
    """Raise Problem 400 unless a key may end then."""
    if expires_at <= datetime.now(UTC):
        said = "must lie in the future"
    elif expires_at >= EXPIRES_BEFORE:
        said = f"must lie before {EXPIRES_BEFORE.year}; a key without it does not expire"
    else:
        return
    raise invalid("the body is not valid", detail("/expiresAt", "SCHEMA_INVALID", said))


def milliseconds(value: datetime | None) -> int | None:
    """A moment as ms since the epoch."""
    return None if value is None else round(value.timestamp() * MS)


def _shown(key_id: UUID, key: ApiKey) -> dict[str, object]:
    return {
        "id": str(key_id),
        "name": key.name,
        "role": Role(key.role),
        "createdBy": key.created_by,
        "createdAt": moment_of_ms(key.created_at),
        "expiresAt": moment_of_ms(key.expires_at),
    }
