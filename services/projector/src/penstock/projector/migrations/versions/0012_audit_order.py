"""Where the registry's messages stand among those of the log of events, in one order of a tenant.

Each log is in order by itself. One projector writes both, so what it writes is in one order: a
message of the registry comes right after the last event that the tables had when it was written.
Messages of the registry are rare; those of events need nothing more than their sequence.

What stays of a tenant that is deleted is its part of the archive, and these places with it.

Pre-deploy: a table that nobody knew. What was archived before gets its place by its time.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLE = """
create table penstock.registry_places (
    tenant_id uuid not null,
    seq bigint not null,
    events_seq bigint not null,
    constraint registry_places_pkey primary key (tenant_id, seq)
);
create index registry_places_in_order on penstock.registry_places (tenant_id, events_seq, seq);

alter table penstock.registry_places enable row level security;
alter table penstock.registry_places force row level security;
create policy owner on penstock.registry_places to current_user using (true) with check (true);
grant select on penstock.registry_places to penstock_api;
create policy tenant on penstock.registry_places to penstock_api
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert on penstock.registry_places to penstock_projector;
create policy projector on penstock.registry_places to penstock_projector
    using (true) with check (true);
"""

PLACED_BEFORE = """
insert into penstock.registry_places (tenant_id, seq, events_seq)
select tenant_id, seq, max(before) over (order by seq)
from (
    select tenant_id, log, seq,
        coalesce(max(seq) filter (where log = 'events')
            over (order by recorded_at, log, seq), 0) as before
    from penstock.event_archive
) archived
where log = 'registry'
"""

ERASED = """
create or replace function penstock.tables_of_tenants()
returns table (schema_name name, table_name name, full_name text)
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
    select n.nspname, c.relname, n.nspname || '.' || c.relname
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
    where n.nspname in ('penstock', 'vault') and c.relkind in ('r', 'p')
      and not c.relispartition
      and n.nspname || '.' || c.relname <> all (array{kept!r})
    order by 3;
end;
"""
KEPT = [
    "penstock.event_archive",
    "penstock.chain_heads",
    "penstock.quarantined",
    "penstock.tenants",
    "penstock.erasures",
    "vault.destroyed_keys",
    "vault.erasing",
]
PLACES = "penstock.registry_places"


def upgrade() -> None:
    """Make the table, and say who may do what with it."""
    op.execute(TABLE)
    op.execute(PLACED_BEFORE)
    op.execute(ERASED.format(kept=[*KEPT, PLACES]))


def downgrade() -> None:
    """Have two orders again."""
    op.execute(ERASED.format(kept=KEPT))
    op.execute("drop table penstock.registry_places")
