"""What is counted against tenants' limits: places of workflows, executions of a day.

Neither is a read model: the API counts here what must be exact, and a rebuild does not touch it.

Pre-deploy: tables that nobody knew.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = """
create table vault.daily_executions (
    tenant_id uuid not null,
    day date not null,
    granted bigint not null,
    constraint daily_executions_pkey primary key (tenant_id, day)
) with (fillfactor = 50);
comment on column vault.daily_executions.granted is 'runs that may have begun, blocks included';

create table vault.workflow_places (
    tenant_id uuid not null,
    workflow_id uuid not null,
    taken_at timestamptz not null,
    constraint workflow_places_pkey primary key (tenant_id, workflow_id)
);
"""

ACCESS = """
alter table vault.{table} enable row level security;
alter table vault.{table} force row level security;
create policy owner on vault.{table} to current_user using (true) with check (true);
grant select, insert, update, delete on vault.{table} to penstock_api;
create policy tenant on vault.{table} to penstock_api
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
"""


def upgrade() -> None:
    """Make the tables and say who may do what with them."""
    op.execute(TABLES)
    for table in ("daily_executions", "workflow_places"):
        op.execute(ACCESS.format(table=table))


def downgrade() -> None:
    """Count anew: from the read models, as far as they tell."""
    op.execute("drop table vault.daily_executions")
    op.execute("drop table vault.workflow_places")
