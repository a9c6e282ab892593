"""What a tenant calls by a name, as the read models have it: secrets, connections, variables.

Found, listed, and not added to or renamed where that may not be. Of the first two the rows hold
everything but what is secret.
"""

from penstock.api.errors import Problem, detail, invalid
from penstock.api.pages import After
from penstock.api.queries_registry import following
from penstock.api.runnable import uuid_or_none
from penstock.domain.errors import Conflict
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
LIVING_MAX = 1000
"""Of a tenant, of each table. Counted in the read models: a few more may get in at once."""

SECRETS = "secrets"
CONNECTIONS = "connections"
VARIABLES = "variables"


async def known(engine: Engine, table: str, tenant_id: str, ref: str) -> Row:
    """A living one by name or id; no name looks like an id. Raises Problem 404."""
    wanted = {"tenant": tenant_id, "ref": ref, "id": uuid_or_none(ref)}
    async with tenant_session(engine, tenant_id) as session:
        row = await session.one(ONE.format(table=table), wanted)
    if row is None:
        raise Problem(404, f"there is no such {table.removesuffix('s')}")
    return row


async def listed(
    engine: Engine, table: str, tenant_id: str, *, after: After | None, limit: int
) -> list[Row]:
    """Living ones, newest first."""
    wanted = {"tenant": tenant_id, **following(after), "limit": limit}
    async with tenant_session(engine, tenant_id) as session:
        return await session.all(PAGE.format(table=table), wanted)


async def refuse_full(engine: Engine, table: str, tenant_id: str) -> None:
    """Raise Conflict where the tenant has as many as it may."""
    async with tenant_session(engine, tenant_id) as session:
        row = await session.one(COUNT.format(table=table), {"tenant": tenant_id})
    if row is not None and row["living"] >= LIVING_MAX:
        raise Conflict(f"a tenant has at most {LIVING_MAX} {table}", code="LIMIT_EXCEEDED")


def refuse_rename(asked: str | None, row: Row) -> None:
    """Raise Problem 400 where a change names another thing than it changes."""
    if asked not in {None, row["name"]}:
        fault = detail("/name", "SCHEMA_INVALID", f"is {row['name']} and cannot be changed")
        raise invalid("the body is not valid", fault)
