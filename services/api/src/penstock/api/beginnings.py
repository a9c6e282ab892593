"""What every new run passes before its command is sent: how much waits, and the tenant's day."""

from uuid import UUID

from penstock.api import queries_runs
from penstock.api.commands import Sender
from penstock.api.errors import Problem
from penstock.api.parts import Parts
from penstock.domain.run.commands import StartRun
from penstock.domain.tenant.events import Limits
from penstock.infra.postgres.engine import Row
from penstock.messages.envelope import Reply


async def open_for(parts: Parts, tenant_id: str) -> Limits:
    """The limits of a tenant that may begin runs now.

    Raises Problem 429 while too much waits, `Unavailable` where a server is away.
    """
    await parts.require_servers()
    parts.pressure.refuse(tenant_id)
    return await parts.limits.of(tenant_id)


async def sent(
    parts: Parts, tenant_id: str, run_id: UUID, command: StartRun, sender: Sender
) -> Reply | None:
    """The answer to the command that begins a run, which counts against the tenant's day.

    A request that comes again counts once. Where it is not known whether the command was stored,
    it counts. Raises Problem 429 for one run too many, and as `Commands.send` does.
    """
    most = (await parts.limits.of(tenant_id)).max_executions_per_day
    is_counted = not parts.commands.accepted(tenant_id, str(run_id))
    if is_counted:
        await parts.executions.take(tenant_id, most)
    begin = f"{run_id}/start"
    try:
        reply = await parts.commands.send(tenant_id, str(run_id), command, id=begin, sender=sender)
    except Problem:
        if is_counted:
            parts.executions.give_back(tenant_id, most)
        raise
    if is_counted and reply is not None and reply.replayed:
        parts.executions.give_back(tenant_id, most)
    return reply


async def earlier(parts: Parts, tenant_id: str, run_id: UUID) -> Row | None:
    """The run that an earlier request under the same Idempotency-Key has begun, None for none.

    Raises Problem 409 where it is kept no more: its history cannot begin once more, for the archive
    has the hashes of the first one.
    """
    row = await queries_runs.earlier(parts.engine, tenant_id, run_id)
    if row is not None and row["is_removed"]:
        said = "this idempotency key was used for a run that is kept no more"
        raise Problem(409, said, code="IDEMPOTENCY_CONFLICT")
    return row
