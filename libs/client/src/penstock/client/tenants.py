"""Calls about tenants (the platform admin's) and about a tenant's API keys."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from penstock.client.calls import Call, delete, encoded, get, json_body, reading, segment
from penstock.client.models import ApiKey, Model, Page, Tenant


class Deletion(Model, frozen=True, kw_only=True):
    """What is left of a deleted tenant: the proof that nothing else is, None until then.

    rows: how many were removed, by table.
    """

    tenant_id: str
    deleted_at: datetime
    erased_at: datetime | None = None
    keys_destroyed_at: datetime | None = None
    data_keys: int | None = None
    rows: dict[str, int] | None = None
    objects: int | None = None
    object_bytes: int | None = None


def create_tenant(name: str, *, config: Mapping[str, Any] | None = None) -> Call[Tenant]:
    """Make a tenant; the answer alone holds `admin_api_key`."""
    body, headers = json_body(name=name, config=config)
    return Call(
        method="POST",
        path="/api/tenants",
        read=reading(Tenant),
        headers={**headers, "Idempotency-Key": uuid4().hex},
        body=body,
        repeatable=True,
    )


def get_tenant(tenant_id: str) -> Call[Tenant]:
    """One tenant. Raises NotFound."""
    return get(f"/api/tenants/{segment(tenant_id)}", Tenant)


def list_tenants(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Tenant]]:
    """A page of tenants. limit: 1 to 200."""
    return get("/api/tenants", Page[Tenant], limit=limit, cursor=cursor)


def update_tenant(tenant_id: str, patch: Mapping[str, Any]) -> Call[Tenant]:
    """Change a tenant by a JSON merge patch: null removes a member. Raises NotFound, Invalid."""
    body, headers = encoded(patch)
    return Call(
        method="PATCH",
        path=f"/api/tenants/{segment(tenant_id)}",
        read=reading(Tenant),
        headers=headers,
        body=body,
        repeatable=True,
    )


def delete_tenant(tenant_id: str) -> Call[None]:
    """Remove a tenant and all that it has, which goes on in the background. Raises NotFound."""
    return delete(f"/api/tenants/{segment(tenant_id)}")


def tenant_deletion(tenant_id: str) -> Call[Deletion]:
    """How far the removal of a deleted tenant is. Raises NotFound."""
    return get(f"/api/tenants/{segment(tenant_id)}/deletion", Deletion)


def create_api_key(name: str, *, role: str, expires_at: datetime | None = None) -> Call[ApiKey]:
    """Make a key of this tenant with a role; the answer alone holds `key`."""
    body, headers = json_body(name=name, role=role, expiresAt=expires_at)
    return Call(
        method="POST",
        path="/api/api-keys",
        read=reading(ApiKey),
        headers={**headers, "Idempotency-Key": uuid4().hex},
        body=body,
        repeatable=True,
    )


def list_api_keys(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[ApiKey]]:
    """A page of this tenant's keys, without the secrets."""
    return get("/api/api-keys", Page[ApiKey], limit=limit, cursor=cursor)


def delete_api_key(key_id: str) -> Call[None]:
    """Make a key worthless. Raises NotFound."""
    return delete(f"/api/api-keys/{segment(key_id)}")
