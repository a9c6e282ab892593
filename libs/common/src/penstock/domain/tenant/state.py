"""A tenant and an API key as values, and the folds that make them; None is one without history."""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.identity import Role
from penstock.domain.tenant.events import (
    ApiKeyCreated,
    ApiKeyEvent,
    ApiKeyRevoked,
    TenantConfig,
    TenantConfigured,
    TenantCreated,
    TenantDeleted,
    TenantErased,
    TenantEvent,
    TenantRenamed,
)


class Tenant(Struct, frozen=True, kw_only=True):
    """A tenant as it stands. deleted_at: None while it lives. erased_at: None until nothing of it
    is left.
    """

    name: str
    config: TenantConfig
    created_at: int
    created_by: str
    request_hash: str = ""
    deleted_at: int | None = None
    erased_at: int | None = None


class ApiKey(Struct, frozen=True, kw_only=True):
    """An API key as it stands. `revoked_at` is None while it may be used."""

    name: str
    role: Role
    created_at: int
    created_by: str
    expires_at: int | None = None
    request_hash: str = ""
    revoked_at: int | None = None


def evolve_tenant(tenant: Tenant | None, event: TenantEvent) -> Tenant:
    """The tenant after `event`."""
    if isinstance(event, TenantCreated):
        return Tenant(
            name=event.name,
            config=event.config,
            created_at=event.created_at,
            created_by=event.created_by,
            request_hash=event.request_hash,
        )
    assert tenant is not None, "a tenant's history begins with TenantCreated"
    match event:
        case TenantRenamed(name=name):
            return replace(tenant, name=name)
        case TenantConfigured(config=config):
            return replace(tenant, config=config)
        case TenantDeleted(deleted_at=deleted_at):
            return replace(tenant, deleted_at=deleted_at)
        case TenantErased(erased_at=erased_at):
            return replace(tenant, erased_at=erased_at)
        case _:
            assert_never(event)


def evolve_key(key: ApiKey | None, event: ApiKeyEvent) -> ApiKey:
    """The key after `event`."""
    if isinstance(event, ApiKeyCreated):
        return ApiKey(
            name=event.name,
            role=event.role,
            created_at=event.created_at,
            created_by=event.created_by,
            expires_at=event.expires_at,
            request_hash=event.request_hash,
        )
    assert key is not None, "a key's history begins with ApiKeyCreated"
    match event:
        case ApiKeyRevoked(revoked_at=revoked_at):
            return replace(key, revoked_at=revoked_at)
        case _:
            assert_never(event)
