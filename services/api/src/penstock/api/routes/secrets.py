"""Secrets of a tenant: set and removed here, read by steps as `secrets.<name>`, shown to nobody."""

from typing import Any

from fastapi import APIRouter, Request, Response

from penstock.api import bodies, named, pages
from penstock.api.answers import answered, moment, moment_of_ms
from penstock.api.auth import SecretsManager, SecretsReader
from penstock.api.etags import etag, may_change
from penstock.api.idempotency import kept_to_one_request
from penstock.api.named import SECRETS, known, refuse_full, refuse_rename
from penstock.api.openapi import gives, gives_page_of, if_match, takes
from penstock.api.pages import Cursor, Limit
from penstock.api.parts import parts_of, sender_of
from penstock.api.schemas_secrets import NewSecret, SecretChange, SecretShown
from penstock.api.secret_writes import identity_of
from penstock.api.writes import read_after, settled
from penstock.domain.ids import derived
from penstock.domain.secret.commands import CreateSecret, RemoveSecret, ReplaceSecret
from penstock.domain.secret.state import Secret
from penstock.infra.postgres.engine import Row
from penstock.infra.secrets import Kind, Name

router = APIRouter(prefix="/api/secrets", tags=["secrets"])


@router.get("", responses=gives_page_of(SecretShown))
async def list_secrets(
    request: Request,
    caller: SecretsReader,
    limit: Limit = pages.LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """The names of the tenant's secrets, newest first, and who set them when."""
    parts = parts_of(request)
    await read_after(request, parts)
    of = pages.listing(request)
    after = pages.after(cursor, of)
    rows = await named.listed(parts.engine, SECRETS, caller.tenant_id, after=after, limit=limit + 1)
    page = pages.page(rows, limit, lambda row: row, of=of)
    return answered({**page, "items": [shown_row(row) for row in rows[:limit]]})


@router.post(
    "", status_code=201, responses=gives(SecretShown, status=201), openapi_extra=takes(NewSecret)
)
async def create_secret(request: Request, caller: SecretsManager) -> Response:
    """Make a secret; steps that begin a few seconds from now read it."""
    parts = parts_of(request)
    sent = await bodies.value(request)
    asked = bodies.fitted(sent, NewSecret)
    made = identity_of(request, parts, caller.tenant_id, sent)
    await kept_to_one_request(request, caller.tenant_id, caller.actor, made)
    await refuse_full(parts.engine, SECRETS, caller.tenant_id)
    secret_id = derived(caller.tenant_id, "secret", asked.name)
    command = CreateSecret(name=asked.name, by=caller.actor, request_hash=made.request_hash)
    sender = sender_of(request, caller.actor)
    written = await parts.registry.secret(caller.tenant_id, secret_id, command, sender)
    value = asked.value.get_secret_value().encode()
    name = Name(Kind.SECRET, asked.name)
    await parts.vault.keep(caller.tenant_id, name, value, seq=written.seq)
    headers = {"Location": f"/api/secrets/{asked.name}", "ETag": etag(written.state.revision)}
    body = shown(secret_id, written.state)
    return await settled(parts, written, body, status=201, headers=headers)


@router.get("/{secret}", responses=gives(SecretShown))
async def get_secret(request: Request, secret: str, caller: SecretsReader) -> Response:
    """Who set a secret when, by its name or id."""
    parts = parts_of(request)
    await read_after(request, parts)
    row = await known(parts.engine, SECRETS, caller.tenant_id, secret)
    return answered(shown_row(row), headers={"ETag": etag(row["revision"])})


@router.put(
    "/{secret}", responses=gives(SecretShown) | if_match(), openapi_extra=takes(SecretChange)
)
async def change_secret(request: Request, secret: str, caller: SecretsManager) -> Response:
    """Give it another value, which steps that begin a few seconds from now read."""
    parts = parts_of(request)
    row = await known(parts.engine, SECRETS, caller.tenant_id, secret)
    revisions = may_change(request)
    asked = await bodies.model(request, SecretChange)
    refuse_rename(asked.name, row)
    command = ReplaceSecret(by=caller.actor, revisions=revisions)
    sender = sender_of(request, caller.actor)
    secret_id = str(row["id"])
    written = await parts.registry.secret(caller.tenant_id, secret_id, command, sender)
    value = asked.value.get_secret_value().encode()
    name = Name(Kind.SECRET, row["name"])
    await parts.vault.keep(caller.tenant_id, name, value, seq=written.seq)
    headers = {"ETag": etag(written.state.revision)}
    return await settled(parts, written, shown(secret_id, written.state), headers=headers)


@router.delete("/{secret}", status_code=204, responses=gives(None, status=204) | if_match())
async def remove_secret(request: Request, secret: str, caller: SecretsManager) -> Response:
    """Let no step read it any more."""
    parts = parts_of(request)
    row = await known(parts.engine, SECRETS, caller.tenant_id, secret)
    command = RemoveSecret(by=caller.actor, revisions=may_change(request))
    sender = sender_of(request, caller.actor)
    written = await parts.registry.secret(caller.tenant_id, str(row["id"]), command, sender)
    name = Name(Kind.SECRET, row["name"])
    await parts.vault.remove(caller.tenant_id, name, seq=written.seq)
    return await settled(parts, written, None, status=204)


def shown(secret_id: str, secret: Secret) -> dict[str, Any]:
    """A secret as clients see it, from what the write left behind."""
    return {
        "id": secret_id,
        "name": secret.name,
        "createdBy": secret.created_by,
        "createdAt": moment_of_ms(secret.created_at),
        "updatedBy": secret.updated_by,
        "updatedAt": moment_of_ms(secret.updated_at),
    }


def shown_row(row: Row) -> dict[str, Any]:
    """A secret as clients see it."""
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "createdBy": row["created_by"],
        "createdAt": moment(row["created_at"]),
        "updatedBy": row["updated_by"],
        "updatedAt": moment(row["updated_at"]),
    }
