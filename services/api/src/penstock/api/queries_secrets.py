"""Secrets and connections as the read models have them: everything but what is secret."""

from penstock.api.pages import After
from penstock.api.queries_registry import following
from penstock.api.runnable import uuid_or_none
from penstock.infra.postgres.engine import Engine, Row
from penstock.infra.postgres.tenant import tenant_session

ONE = """
select * from penstock.{table}
where tenant_id = %(tenant)s and deleted_at is null and (name = %(ref)s or id = %(id)s)
"""
PAGE = """
select * from penstock.{table}
where tenant_id = %(tenant)s and deleted_at is null
  and (%(after_at)s::timestamptz is null or (created_at, id) < (%(after_at)s, %(after_id)s))
order by created_at desc, id desc limit %(limit)s
"""
COUNT = """
select count(*) as living from penstock.{table}
where tenant_id = %(tenant)s and deleted_at is null
"""
SECRETS = "secrets"
CONNECTIONS = "connections"


async def one(engine: Engine, table: str, tenant_id: str, ref: str) -> Row | None:
    """A living secret or connection by name or id; no name looks like an id."""
    wanted = {"tenant": tenant_id, "ref": ref, "id": uuid_or_none(ref)}
    async with tenant_session(engine, tenant_id) as session:
        return await session.one(ONE.format(table=table), wanted)


async def listed(
    engine: Engine, table: str, tenant_id: str, *, after: After | None, limit: int
) -> list[Row]:
    """Living ones, newest first."""
    wanted = {"tenant": tenant_id, **following(after), "limit": limit}
    async with tenant_session(engine, tenant_id) as session:
        return await session.all(PAGE.format(table=table), wanted)


async def living(engine: Engine, table: str, tenant_id: str) -> int:
    """How many the tenant has."""
    async with tenant_session(engine, tenant_id) as session:
        row = await session.one(COUNT.format(table=table), {"tenant": tenant_id})
    return int(row["living"]) if row is not None else 0
