"""Hashes of API keys in the vault, written before the event of the key they belong to.

A hash is no event, and a rebuild does not touch it. Where the event fails, the client was told so
and never saw the key: what is left behind is a hash of a secret that nobody has.
"""

from datetime import datetime
from uuid import UUID

from penstock.domain.identity import Role
from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.tenant import tenant_session

KEEP = """
insert into vault.api_keys (tenant_id, id, hash, role, expires_at)
values (%(tenant)s, %(id)s, %(hash)s, %(role)s, %(expires_at)s)
on conflict (tenant_id, id) do nothing
"""
REVOKE = """
update vault.api_keys set revoked_at = now()
where tenant_id = %(tenant)s and revoked_at is null and (%(id)s::uuid is null or id = %(id)s)
"""

DESTROY = "select vault.destroy_data_keys(%(tenant)s)"


async def keep_hash(
    engine: Engine,
    tenant_id: str,
    key_id: UUID,
    digest: bytes,
    *,
    role: Role,
    expires_at: datetime | None = None,
) -> None:
    """Keep a new key's hash. The same key again changes nothing."""
    wanted = {
        "tenant": tenant_id,
        "id": key_id,
        "hash": digest,
        "role": str(role),
        "expires_at": expires_at,
    }
    async with tenant_session(engine, tenant_id) as session:
        await session.run(KEEP, wanted)


async def revoke(engine: Engine, tenant_id: str, key_id: UUID) -> None:
    """Let one key open nothing any more."""
    async with tenant_session(engine, tenant_id) as session:
        await session.run(REVOKE, {"tenant": tenant_id, "id": key_id})


async def revoke_all(engine: Engine, tenant_id: str) -> None:
    """Let no key of the tenant open anything any more."""
    async with tenant_session(engine, tenant_id) as session:
        await session.run(REVOKE, {"tenant": tenant_id, "id": None})


async def destroy_keys(engine: Engine, tenant_id: str) -> None:
    """Let nobody ever open again what the tenant's data keys have sealed. A repeat changes nothing.

    Processes that hear of the deletion have forgotten them by then (`penstock.infra.farewells`);
    one that does not uses what it has at hand for `keyring.data_keys.HELD_S` at most.
    """
    async with engine.transaction() as session:
        await session.one(DESTROY, {"tenant": tenant_id})
