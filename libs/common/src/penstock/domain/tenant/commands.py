"""What may be asked of a tenant or of one of its API keys."""

from msgspec import Struct

from penstock.domain.identity import Role
from penstock.domain.tenant.events import TenantConfig


class CreateTenant(Struct, frozen=True, kw_only=True):
    """Begin a tenant. A repeat with the same `request_hash` adds nothing."""

    name: str
    config: TenantConfig
    created_by: str
    request_hash: str = ""


class ChangeTenant(Struct, frozen=True, kw_only=True):
    """Rename or configure; None leaves as it is."""

    name: str | None = None
    config: TenantConfig | None = None


class DeleteTenant(Struct, frozen=True):
    """End the tenant."""


class RecordErasure(Struct, frozen=True, kw_only=True):
    """Put on record what was removed of a deleted tenant, now that nothing is left.

    The members are those of `TenantErased`.
    """

    keys_destroyed_at: int
    data_keys: int
    rows: dict[str, int]
    objects: int
    object_bytes: int


class CreateApiKey(Struct, frozen=True, kw_only=True):
    """Let a key whose hash is already in the vault be used."""

    name: str
    role: Role
    created_by: str
    expires_at: int | None = None
    request_hash: str = ""


class RevokeApiKey(Struct, frozen=True):
    """Let the key open nothing any more."""


TenantCommand = CreateTenant | ChangeTenant | DeleteTenant | RecordErasure
ApiKeyCommand = CreateApiKey | RevokeApiKey
