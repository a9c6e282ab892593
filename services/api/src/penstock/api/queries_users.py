"""Users as the read models have them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from penstock.api.answers import moment
from penstock.api.pages import After
from penstock.api.payloads import Allowance, Payloads
from penstock.api.queries_registry import following
from penstock.domain.identity import Role
from penstock.infra.postgres.engine import Engine, Row
from penstock.infra.postgres.tenant import tenant_session

USER = """
select * from penstock.users
where tenant_id = %(tenant)s and id = %(id)s and removed_at is null
"""
USERS = """
select * from penstock.users
where tenant_id = %(tenant)s and removed_at is null
  and (%(after_at)s::timestamptz is null or (created_at, id) < (%(after_at)s, %(after_id)s))
order by created_at desc, id desc limit %(limit)s
"""

Shown = dict[str, Any]


async def user(engine: Engine, tenant_id: str | UUID, user_id: UUID) -> Row | None:
    """A user who is not removed."""
    async with tenant_session(engine, tenant_id) as session:
        return await session.one(USER, {"tenant": tenant_id, "id": user_id})


async def users(engine: Engine, tenant_id: str, *, after: After | None, limit: int) -> list[Row]:
    """Users who are not removed, newest first."""
    wanted = {"tenant": tenant_id, **following(after), "limit": limit}
    async with tenant_session(engine, tenant_id) as session:
        return await session.all(USERS, wanted)


async def shown_users(rows: Sequence[Row], payloads: Payloads) -> list[Shown]:
    """Users as clients see them."""
    allowance = Allowance()
    return [shown(row, await profile_of(row, payloads, allowance)) for row in rows]


async def profile_of(
    row: Row, payloads: Payloads, allowance: Allowance | None = None
) -> dict[str, str]:
    """Who a user is: `{email, name}`."""
    text = await payloads.opened(row["profile"], allowance or Allowance())
    found = msgspec.json.decode(text)
    return {"email": str(found.get("email", "")), "name": str(found.get("name", ""))}


def shown(row: Row, profile: dict[str, str]) -> Shown:
    """One user as clients see them."""
    return {
        "id": str(row["id"]),
        "email": profile["email"],
        "name": profile["name"],
        "role": Role(row["role"]),
        "status": row["status"],
        "createdBy": row["created_by"],
        "createdAt": moment(row["created_at"]),
        "acceptedAt": moment(row["accepted_at"]),
    }
