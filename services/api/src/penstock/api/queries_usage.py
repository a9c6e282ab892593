"""What a tenant uses, as the read models have it."""

from datetime import date, datetime
from typing import NamedTuple

from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.tenant import tenant_session

USED = """
select
    (select count(*) from penstock.workflows
     where tenant_id = %(tenant)s and deleted_at is null) as workflows,
    (select count(*) from penstock.runs
     where tenant_id = %(tenant)s and parent_run_id is null
       and created_at >= %(day)s::date) as executions,
    (select count(*) from penstock.runs
     where tenant_id = %(tenant)s and status in ('running', 'paused', 'waiting')) as running,
    (select count(*) from penstock.runs
     where tenant_id = %(tenant)s and status = 'queued') as queued,
    (select object_bytes + row_bytes from penstock.stored_bytes
     where tenant_id = %(tenant)s) as stored,
    (select measured_at from penstock.stored_bytes
     where tenant_id = %(tenant)s) as measured_at
"""


class Used(NamedTuple):
    """executions: runs begun in a day, without the children of others. running, queued: runs.

    stored: bytes of objects and rows, as they were at `measured_at`; None before the first time.
    """

    workflows: int
    executions: int
    running: int
    queued: int
    stored: int | None
    measured_at: datetime | None


async def used(engine: Engine, tenant_id: str, day: date) -> Used:
    """What a tenant has now, and has begun in a day (UTC)."""
    async with tenant_session(engine, tenant_id) as session:
        row = await session.one(USED, {"tenant": tenant_id, "day": day})
    assert row is not None, "counts answer one row"
    return Used(**row)
