"""What the registry's events change: tenants, API keys, users, variables, workflows, versions.

They are rare beside those of runs, so each is a statement of its own.
"""

from typing import Any, assert_never

from penstock.domain.tenant.events import (
    ApiKeyCreated,
    ApiKeyEvent,
    ApiKeyRevoked,
    TenantConfig,
    TenantConfigured,
    TenantCreated,
    TenantDeleted,
    TenantErased,
    TenantEvent,
    TenantRenamed,
)
from penstock.domain.variable.events import (
    VariableChanged,
    VariableCreated,
    VariableDeleted,
    VariableEvent,
)
from penstock.domain.workflow.events import (
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowEvent,
    WorkflowRecreated,
    WorkflowRenamed,
    WorkflowVersionCreated,
    WorkflowVersionPinned,
    WorkflowVersionPublished,
    WorkflowVersionUnpinned,
    WorkflowVisibilityChanged,
)
from penstock.messages.catalogue import (
    CONNECTION,
    KEY,
    SECRET,
    TENANT,
    USERS,
    VARIABLE,
    WORKFLOW,
)
from penstock.messages.codec import Recorded
from penstock.projector.entry import Entry
from penstock.projector.ids import uuid_text
from penstock.projector.projections.secrets import connection_statement, secret_statement
from penstock.projector.projections.statements import Parameters, Statement
from penstock.projector.projections.statements import json_text as _json
from penstock.projector.projections.statements import moment as _moment
from penstock.projector.projections.statements import plain_text as _text
from penstock.projector.projections.statements import updating as _update
from penstock.projector.projections.users import user_statements


def registry_statements(entry: Entry, decision: Recorded[Any]) -> list[Statement]:
    """What a decision of the registry does, in its order."""
    key = {"tenant": uuid_text(entry.tenant), "id": entry.subject_id}
    made: list[Statement] = []
    for event in decision.events:
        at = _moment(decision.at)
        if entry.kind == TENANT:
            made.append(tenant_statement(event, key | {"at": at}))
        elif entry.kind == KEY:
            made.append(key_statement(event, key))
        elif entry.kind == WORKFLOW:
            made += workflow_statements(event, key | {"at": at})
        elif entry.kind == VARIABLE:
            made.append(variable_statement(event, key))
        elif entry.kind == USERS:
            made += user_statements(event, key["tenant"])
        elif entry.kind == SECRET:
            made.append(secret_statement(event, key))
        elif entry.kind == CONNECTION:
            made.append(connection_statement(event, key))
    return made


def tenant_statement(event: TenantEvent, key: Parameters) -> Statement:
    """key: tenant, id, at. Of a deleted tenant neither name nor settings are left."""
    values: Parameters
    match event:
        case TenantCreated():
            sql = (
                "insert into penstock.tenants (tenant_id, name, config, created_at, updated_at) "
                "values (%(id)s, %(name)s, %(config)s, %(created_at)s, %(created_at)s)"
            )
            values = {
                "name": _text(event.name),
                "config": _json(event.config),
                "created_at": _moment(event.created_at),
            }
        case TenantRenamed():
            sql = _update("tenants", "name = %(name)s, updated_at = %(at)s", "tenant_id = %(id)s")
            values = {"name": _text(event.name)}
        case TenantConfigured():
            sql = _update(
                "tenants", "config = %(config)s, updated_at = %(at)s", "tenant_id = %(id)s"
            )
            values = {"config": _json(event.config)}
        case TenantDeleted():
            changes = (
                "deleted_at = %(deleted_at)s, updated_at = %(at)s, name = '', config = %(config)s"
            )
            sql = _update("tenants", changes, "tenant_id = %(id)s")
            values = {"deleted_at": _moment(event.deleted_at), "config": _json(NOTHING_SET)}
        case TenantErased():
            sql = ERASED
            values = {
                "erased_at": _moment(event.erased_at),
                "keys_destroyed_at": _moment(event.keys_destroyed_at),
                "data_keys": event.data_keys,
                "rows": _json(event.rows),
                "objects": event.objects,
                "object_bytes": event.object_bytes,
            }
        case _:
            assert_never(event)
    return Statement(sql, key | values)


NOTHING_SET = TenantConfig()
ERASED = """
insert into penstock.erasures (tenant_id, erased_at, keys_destroyed_at, data_keys, rows, objects,
    object_bytes)
values (%(id)s, %(erased_at)s, %(keys_destroyed_at)s, %(data_keys)s, %(rows)s, %(objects)s,
    %(object_bytes)s)
"""
OF_ID = "tenant_id = %(tenant)s and id = %(id)s"
OF_WORKFLOW = "tenant_id = %(tenant)s and workflow_id = %(id)s and number = %(number)s"


def key_statement(event: ApiKeyEvent, key: Parameters) -> Statement:
    """key: tenant, id."""
    match event:
        case ApiKeyCreated():
            sql = (
                "insert into penstock.api_keys "
                "(tenant_id, id, name, role, created_by, created_at, expires_at) values "
                "(%(tenant)s, %(id)s, %(name)s, %(role)s, %(by)s, %(created_at)s, %(expires_at)s)"
            )
            values: Parameters = {
                "name": _text(event.name),
                "role": str(event.role),
                "by": _text(event.created_by),
                "created_at": _moment(event.created_at),
                "expires_at": _moment(event.expires_at),
            }
        case ApiKeyRevoked():
            sql = _update("api_keys", "revoked_at = %(revoked_at)s", OF_ID)
            values = {"revoked_at": _moment(event.revoked_at)}
        case _:
            assert_never(event)
    return Statement(sql, key | values)


