"""Tenants, for the platform admin."""

from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec.structs import replace

from penstock.api import bodies, pages, queries_registry
from penstock.api.answers import answered, moment_of_ms
from penstock.api.auth import TenantsManager
from penstock.api.credentials import hash_of, new_key, repeated_key
from penstock.api.errors import Problem
from penstock.api.idempotency import Identity, identity, key_of
from penstock.api.identity import logins
from penstock.api.openapi import gives, gives_page_of, takes
from penstock.api.pages import Cursor, Limit
from penstock.api.parts import Parts, parts_of, sender_of
from penstock.api.registry import Written
from penstock.api.runnable import uuid_or_none
from penstock.api.schemas_registry import DeletionShown, NewTenant, TenantChange, TenantShown
from penstock.api.unsealing import rows_opened
from penstock.api.vault import destroy_keys, keep_hash, revoke_all
from penstock.api.writes import read_after, settled
from penstock.domain.identity import Principal, Role
from penstock.domain.ids import derived
from penstock.domain.tenant.commands import (
    ChangeTenant,
    CreateApiKey,
    CreateTenant,
    DeleteTenant,
)
from penstock.domain.tenant.events import TenantConfig
from penstock.domain.tenant.state import ApiKey, Tenant
from penstock.infra.keyring.data_keys import KeyGone
from penstock.infra.keyring.texts import Marks

PLATFORM = "platform"
FIRST_KEY = "admin"
SAID = ("name", "config")
"""Columns with what somebody has said in words."""

router = APIRouter(prefix="/api/tenants", tags=["tenants"])


@router.get("", responses=gives_page_of(TenantShown))
async def list_tenants(
    request: Request, _: TenantsManager, limit: Limit = pages.LIMIT_DEFAULT, cursor: Cursor = None
) -> Response:
    """All tenants, newest first."""
    parts = parts_of(request)
    await read_after(request, parts)
    of = pages.listing(request)
    after = pages.after(cursor, of)
    rows = await queries_registry.tenants(parts.engine, after=after, limit=limit + 1)
    rows = await rows_opened(parts.seals, rows, *SAID)
    shown = queries_registry.shown_tenant
    return answered(pages.page(rows, limit, shown, of=of, key="tenant_id"))


@router.post(
    "", status_code=201, responses=gives(TenantShown, status=201), openapi_extra=takes(NewTenant)
)
async def create_tenant(request: Request, caller: TenantsManager) -> Response:
    """Make a tenant, and the first key of its admin, shown in this answer only."""
    parts = parts_of(request)
    sent = await bodies.value(request)
    asked = bodies.fitted(sent, NewTenant)
    made = identity(request, PLATFORM, sent)
    sender = sender_of(request, caller.actor)
    marks = await marks_of(parts, made.id)
    config = msgspec.convert(asked.config.model_dump(by_alias=True), TenantConfig)
    command = CreateTenant(
        name=marks.closed(asked.name),
        config=closed(config, marks),
        created_by=caller.actor,
        request_hash=made.request_hash,
    )
    tenant = await parts.registry.tenant(str(made.id), command, sender)
    text, key = await _first_key(request, parts, caller, made)
    body = {**await _shown(parts, made.id, tenant.state), "adminApiKey": text}
    headers = {"Location": f"/api/tenants/{made.id}"}
    return await settled(parts, key, body, status=201, headers=headers)


@router.get("/{tenant_id}", responses=gives(TenantShown))
async def get_tenant(request: Request, tenant_id: str, _: TenantsManager) -> Response:
    """One tenant."""
    parts = parts_of(request)
    await read_after(request, parts)
    row = await queries_registry.tenant(parts.engine, _id(tenant_id))
    if row is None:
        raise _unknown()
    (opened,) = await rows_opened(parts.seals, [row], *SAID)
    return answered(queries_registry.shown_tenant(opened))


@router.get("/{tenant_id}/deletion", responses=gives(DeletionShown))
async def get_deletion(request: Request, tenant_id: str, _: TenantsManager) -> Response:
    """The proof that nothing is left of a deleted tenant; null in its place while something is."""
    parts = parts_of(request)
    await read_after(request, parts)
    row = await queries_registry.deletion(parts.engine, _id(tenant_id))
    if row is None:
        raise _unknown()
    return answered(queries_registry.shown_deletion(row))


