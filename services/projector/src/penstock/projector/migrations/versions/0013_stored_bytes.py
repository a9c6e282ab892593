"""How many bytes each tenant has stored, as it was measured last.

Pre-deploy: a table that nobody knew.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLE = """
create table penstock.stored_bytes (
    tenant_id uuid not null,
    measured_at timestamptz not null,
    object_bytes bigint not null,
    row_bytes bigint not null,
    constraint stored_bytes_pkey primary key (tenant_id)
);
comment on column penstock.stored_bytes.row_bytes is 'estimated where tables are large';

alter table penstock.stored_bytes enable row level security;
alter table penstock.stored_bytes force row level security;
create policy owner on penstock.stored_bytes to current_user using (true) with check (true);
grant select on penstock.stored_bytes to penstock_api;
create policy tenant on penstock.stored_bytes for select to penstock_api
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on penstock.stored_bytes to penstock_projector;
create policy projector on penstock.stored_bytes to penstock_projector
    using (true) with check (true);
"""


def upgrade() -> None:
    """Make the table, and say who may do what with it."""
    op.execute(TABLE)


def downgrade() -> None:
    """Forget what was measured."""
    op.execute("drop table penstock.stored_bytes")
