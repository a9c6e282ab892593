"""Tenants, API keys, workflows and versions as the read models have them."""

from typing import Any
from uuid import UUID

from penstock.api.answers import members, moment
from penstock.api.pages import After
from penstock.api.runnable import uuid_or_none
from penstock.domain.identity import Role
from penstock.infra.postgres.engine import Engine, Row
from penstock.infra.postgres.tenant import tenant_session

TENANT = "select * from penstock.tenants where tenant_id = %(tenant)s and deleted_at is null"
DELETION = """
select t.tenant_id, t.deleted_at, e.erased_at, e.keys_destroyed_at, e.data_keys, e.rows, e.objects,
       e.object_bytes
from penstock.tenants t left join penstock.erasures e using (tenant_id)
where t.tenant_id = %(tenant)s and t.deleted_at is not null
"""
TENANTS = "select * from penstock.list_tenants(%(after_at)s, %(after_id)s, %(limit)s)"

KEYS = """
select * from penstock.api_keys
where tenant_id = %(tenant)s and revoked_at is null
  and (%(after_at)s::timestamptz is null or (created_at, id) < (%(after_at)s, %(after_id)s))
order by created_at desc, id desc limit %(limit)s
"""
KEY = "select * from penstock.api_keys where tenant_id = %(tenant)s and id = %(id)s"

SHOWN_WORKFLOW = """
select w.*, v.content_hash, v.definition
from penstock.workflows w
left join penstock.workflow_versions v
  on v.tenant_id = w.tenant_id and v.workflow_id = w.id
 and v.number = w.published_number
"""
WORKFLOW = f"""
{SHOWN_WORKFLOW}
where w.tenant_id = %(tenant)s and w.deleted_at is null and (w.key = %(ref)s or w.id = %(id)s)
order by w.key = %(ref)s desc limit 1
"""
WORKFLOWS = """
select w.* from penstock.workflows w
where w.tenant_id = %(tenant)s and w.deleted_at is null
  and (%(after_at)s::timestamptz is null or (w.created_at, w.id) < (%(after_at)s, %(after_id)s))
order by w.created_at desc, w.id desc limit %(limit)s
"""
WORKFLOW_ID = """
select id, revision from penstock.workflows w
where w.tenant_id = %(tenant)s and (w.key = %(ref)s or w.id = %(id)s)
order by w.key = %(ref)s desc limit 1
"""

KEYS_LIKE = """
select key from penstock.workflows
where tenant_id = %(tenant)s and (key = %(key)s or key like %(pattern)s)
limit 2000
"""

VERSIONS = """
select * from penstock.workflow_versions
where tenant_id = %(tenant)s and workflow_id = %(workflow)s and number < %(below)s
order by number desc limit %(limit)s
"""
VERSION = """
select * from penstock.workflow_versions
where tenant_id = %(tenant)s and workflow_id = %(workflow)s
  and (number = %(number)s or id = %(id)s)
"""

NUMBER_MAX = 2**31 - 1

Shown = dict[str, Any]


def following(after: After | None) -> dict[str, Any]:
    """The parameters that say after which row a page begins."""
    return {
        "after_at": after.created_at if after else None,
        "after_id": after.id if after else None,
    }


async def tenant(engine: Engine, tenant_id: UUID) -> Row | None:
    """A living tenant's row."""
    async with tenant_session(engine, tenant_id) as session:
        return await session.one(TENANT, {"tenant": tenant_id})


async def deletion(engine: Engine, tenant_id: UUID) -> Row | None:
    """How far the removal of a deleted tenant is; None for one that lives, or never was."""
    async with tenant_session(engine, tenant_id) as session:
        return await session.one(DELETION, {"tenant": tenant_id})


async def tenants(engine: Engine, *, after: After | None, limit: int) -> list[Row]:
    """Living tenants, newest first: the one look-up that crosses tenants, for their admin."""
    async with engine.transaction() as session:
        return await session.all(TENANTS, {**following(after), "limit": limit})


async def keys(engine: Engine, tenant_id: str, *, after: After | None, limit: int) -> list[Row]:
    """Keys that are not revoked, newest first."""
    wanted = {"tenant": tenant_id, **following(after), "limit": limit}
    async with tenant_session(engine, tenant_id) as session:
        return await session.all(KEYS, wanted)


async def key(engine: Engine, tenant_id: str, key_id: UUID) -> Row | None:
    """A key's row, revoked or not."""
    async with tenant_session(engine, tenant_id) as session:
        return await session.one(KEY, {"tenant": tenant_id, "id": key_id})


