"""Variables as the read models have them."""

from collections.abc import Collection
from typing import Any

import msgspec

from penstock.api.answers import moment
from penstock.api.pages import After
from penstock.api.payloads import Allowance, Payloads
from penstock.api.queries_registry import following
from penstock.api.runnable import uuid_or_none
from penstock.domain.payload import Payload
from penstock.infra.postgres.engine import Engine, Row
from penstock.infra.postgres.tenant import tenant_session

VARIABLE = """
select * from penstock.variables
where tenant_id = %(tenant)s and deleted_at is null and (name = %(ref)s or id = %(id)s)
"""
VARIABLES = """
select * from penstock.variables
where tenant_id = %(tenant)s and deleted_at is null
  and (%(after_at)s::timestamptz is null or (created_at, id) < (%(after_at)s, %(after_id)s))
order by created_at desc, id desc limit %(limit)s
"""
COUNT = """
select count(*) as living from penstock.variables
where tenant_id = %(tenant)s and deleted_at is null
"""

NAMED = """
select name, value from penstock.variables
where tenant_id = %(tenant)s and deleted_at is null and name = any(%(names)s)
"""

Shown = dict[str, Any]

_decode = msgspec.json.Decoder(Payload).decode


async def variable(engine: Engine, tenant_id: str, ref: str) -> Row | None:
    """A living variable by name or id; no name looks like an id."""
    wanted = {"tenant": tenant_id, "ref": ref, "id": uuid_or_none(ref)}
    async with tenant_session(engine, tenant_id) as session:
        return await session.one(VARIABLE, wanted)


async def variables(
    engine: Engine, tenant_id: str, *, after: After | None, limit: int
) -> list[Row]:
    """Living variables, newest first."""
    wanted = {"tenant": tenant_id, **following(after), "limit": limit}
    async with tenant_session(engine, tenant_id) as session:
        return await session.all(VARIABLES, wanted)


async def living(engine: Engine, tenant_id: str) -> int:
    """How many variables the tenant has."""
    async with tenant_session(engine, tenant_id) as session:
        row = await session.one(COUNT, {"tenant": tenant_id})
    return int(row["living"]) if row is not None else 0


async def named(
    engine: Engine, tenant_id: str, names: Collection[str], payloads: Payloads
) -> bytes:
    """An object of the variables that there are of these names, as JSON text."""
    async with tenant_session(engine, tenant_id) as session:
        rows = await session.all(NAMED, {"tenant": tenant_id, "names": sorted(names)})
    allowance = Allowance()
    found = {row["name"]: await payloads.opened(row["value"], allowance) for row in rows}
    return msgspec.json.encode(found, order="sorted")


async def shown_variables(rows: list[Row], payloads: Payloads) -> list[Shown]:
    """Variables as clients see them."""
    allowance = Allowance()
    return [
        {
            "id": str(row["id"]),
            "name": row["name"],
            "value": await payloads.opened(row["value"], allowance),
            "description": await payloads.words(row["description"]),
            "createdBy": row["created_by"],
            "createdAt": moment(row["created_at"]),
            "updatedAt": moment(row["updated_at"]),
        }
        for row in rows
    ]
