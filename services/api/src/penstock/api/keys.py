"""Credentials to principals: the vault, a short memory of it, and the platform admin's own key."""

from collections import OrderedDict
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

from penstock.api.credentials import hash_of, key_id_of, same
from penstock.domain.identity import Principal, Role
from penstock.infra.postgres.engine import Engine, Row
from penstock.infra.postgres.tenant import tenant_session

REMEMBERED_S = 5.0
"""A revocation is heard at once; this bounds what one that was missed can do."""
REMEMBERED_MAX = 10_000

FIND = "select * from vault.find_api_key(%(id)s)"
FIND_TENANT = "select tenant_id from penstock.tenants where deleted_at is null"

PLATFORM_ADMIN = Principal(actor="admin:platform", role=Role.PLATFORM_ADMIN)


class Remembered(NamedTuple):
    """A key as it was found; row is None for an id that the vault does not have."""

    until: float
    row: Row | None


class Keys:
    """Tells who a credential belongs to."""

    def __init__(self, engine: Engine, *, pepper: bytes, admin_key: str) -> None:
        self._engine = engine
        self._pepper = pepper
        self._admin_hash = hash_of(admin_key, pepper)
        self._found: OrderedDict[UUID, Remembered] = OrderedDict()
        self._tenants: OrderedDict[UUID, float] = OrderedDict()

    async def principal(self, text: str) -> Principal | None:
        """Who presents the credential `text`; None when it opens nothing."""
        digest = hash_of(text, self._pepper)
        if same(digest, self._admin_hash):
            return PLATFORM_ADMIN
        key_id = key_id_of(text)
        row = await self._row(key_id) if key_id is not None else None
        if row is None or not same(digest, bytes(row["hash"])) or not is_valid(row):
            return None
        return Principal(
            actor=f"key:{row['id']}", role=Role(row["role"]), tenant_id=str(row["tenant_id"])
        )

    async def has_tenant(self, tenant_id: UUID) -> bool:
        """Whether there is such a tenant; asked only for the platform admin."""
        if self._tenants.get(tenant_id, 0.0) > monotonic():
            return True
        async with tenant_session(self._engine, tenant_id) as session:
            found = await session.one(FIND_TENANT) is not None
        if found:
            self._tenants[tenant_id] = monotonic() + REMEMBERED_S
            trim(self._tenants)
        return found

    def forget_key(self, key_id: UUID) -> None:
        """Ask the vault again: something happened to the key."""
        self._found.pop(key_id, None)

    def forget_tenant(self, tenant_id: UUID) -> None:
        """Ask again for the tenant and all its keys."""
        self._tenants.pop(tenant_id, None)
        stale = [
            key_id
            for key_id, remembered in self._found.items()
            if remembered.row is not None and remembered.row["tenant_id"] == tenant_id
        ]
        for key_id in stale:
            del self._found[key_id]

    async def _row(self, key_id: UUID) -> Row | None:
        remembered = self._found.get(key_id)
        if remembered is not None and remembered.until > monotonic():
            return remembered.row
        async with self._engine.transaction() as session:
            row = await session.one(FIND, {"id": key_id})
        if row is not None:
            self._found[key_id] = Remembered(monotonic() + REMEMBERED_S, row)
            trim(self._found)
        return row


def trim(remembered: OrderedDict[UUID, Any]) -> None:
    """Forget the oldest beyond the bound."""
    if len(remembered) > REMEMBERED_MAX:
        remembered.popitem(last=False)


def is_valid(row: Row) -> bool:
    """Whether a key is neither revoked nor past its time."""
    expires_at: datetime | None = row["expires_at"]
    if row["revoked_at"] is not None:
        return False
    return expires_at is None or expires_at > datetime.now(UTC)