def variable_statement(event: VariableEvent, key: Parameters) -> Statement:
    """key: tenant, id. Every event is one revision; a deleted variable may be made again."""
    values: Parameters
    match event:
        case VariableCreated():
            sql = VARIABLE_CREATED
            values = {
                "name": _text(event.name),
                "value": _json(event.value),
                "description": _text(event.description),
                "by": _text(event.created_by),
                "at": _moment(event.created_at),
            }
        case VariableChanged():
            changes = "value = %(value)s, description = %(description)s, updated_at = %(at)s"
            sql = _update("variables", f"{changes}, revision = revision + 1", OF_ID)
            values = {
                "value": _json(event.value),
                "description": _text(event.description),
                "at": _moment(event.changed_at),
            }
        case VariableDeleted():
            changes = "deleted_at = %(at)s, updated_at = %(at)s, revision = revision + 1"
            sql = _update("variables", changes, OF_ID)
            values = {"at": _moment(event.deleted_at)}
        case _:
            assert_never(event)
    return Statement(sql, key | values)


VARIABLE_CREATED = """
insert into penstock.variables as v (tenant_id, id, name, value, description, created_by,
    created_at, updated_at, revision)
values (%(tenant)s, %(id)s, %(name)s, %(value)s, %(description)s, %(by)s, %(at)s, %(at)s, 1)
on conflict (tenant_id, id) do update set value = excluded.value,
    description = excluded.description, created_by = excluded.created_by,
    created_at = excluded.created_at, updated_at = excluded.updated_at, deleted_at = null,
    revision = v.revision + 1
"""


def workflow_statements(event: WorkflowEvent, key: Parameters) -> list[Statement]:
    """key: tenant, id, at. Every event is one revision."""
    changed = "updated_at = %(at)s, revision = revision + 1"
    match event:
        case WorkflowCreated():
            return [_workflow_created(event, key)]
        case WorkflowRecreated():
            return _workflow_recreated(event, key)
        case WorkflowVersionCreated():
            sql = _update("workflows", f"latest_number = %(number)s, {changed}", OF_ID)
            return [_version_created(event, key), Statement(sql, key | {"number": event.number})]
        case WorkflowVersionPublished():
            values = {"number": event.number, "published_at": _moment(event.published_at)}
            publish = "status = 'published', published_at = %(published_at)s"
            newest = "published_number = greatest(published_number, %(number)s)"
            return [
                Statement(_update("workflow_versions", publish, OF_WORKFLOW), key | values),
                Statement(_update("workflows", f"{newest}, {changed}", OF_ID), key | values),
            ]
        case WorkflowVersionPinned():
            sql = _update("workflows", f"pinned_number = %(number)s, {changed}", OF_ID)
            return [Statement(sql, key | {"number": event.number})]
        case WorkflowVersionUnpinned():
            return [Statement(_update("workflows", f"pinned_number = null, {changed}", OF_ID), key)]
        case WorkflowRenamed():
            sql = _update("workflows", f"name = %(name)s, {changed}", OF_ID)
            return [Statement(sql, key | {"name": _text(event.name)})]
        case WorkflowVisibilityChanged():
            sql = _update("workflows", f"visibility = %(visibility)s, {changed}", OF_ID)
            return [Statement(sql, key | {"visibility": str(event.visibility)})]
        case WorkflowDeleted():
            sql = _update("workflows", f"deleted_at = %(deleted_at)s, {changed}", OF_ID)
            return [Statement(sql, key | {"deleted_at": _moment(event.deleted_at)})]
        case _:
            assert_never(event)


def _workflow_created(event: WorkflowCreated, key: Parameters) -> Statement:
    return Statement(
        "insert into penstock.workflows (tenant_id, id, key, name, visibility, created_by, "
        "created_at, updated_at, revision) values (%(tenant)s, %(id)s, %(key)s, %(name)s, "
        "%(visibility)s, %(by)s, %(created_at)s, %(created_at)s, 1)",
        key
        | {
            "key": _text(event.key),
            "name": _text(event.name),
            "visibility": str(event.visibility),
            "by": _text(event.created_by),
            "created_at": _moment(event.created_at),
        },
    )


def _workflow_recreated(event: WorkflowRecreated, key: Parameters) -> list[Statement]:
    changes = (
        "name = %(name)s, visibility = %(visibility)s, created_by = %(by)s, "
        "created_at = %(created_at)s, updated_at = %(created_at)s, deleted_at = null, "
        "published_number = null, pinned_number = null, revision = revision + 1"
    )
    values = {
        "name": _text(event.name),
        "visibility": str(event.visibility),
        "by": _text(event.created_by),
        "created_at": _moment(event.created_at),
    }
    drafts = _update(
        "workflow_versions",
        "status = 'draft', published_at = null",
        "tenant_id = %(tenant)s and workflow_id = %(id)s",
    )
    return [
        Statement(_update("workflows", changes, OF_ID), key | values),
        Statement(drafts, key),
    ]


def _version_created(event: WorkflowVersionCreated, key: Parameters) -> Statement:
    return Statement(
        "insert into penstock.workflow_versions (tenant_id, workflow_id, number, id, status, "
        "content_hash, definition, created_by, created_at) values (%(tenant)s, "
        "%(id)s, %(number)s, %(version_id)s, 'draft', %(content_hash)s, %(definition)s, "
        "%(by)s, %(created_at)s)",
        key
        | {
            "number": event.number,
            "version_id": event.version_id,
            "content_hash": event.content_hash,
            "definition": _json(event.definition),
            "by": _text(event.created_by),
            "created_at": _moment(event.created_at),
        },
    )