async def workflow(engine: Engine, tenant_id: str, ref: str) -> Row | None:
    """A living workflow by id or key, with its newest published version."""
    wanted = {"tenant": tenant_id, "ref": ref, "id": uuid_or_none(ref)}
    async with tenant_session(engine, tenant_id) as session:
        return await session.one(WORKFLOW, wanted)


async def workflow_id(engine: Engine, tenant_id: str, ref: str) -> Row | None:
    """The id of a workflow, deleted ones too: their runs stay readable."""
    wanted = {"tenant": tenant_id, "ref": ref, "id": uuid_or_none(ref)}
    async with tenant_session(engine, tenant_id) as session:
        return await session.one(WORKFLOW_ID, wanted)


async def workflows(
    engine: Engine, tenant_id: str, *, after: After | None, limit: int
) -> list[Row]:
    """Living workflows, newest first, without definitions."""
    wanted = {"tenant": tenant_id, **following(after), "limit": limit}
    async with tenant_session(engine, tenant_id) as session:
        return await session.all(WORKFLOWS, wanted)


async def keys_like(engine: Engine, tenant_id: str, key: str) -> set[str]:
    """The taken ones of `key`, `key-2`, …, of deleted workflows too."""
    escaped = key.replace("_", "\\_")
    wanted = {"tenant": tenant_id, "key": key, "pattern": f"{escaped}-%"}
    async with tenant_session(engine, tenant_id) as session:
        return {row["key"] for row in await session.all(KEYS_LIKE, wanted)}


async def versions(
    engine: Engine, tenant_id: str, workflow: UUID, *, below: int | None, limit: int
) -> list[Row]:
    """Versions, newest first, with numbers below `below`."""
    wanted = {
        "tenant": tenant_id,
        "workflow": workflow,
        "below": NUMBER_MAX if below is None else below,
        "limit": limit,
    }
    async with tenant_session(engine, tenant_id) as session:
        return await session.all(VERSIONS, wanted)


async def version(engine: Engine, tenant_id: str, workflow: UUID, ref: str) -> Row | None:
    """A version by number or id."""
    wanted = {"tenant": tenant_id, "workflow": workflow, **version_named(ref)}
    async with tenant_session(engine, tenant_id) as session:
        return await session.one(VERSION, wanted)


def version_named(ref: str) -> dict[str, Any]:
    """The parameters that say which version is meant: its number or its id."""
    number = int(ref) if ref.isascii() and ref.isdigit() and len(ref) < 10 else None
    return {"number": number, "id": uuid_or_none(ref)}


def shown_tenant(row: Row) -> Shown:
    """A tenant as clients see it."""
    return {
        "id": str(row["tenant_id"]),
        "name": row["name"],
        "config": members(row["config"]),
        "createdAt": moment(row["created_at"]),
    }


def shown_deletion(row: Row) -> Shown:
    """What is left of a deleted tenant: when it went, and the proof once nothing else is left."""
    return {
        "tenantId": str(row["tenant_id"]),
        "deletedAt": moment(row["deleted_at"]),
        "erasedAt": moment(row["erased_at"]),
        "keysDestroyedAt": moment(row["keys_destroyed_at"]),
        "dataKeys": row["data_keys"],
        "rows": members(row["rows"]),
        "objects": row["objects"],
        "objectBytes": row["object_bytes"],
    }


def shown_key(row: Row) -> Shown:
    """An API key as clients see it, without its secret."""
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "role": Role(row["role"]),
        "createdBy": row["created_by"],
        "createdAt": moment(row["created_at"]),
        "expiresAt": moment(row["expires_at"]),
    }


def shown_workflow(row: Row) -> Shown:
    """A workflow as clients see it, without its definition."""
    return {
        "id": str(row["id"]),
        "key": row["key"],
        "name": row["name"],
        "version": row["published_number"],
        "latestVersion": row["latest_number"],
        "pinnedVersion": row["pinned_number"],
        "visibility": row["visibility"],
        "createdBy": row["created_by"],
        "createdAt": moment(row["created_at"]),
    }


def shown_version(row: Row) -> Shown:
    """A version as clients see it, without its definition."""
    return {
        "id": str(row["id"]),
        "number": row["number"],
        "status": row["status"],
        "contentHash": row["content_hash"],
        "createdAt": moment(row["created_at"]),
        "createdBy": row["created_by"],
    }