@router.patch("/{tenant_id}", responses=gives(TenantShown), openapi_extra=takes(TenantChange))
async def change_tenant(request: Request, tenant_id: str, caller: TenantsManager) -> Response:
    """Rename or configure, as a JSON merge patch."""
    parts = parts_of(request)
    known = _id(tenant_id)
    row = await queries_registry.tenant(parts.engine, known)
    if row is None:
        raise _unknown()
    sent = await bodies.value(request)
    asked = bodies.fitted(sent, TenantChange)
    marks = await marks_of(parts, known)
    config = None
    if asked.config is not None:
        (opened,) = await rows_opened(parts.seals, [row], *SAID)
        stored = msgspec.json.decode(opened["config"])
        patched = merged(stored, sent.get("config", {}))
        fitted = bodies.fitted({"config": patched}, TenantChange).model_dump(by_alias=True)
        config = closed(msgspec.convert(fitted["config"], TenantConfig), marks)
    name = None if asked.name is None else marks.closed(asked.name)
    command = ChangeTenant(name=name, config=config)
    sender = sender_of(request, caller.actor)
    written = await parts.registry.tenant(str(known), command, sender)
    return await settled(parts, written, await _shown(parts, known, written.state))


@router.delete("/{tenant_id}", status_code=204, responses=gives(None, status=204))
async def delete_tenant(request: Request, tenant_id: str, caller: TenantsManager) -> Response:
    """Let nobody act for the tenant any more, nor open what it has said.

    What it has is removed in the background, and what fails here after the event is repeated there:
    `GET /tenants/{id}/deletion` says how far that is.
    """
    parts = parts_of(request)
    known = _id(tenant_id)
    if await queries_registry.tenant(parts.engine, known) is None:
        raise _unknown()
    await revoke_all(parts.engine, str(known))
    await logins.forget_tenant(parts.engine, str(known))
    sender = sender_of(request, caller.actor)
    written = await parts.registry.tenant(str(known), DeleteTenant(), sender)
    parts.seals.close(str(known))
    await destroy_keys(parts.engine, str(known))
    parts.keys.forget_tenant(known)
    parts.accounts.people.forget(known)
    return await settled(parts, written, None, status=204)


async def _first_key(
    request: Request, parts: Parts, caller: Principal, made: Identity
) -> tuple[str, Written[ApiKey]]:
    """The admin's key; a request that is repeated under its Idempotency-Key gets the same one."""
    key_id = UUID(derived(str(made.id), FIRST_KEY))
    repeatable = key_of(request) is not None
    key = repeated_key(key_id, parts.pepper) if repeatable else new_key(key_id)
    tenant_id = str(made.id)
    await keep_hash(
        parts.engine, tenant_id, key_id, hash_of(key.text, parts.pepper), role=Role.ADMIN
    )
    command = CreateApiKey(
        name=FIRST_KEY,
        role=Role.ADMIN,
        created_by=caller.actor,
        request_hash=made.request_hash,
    )
    sender = sender_of(request, caller.actor)
    return key.text, await parts.registry.key(tenant_id, str(key_id), command, sender)


def merged(stored: Any, patch: Any) -> Any:
    """`stored` after a JSON merge patch (RFC 7396); null takes a member away."""
    if not isinstance(patch, dict):
        return patch
    result = dict(stored) if isinstance(stored, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


async def marks_of(parts: Parts, tenant_id: UUID) -> Marks:
    """What closes what is said of a tenant. Raises Problem 409 for one that was deleted."""
    try:
        return await parts.seals.texts.marks(str(tenant_id))
    except KeyGone:
        raise Problem(409, "this tenant was deleted", code="TENANT_DELETED") from None


def closed(config: TenantConfig, marks: Marks) -> TenantConfig:
    """A config as events have it: what it names is closed, its numbers are not."""
    return replace(config, egress_allow=tuple(map(marks.closed, config.egress_allow)))


async def _shown(parts: Parts, tenant_id: UUID, tenant: Tenant) -> dict[str, Any]:
    said = {"name": tenant.name, "config": msgspec.to_builtins(tenant.config)}
    return {
        "id": str(tenant_id),
        **await parts.seals.texts.shown(str(tenant_id), said),
        "createdAt": moment_of_ms(tenant.created_at),
    }


def _id(text: str) -> UUID:
    found = uuid_or_none(text)
    if found is None:
        raise _unknown()
    return found


def _unknown() -> Problem:
    return Problem(404, "there is no such tenant")
