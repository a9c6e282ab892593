"""Variables as the read models have them."""

from collections.abc import Collection
from typing import Any

import msgspec

from penstock.api.answers import moment
from penstock.api.payloads import Allowance, Payloads
from penstock.domain.payload import Payload
from penstock.infra.postgres.engine import Engine, Row
from penstock.infra.postgres.tenant import tenant_session

NAMED = """
select name, value from penstock.variables
where tenant_id = %(tenant)s and deleted_at is null and name = any(%(names)s)
"""

Shown = dict[str, Any]

_decode = msgspec.json.Decoder(Payload).decode


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
