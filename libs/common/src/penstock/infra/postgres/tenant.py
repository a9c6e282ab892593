"""The one door to Postgres for everything that belongs to a tenant.

Row security shows the rows of the tenant that the transaction names, and none where it names
nobody. Only this module names one, and only for the length of a transaction.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from penstock.infra.postgres.engine import Engine, Session

NAME_TENANT = "select set_config('app.tenant', %(tenant)s, true)"


@asynccontextmanager
async def tenant_session(engine: Engine, tenant_id: UUID | str) -> AsyncIterator[Session]:
    """One transaction in which only `tenant_id`'s rows exist; committed unless the body raises.

    Raises ValueError for an id that is no UUID, `DatabaseUnavailable` when Postgres is away.
    """
    tenant = str(UUID(str(tenant_id)))
    async with engine.transaction(NAME_TENANT, {"tenant": tenant}) as session:
        yield session
