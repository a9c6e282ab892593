"""What the events of secrets and connections change: who set which, never to what."""

from typing import assert_never

from penstock.domain.connection.events import ConnectionEvent, ConnectionRemoved, ConnectionSet
from penstock.domain.secret.events import SecretEvent, SecretRemoved, SecretSet
from penstock.projector.projections.statements import (
    Parameters,
    Statement,
    json_text,
    moment,
    plain_text,
)

SECRET_SET = """
insert into penstock.secrets as s (tenant_id, id, name, created_by, created_at, updated_by,
    updated_at, revision)
values (%(tenant)s, %(id)s, %(name)s, %(by)s, %(at)s, %(by)s, %(at)s, 1)
on conflict (tenant_id, id) do update set
    created_by = case when s.deleted_at is null then s.created_by else excluded.created_by end,
    created_at = case when s.deleted_at is null then s.created_at else excluded.created_at end,
    updated_by = excluded.updated_by, updated_at = excluded.updated_at, deleted_at = null,
    revision = s.revision + 1
"""
CONNECTION_SET = """
insert into penstock.connections as c (tenant_id, id, name, type, config, created_by, created_at,
    updated_by, updated_at, revision)
values (%(tenant)s, %(id)s, %(name)s, %(type)s, %(config)s, %(by)s, %(at)s, %(by)s, %(at)s, 1)
on conflict (tenant_id, id) do update set
    type = excluded.type, config = excluded.config,
    created_by = case when c.deleted_at is null then c.created_by else excluded.created_by end,
    created_at = case when c.deleted_at is null then c.created_at else excluded.created_at end,
    updated_by = excluded.updated_by, updated_at = excluded.updated_at, deleted_at = null,
    revision = c.revision + 1
"""
REMOVED = """
update penstock.{table} set deleted_at = %(at)s, updated_at = %(at)s, updated_by = %(by)s,
    revision = revision + 1
where tenant_id = %(tenant)s and id = %(id)s
"""
SECRET_REMOVED = REMOVED.format(table="secrets")
CONNECTION_REMOVED = REMOVED.format(table="connections")


def secret_statement(event: SecretEvent, key: Parameters) -> Statement:
    """key: tenant, id. Every event is one revision; a removed secret may be set again."""
    match event:
        case SecretSet():
            values = {
                "name": plain_text(event.name),
                "by": plain_text(event.set_by),
                "at": moment(event.set_at),
            }
            return Statement(SECRET_SET, key | values)
        case SecretRemoved():
            values = {"by": plain_text(event.removed_by), "at": moment(event.removed_at)}
            return Statement(SECRET_REMOVED, key | values)
        case _:
            assert_never(event)


def connection_statement(event: ConnectionEvent, key: Parameters) -> Statement:
    """key: tenant, id. As `secret_statement`."""
    match event:
        case ConnectionSet():
            values: Parameters = {
                "name": plain_text(event.name),
                "type": plain_text(event.kind),
                "config": json_text(event.config),
                "by": plain_text(event.set_by),
                "at": moment(event.set_at),
            }
            return Statement(CONNECTION_SET, key | values)
        case ConnectionRemoved():
            values = {"by": plain_text(event.removed_by), "at": moment(event.removed_at)}
            return Statement(CONNECTION_REMOVED, key | values)
        case _:
            assert_never(event)
