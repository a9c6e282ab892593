"""Variables of tenants, which the API reads tenant by tenant.

Pre-deploy: a table that nobody knew.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

VARIABLES = """
create table penstock.variables (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    value json not null,
    description text not null,
    created_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    revision integer not null,
    constraint variables_pkey primary key (tenant_id, id)
);
comment on column penstock.variables.value is 'payload';
comment on column penstock.variables.revision is 'its count of events: the ETag';
create unique index variables_by_name on penstock.variables (tenant_id, name);
create index variables_by_time on penstock.variables (tenant_id, created_at desc, id desc);
"""

ACCESS = """
alter table penstock.variables enable row level security;
alter table penstock.variables force row level security;
create policy owner on penstock.variables to current_user using (true) with check (true);
grant select on penstock.variables to penstock_api;
create policy tenant on penstock.variables for select to penstock_api
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on penstock.variables to penstock_projector;
create policy projector on penstock.variables to penstock_projector
    using (true) with check (true);
"""


def upgrade() -> None:
    """Make the table and say who may do what with it."""
    op.execute(VARIABLES)
    op.execute(ACCESS)


def downgrade() -> None:
    """Forget the variables; the log has them."""
    op.execute("drop table penstock.variables")
