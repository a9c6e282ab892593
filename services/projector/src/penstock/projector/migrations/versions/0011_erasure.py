"""What removes a deleted tenant: every row that it has in any table, in batches that are counted.

The tables are found in the catalogue, so that one that a later migration makes is covered. What
stays of a tenant is listed in `KEPT`: its part of the archive with the ends of its chains, which
must verify, and what says that it was deleted. Only the projector may ask for it, and only for a
tenant that the log says is deleted. Each call destroys the data keys anew, should the first attempt
at that have failed.

Pre-deploy: tables and functions that nobody knew.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = """
create index tenants_deleted on penstock.tenants (deleted_at) where deleted_at is not null;

create table penstock.erasures (
    tenant_id uuid not null,
    erased_at timestamptz not null,
    keys_destroyed_at timestamptz,
    data_keys integer not null default 0,
    rows json not null,
    objects bigint not null,
    object_bytes bigint not null,
    constraint erasures_pkey primary key (tenant_id)
);
comment on column penstock.erasures.rows is 'how many were removed, by table';

create table vault.erasing (
    tenant_id uuid not null,
    rows jsonb not null,
    objects bigint not null,
    object_bytes bigint not null,
    constraint erasing_pkey primary key (tenant_id)
);
comment on column vault.erasing.rows is 'how many are removed so far, by table';
"""

ACCESS = """
alter table penstock.erasures enable row level security;
alter table penstock.erasures force row level security;
create policy owner on penstock.erasures to current_user using (true) with check (true);
grant select on penstock.erasures to penstock_api;
create policy tenant on penstock.erasures for select to penstock_api
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on penstock.erasures to penstock_projector;
create policy projector on penstock.erasures to penstock_projector using (true) with check (true);

alter table vault.erasing enable row level security;
alter table vault.erasing force row level security;
create policy owner on vault.erasing to current_user using (true) with check (true);
"""

KEPT = (
    "penstock.event_archive",
    "penstock.chain_heads",
    "penstock.quarantined",
    "penstock.tenants",
    "penstock.erasures",
    "vault.destroyed_keys",
    "vault.erasing",
)
"""Of the row in `tenants`, when it came and went: its name and settings go with its deletion. Of
what is quarantined, that it is: the reason goes."""

OF_RUNS = ("penstock.runs", "penstock.run_steps", "penstock.run_tags")
"""They stay while some run lives, unless the whole is asked for: by them schedulers find it, and
bring it to its end."""

FUNCTIONS = f"""
create function penstock.tables_of_tenants()
returns table (schema_name name, table_name name, full_name text)
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
    select n.nspname, c.relname, n.nspname || '.' || c.relname
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
    where n.nspname in ('penstock', 'vault') and c.relkind in ('r', 'p')
      and not c.relispartition
      and n.nspname || '.' || c.relname <> all (array{list(KEPT)!r})
    order by 3;
end;

create function penstock.erase_rows(tenant uuid, at_most integer, whole boolean) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $body$
declare
    erased record;
    removed integer;
    total integer := 0;
    counted jsonb := '{{}}';
    runs_live boolean;
begin
    if not exists (select from penstock.tenants t
                   where t.tenant_id = tenant and t.deleted_at is not null) then
        raise exception 'tenant % is not deleted', tenant;
    end if;
    perform vault.destroy_data_keys(tenant);
    runs_live := not whole and exists (
        select from penstock.runs r where r.tenant_id = tenant and not r.is_quarantined
        and r.status in ('queued', 'running', 'paused', 'waiting'));
    for erased in select * from penstock.tables_of_tenants() loop
        continue when runs_live and erased.full_name = any (array{list(OF_RUNS)!r});
        exit when total >= at_most;
        execute format(
            'delete from %1$I.%2$I where tenant_id = $1 and ctid = any (array('
            'select t.ctid from %1$I.%2$I t where t.tenant_id = $1 limit $2))',
            erased.schema_name, erased.table_name) using tenant, at_most - total;
        get diagnostics removed = row_count;
        total := total + removed;
        if removed > 0 then
            counted := counted || jsonb_build_object(erased.full_name, removed);
        end if;
    end loop;
    update penstock.quarantined set reason = '' where tenant_id = tenant and reason <> '';
    perform penstock.count_erased(tenant, counted, 0, 0);
    return total;
end $body$;

create function penstock.count_erased(
    tenant uuid, counted jsonb, more_objects bigint, more_bytes bigint) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    insert into vault.erasing as e (tenant_id, rows, objects, object_bytes)
    values (tenant, counted, more_objects, more_bytes)
    on conflict (tenant_id) do update set
        objects = e.objects + excluded.objects,
        object_bytes = e.object_bytes + excluded.object_bytes,
        rows = (
            select coalesce(jsonb_object_agg(s.name, s.n), '{{}}') from (
                select b.key as name, sum(b.value::bigint) as n
                from (select * from jsonb_each_text(e.rows)
                      union all select * from jsonb_each_text(excluded.rows)) b
                group by b.key) s);
end;

create function penstock.erased_so_far(tenant uuid)
returns table (rows text, objects bigint, object_bytes bigint, data_keys integer,
               keys_destroyed_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select e.rows::text, e.objects, e.object_bytes, d.keys, d.destroyed_at
    from vault.erasing e join vault.destroyed_keys d using (tenant_id)
    where e.tenant_id = tenant;
end;

revoke all on function penstock.tables_of_tenants() from public;
revoke all on function penstock.erase_rows(uuid, integer, boolean) from public;
revoke all on function penstock.count_erased(uuid, jsonb, bigint, bigint) from public;
revoke all on function penstock.erased_so_far(uuid) from public;
grant execute on function penstock.erase_rows(uuid, integer, boolean),
    penstock.count_erased(uuid, jsonb, bigint, bigint), penstock.erased_so_far(uuid)
    to penstock_projector;
"""


def upgrade() -> None:
    """Make tables and functions."""
    op.execute(TABLES)
    op.execute(ACCESS)
    op.execute(FUNCTIONS)


def downgrade() -> None:
    """Remove nothing any more."""
    op.execute(
        "drop function penstock.erase_rows, penstock.count_erased, penstock.erased_so_far, "
        "penstock.tables_of_tenants"
    )
    op.execute("drop table vault.erasing, penstock.erasures")
    op.execute("drop index penstock.tenants_deleted")
