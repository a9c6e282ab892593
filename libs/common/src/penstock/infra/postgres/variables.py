"""A tenant's variables, for a run that is about to begin."""

from collections.abc import Collection
from uuid import UUID

import msgspec
from msgspec import Raw

from penstock.domain.payload import Payload
from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.tenant import tenant_session

NAMED = """
select name, value from penstock.variables
where tenant_id = %(tenant)s and deleted_at is null and name = any(%(names)s)
"""

_decode = msgspec.json.Decoder(Payload).decode


async def named(engine: Engine, tenant_id: str | UUID, names: Collection[str]) -> bytes:
    """An object of the variables that there are of these names, as JSON text."""
    found: dict[str, Raw] = {}
    if names:
        async with tenant_session(engine, tenant_id) as session:
            wanted = {"tenant": tenant_id, "names": sorted(names)}
            rows = await session.all(NAMED, wanted)
        found = {row["name"]: _decode(row["value"]).inline for row in rows}
    return msgspec.json.encode(found, order="sorted")
