"""What others may read of a workflow that is public: three functions, and nothing else.

They show published versions only, and nobody's name. A workflow that is hidden again, or deleted,
or whose tenant is, is not there.

Pre-deploy: functions that nobody knew.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INDEX = """
create index workflows_public on penstock.workflows (id)
    where visibility = 'public-read' and deleted_at is null;
"""

FUNCTIONS = """
create function penstock.find_public_workflow(workflow uuid)
returns table (tenant_id uuid, id uuid, key text, name text, visibility text, created_by text,
               created_at timestamptz, latest_number integer, published_number integer,
               pinned_number integer, definition json)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select w.tenant_id, w.id, w.key, w.name, w.visibility, null::text, w.created_at,
           w.published_number, w.published_number, null::integer, v.definition
    from penstock.workflows w join penstock.tenants t on t.tenant_id = w.tenant_id
    left join penstock.workflow_versions v on v.tenant_id = w.tenant_id
        and v.workflow_id = w.id and v.number = w.published_number
    where w.id = workflow and w.visibility = 'public-read' and w.deleted_at is null
      and t.deleted_at is null;
end;

create function penstock.list_public_versions(workflow uuid, below integer, at_most integer)
returns table (tenant_id uuid, id uuid, number integer, status text, content_hash text,
               created_by text, created_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select v.tenant_id, v.id, v.number, v.status, v.content_hash, null::text, v.created_at
    from penstock.find_public_workflow(workflow) w join penstock.workflow_versions v
        on v.tenant_id = w.tenant_id and v.workflow_id = w.id
    where v.status = 'published' and v.number < below
    order by v.number desc limit least(at_most, 201);
end;

create function penstock.find_public_version(workflow uuid, version_number integer, version uuid)
returns table (tenant_id uuid, id uuid, number integer, status text, content_hash text,
               created_by text, created_at timestamptz, definition json)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select v.tenant_id, v.id, v.number, v.status, v.content_hash, null::text, v.created_at,
           v.definition
    from penstock.find_public_workflow(workflow) w join penstock.workflow_versions v
        on v.tenant_id = w.tenant_id and v.workflow_id = w.id
    where v.status = 'published' and (v.number = version_number or v.id = version);
end;

revoke all on function penstock.find_public_workflow(uuid),
    penstock.list_public_versions(uuid, integer, integer),
    penstock.find_public_version(uuid, integer, uuid) from public;
grant execute on function penstock.find_public_workflow(uuid),
    penstock.list_public_versions(uuid, integer, integer),
    penstock.find_public_version(uuid, integer, uuid) to penstock_api;
"""


def upgrade() -> None:
    """Make the functions, and the index that they look into."""
    op.execute(INDEX)
    op.execute(FUNCTIONS)


def downgrade() -> None:
    """Show nothing to others any more."""
    op.execute(
        "drop function penstock.find_public_version(uuid, integer, uuid), "
        "penstock.list_public_versions(uuid, integer, integer), "
        "penstock.find_public_workflow(uuid)"
    )
    op.execute("drop index penstock.workflows_public")
