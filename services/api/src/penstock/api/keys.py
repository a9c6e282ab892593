"""Credentials to principals: tokens, API keys by the vault or a memory of it, the admin's own key.

An API key may have been hashed with the pepper of an older key-encryption key.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

from penstock.api.credentials import hash_of, key_id_of, same
from penstock.api.identity.bearers import Bearers
from penstock.api.identity.jws import looks_signed
from penstock.domain.identity import Principal, Role
from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.tenant import tenant_session

REMEMBERED_S = 5.0
"""A revocation is heard at once; this bounds what one that was missed can do."""
REMEMBERED_MAX = 10_000

FIND = "select * from vault.find_api_key(%(id)s)"
FIND_TENANT = "select tenant_id from penstock.tenants where deleted_at is null"
FIND_HISTORY = "select tenant_id from penstock.chain_heads limit 1"

TOKEN, UNKNOWN = "token", "unknown"
"""What credentials claim to be that name no key."""

PLATFORM_ADMIN = Principal(actor="admin:platform", role=Role.PLATFORM_ADMIN)


class Remembered(NamedTuple):
    """A key that was found, by the hash of its text. until: of the monotonic clock."""

    until: float
    key_id: UUID
    tenant_id: UUID
    expires_at: datetime | None
    principal: Principal


class Keys:
    """Tells who a credential belongs to."""

    def __init__(
        self, engine: Engine, *, peppers: Sequence[bytes], admin_key: str, bearers: Bearers
    ) -> None:
        self._engine = engine
        self._peppers = peppers
        self._bearers = bearers
        self._admin_hash = hash_of(admin_key, peppers[0])
        self._found: OrderedDict[bytes, Remembered] = OrderedDict()
        self._tenants: OrderedDict[UUID, float] = OrderedDict()
        self._refused: OrderedDict[UUID, UUID] = OrderedDict()

    async def principal(self, text: str) -> Principal | None:
        """Who presents the credential `text`; None when it opens nothing."""
        digest = hash_of(text, self._peppers[0])
        if same(digest, self._admin_hash):
            return PLATFORM_ADMIN
        if looks_signed(text):
            return await self._bearers.principal(text)
        remembered = self._found.get(digest)
        if remembered is None or remembered.until < monotonic():
            remembered = await self._look_up(text, digest)
        if remembered is None:
            return None
        if is_over(remembered.expires_at):
            self._refuse(remembered.key_id, remembered.tenant_id)
            return None
        return remembered.principal

    def claimed(self, text: str) -> tuple[str, str | None]:
        """What a credential that was just refused claims to be, and the tenant whose that is."""
        if looks_signed(text):
            return TOKEN, None
        key_id = key_id_of(text)
        if key_id is None:
            return UNKNOWN, None
        tenant_id = self._refused.get(key_id)
        return f"key:{key_id}", None if tenant_id is None else str(tenant_id)

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

    async def has_history(self, tenant_id: UUID) -> bool:
        """Whether there is such a tenant, or was one."""
        async with tenant_session(self._engine, tenant_id) as session:
            return await session.one(FIND_HISTORY) is not None

    def forget_key(self, key_id: UUID) -> None:
        """Ask the vault again: something happened to the key."""
        self._forget([d for d, found in self._found.items() if found.key_id == key_id])

    def forget_tenant(self, tenant_id: UUID) -> None:
        """Ask again for the tenant and all its keys."""
        self._tenants.pop(tenant_id, None)
        self._forget([d for d, found in self._found.items() if found.tenant_id == tenant_id])

    def _forget(self, digests: list[bytes]) -> None:
        for digest in digests:
            del self._found[digest]

    async def _look_up(self, text: str, digest: bytes) -> Remembered | None:
        """What the vault has of the key; what it does not have is not remembered."""
        self._found.pop(digest, None)
        key_id = key_id_of(text)
        if key_id is None:
            return None
        async with self._engine.transaction() as session:
            row = await session.one(FIND, {"id": key_id})
        if row is None:
            return None
        fits = any(same(hash_of(text, pepper), row["hash"]) for pepper in self._peppers)
        if row["revoked_at"] is not None or not fits:
            self._refuse(key_id, row["tenant_id"])
            return None
        principal = Principal(
            actor=f"key:{key_id}", role=Role(row["role"]), tenant_id=str(row["tenant_id"])
        )
        found = Remembered(
            monotonic() + REMEMBERED_S, key_id, row["tenant_id"], row["expires_at"], principal
        )
        self._found[digest] = found
        trim(self._found)
        return found

    def _refuse(self, key_id: UUID, tenant_id: UUID) -> None:
        """Remember whose key it was that opened nothing."""
        self._refused[key_id] = tenant_id
        trim(self._refused)


def trim(remembered: OrderedDict[Any, Any]) -> None:
    """Forget the oldest beyond the bound."""
    if len(remembered) > REMEMBERED_MAX:
        remembered.popitem(last=False)


def is_over(expires_at: datetime | None) -> bool:
    """Whether a key's time has passed."""
    return expires_at is not None and expires_at <= datetime.now(UTC)
