"""Workflows as their readers find them: a tenant's own, and what others show to all tenants.

What is public is found by its id alone, and comes from functions of the database that show its
published versions and nobody's name. Whatever is not found here is unknown to its reader.
"""

from uuid import UUID

from penstock.api import queries_registry
from penstock.api.errors import Problem
from penstock.api.parts import Parts
from penstock.api.runnable import uuid_or_none
from penstock.api.unsealing import rows_opened
from penstock.infra.postgres.engine import Engine, Row

WORKFLOW = "select * from penstock.find_public_workflow(%(workflow)s)"
VERSIONS = "select * from penstock.list_public_versions(%(workflow)s, %(below)s, %(limit)s)"
VERSION = "select * from penstock.find_public_version(%(workflow)s, %(number)s, %(id)s)"


async def readable(parts: Parts, tenant_id: str, ref: str) -> Row:
    """A living workflow's row, for whoever reads in `tenant_id`'s name. Raises Problem 404.

    ref: an id; the key only of one's own. The row's `tenant_id` says whose it is: it has no
    `revision` unless it is the reader's own.
    """
    row = await queries_registry.workflow(parts.engine, tenant_id, ref)
    if row is None:
        row = await public_workflow(parts.engine, uuid_or_none(ref))
    if row is None:
        raise Problem(404, "there is no such workflow")
    (found,) = await rows_opened(parts.seals, [row], "name")
    return found


async def readable_versions(
    parts: Parts, tenant_id: str, workflow: Row, *, below: int | None, limit: int
) -> list[Row]:
    """The versions of a readable workflow, newest first, with numbers below `below`."""
    if is_own(tenant_id, workflow):
        return await queries_registry.versions(
            parts.engine, tenant_id, workflow["id"], below=below, limit=limit
        )
    wanted = {
        "workflow": workflow["id"],
        "below": queries_registry.NUMBER_MAX if below is None else below,
        "limit": limit,
    }
    async with parts.engine.transaction() as session:
        return await session.all(VERSIONS, wanted)


async def readable_version(parts: Parts, tenant_id: str, workflow: Row, ref: str) -> Row:
    """A version of a readable workflow, by number or id. Raises Problem 404."""
    if is_own(tenant_id, workflow):
        row = await queries_registry.version(parts.engine, tenant_id, workflow["id"], ref)
    else:
        row = await public_version(parts.engine, workflow["id"], ref)
    if row is None:
        raise Problem(404, "the workflow has no such version")
    return row


def is_own(tenant_id: str, row: Row) -> bool:
    """Whether the row is the reader's own tenant's."""
    return str(row["tenant_id"]) == tenant_id


async def public_workflow(engine: Engine, workflow: UUID | None) -> Row | None:
    """A workflow that is shown to all tenants."""
    async with engine.transaction() as session:
        return await session.one(WORKFLOW, {"workflow": workflow})


async def public_version(engine: Engine, workflow: UUID, ref: str) -> Row | None:
    """A published version of such a workflow, by number or id."""
    wanted = {"workflow": workflow, **queries_registry.version_named(ref)}
    async with engine.transaction() as session:
        return await session.one(VERSION, wanted)
