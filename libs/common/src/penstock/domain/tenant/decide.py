"""The rules for tenants and their API keys. A command that already took effect adds nothing."""

from typing import assert_never

from penstock.domain.decider import Decider
from penstock.domain.errors import Conflict, NotFound
from penstock.domain.idempotency import CODE
from penstock.domain.tenant.commands import (
    ApiKeyCommand,
    ChangeTenant,
    CreateApiKey,
    CreateTenant,
    DeleteTenant,
    RecordErasure,
    RevokeApiKey,
    TenantCommand,
)
from penstock.domain.tenant.events import (
    ApiKeyCreated,
    ApiKeyEvent,
    ApiKeyRevoked,
    TenantConfigured,
    TenantCreated,
    TenantDeleted,
    TenantErased,
    TenantEvent,
    TenantRenamed,
)
from penstock.domain.tenant.state import ApiKey, Tenant, evolve_key, evolve_tenant

DELETED = "TENANT_DELETED"
LIVES = "TENANT_LIVES"


def decide_tenant(
    command: TenantCommand, tenant: Tenant | None, /, *, at: int
) -> list[TenantEvent]:
    """The events that `command` adds to a tenant's history. at: now, ms since the epoch.

    Raises Conflict when the id was given to another request, NotFound without a living tenant.
    """
    match command:
        case CreateTenant():
            return create_tenant(command, tenant, at)
        case ChangeTenant():
            return change_tenant(command, tenant)
        case DeleteTenant():
            if tenant is None:
                raise NotFound
            return [TenantDeleted(deleted_at=at)] if tenant.deleted_at is None else []
        case RecordErasure():
            return record_erasure(command, tenant, at)
        case _:
            assert_never(command)


def create_tenant(command: CreateTenant, tenant: Tenant | None, at: int) -> list[TenantEvent]:
    """The tenant's first event, or nothing when this very request made it before."""
    if tenant is not None:
        refuse_other_request(tenant.request_hash, command.request_hash)
        if tenant.deleted_at is not None:
            raise Conflict("the tenant that this request made was deleted", code=DELETED)
        return []
    return [
        TenantCreated(
            name=command.name,
            config=command.config,
            created_at=at,
            created_by=command.created_by,
            request_hash=command.request_hash,
        )
    ]


def change_tenant(command: ChangeTenant, tenant: Tenant | None) -> list[TenantEvent]:
    """What differs from what is."""
    if tenant is None or tenant.deleted_at is not None:
        raise NotFound
    events: list[TenantEvent] = []
    if command.name is not None and command.name != tenant.name:
        events.append(TenantRenamed(name=command.name))
    if command.config is not None and command.config != tenant.config:
        events.append(TenantConfigured(config=command.config))
    return events


def record_erasure(command: RecordErasure, tenant: Tenant | None, at: int) -> list[TenantEvent]:
    """The proof, once, and only of a tenant that was deleted."""
    if tenant is None:
        raise NotFound
    if tenant.deleted_at is None:
        raise Conflict("the tenant has not been deleted", code=LIVES)
    if tenant.erased_at is not None:
        return []
    return [
        TenantErased(
            erased_at=at,
            keys_destroyed_at=command.keys_destroyed_at,
            data_keys=command.data_keys,
            rows=command.rows,
            objects=command.objects,
            object_bytes=command.object_bytes,
        )
    ]


def decide_key(command: ApiKeyCommand, key: ApiKey | None, /, *, at: int) -> list[ApiKeyEvent]:
    """The events that `command` adds to a key's history. at: now, ms since the epoch.

    Raises Conflict when the id was given to another request, NotFound without such a key.
    """
    match command:
        case CreateApiKey():
            if key is not None:
                refuse_other_request(key.request_hash, command.request_hash)
                return []
            return [created_key(command, at)]
        case RevokeApiKey():
            if key is None:
                raise NotFound
            return [ApiKeyRevoked(revoked_at=at)] if key.revoked_at is None else []
        case _:
            assert_never(command)


def created_key(command: CreateApiKey, at: int) -> ApiKeyCreated:
    """The key's first event."""
    return ApiKeyCreated(
        name=command.name,
        role=command.role,
        created_at=at,
        created_by=command.created_by,
        expires_at=command.expires_at,
        request_hash=command.request_hash,
    )


def refuse_other_request(first: str, second: str) -> None:
    """Raise Conflict unless both are one and the same request under an Idempotency-Key."""
    if not first or first != second:
        raise Conflict("this idempotency key was used with another request", code=CODE)


TENANT: Decider[TenantCommand, TenantEvent, Tenant | None] = Decider(
    initial=None, evolve=evolve_tenant, decide=decide_tenant
)
KEY: Decider[ApiKeyCommand, ApiKeyEvent, ApiKey | None] = Decider(
    initial=None, evolve=evolve_key, decide=decide_key
)
