"""What finds a tenant's first data key: it goes on sealing what has to be compared.

Pre-deploy: a function that nobody knew.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FIRST = """
create function vault.first_data_key(tenant uuid)
returns setof vault.data_keys
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select k.* from vault.data_keys k
    where k.tenant_id = tenant
    order by k.created_at, k.id
    limit 1;
end;

revoke all on function vault.first_data_key(uuid) from public;
grant execute on function vault.first_data_key(uuid)
    to penstock_api, penstock_scheduler, penstock_executor;
"""


def upgrade() -> None:
    """Make the function."""
    op.execute(FIRST)


def downgrade() -> None:
    """Remove it: what is sealed stays sealed."""
    op.execute("drop function vault.first_data_key")
