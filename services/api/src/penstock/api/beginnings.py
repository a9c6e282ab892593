"""What every new run passes before its command is sent: how much waits, and the tenant's day."""

from uuid import UUID

from penstock.api import queries_runs
from penstock.api.commands import Sender
from penstock.api.errors import Problem
from penstock.api.parts import Parts
from penstock.domain.run.commands import StartRun
from penstock.domain.tenant.events import Limits
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
    it counts. Raises Problem 429 for one run too many, 409 for a run that is kept no more, and as
    `Commands.send` does.
    """
    if command.request_hash:
        await _refuse_removed(parts, tenant_id, run_id)
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


async def _refuse_removed(parts: Parts, tenant_id: str, run_id: UUID) -> None:
    """Raise Problem 409 where an Idempotency-Key stands for a run that is kept no more.

    Its history cannot begin once more: the archive has the hashes of the first one.
    """
    if await queries_runs.is_removed(parts.engine, tenant_id, str(run_id)):
        said = "this idempotency key was used for a run that is kept no more"
        raise Problem(409, said, code="IDEMPOTENCY_CONFLICT")
