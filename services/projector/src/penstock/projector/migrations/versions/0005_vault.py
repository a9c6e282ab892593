"""Data keys, secrets and connections, and the role that executors have.

Pre-deploy: tables that nobody knew. `migrate` makes the role before any migration runs.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OWN_TENANT = "tenant_id = nullif(current_setting('app.tenant', true), '')::uuid"

KEYS = """
create table vault.data_keys (
    tenant_id uuid not null,
    id uuid not null,
    kek_id text not null,
    wrapped bytea not null,
    created_at timestamptz not null default now(),
    constraint data_keys_pkey primary key (tenant_id, id)
);
comment on column vault.data_keys.kek_id is 'the key-encryption key that wraps it';
create index data_keys_by_kek on vault.data_keys (kek_id, tenant_id, id);

create table vault.destroyed_keys (
    tenant_id uuid not null,
    destroyed_at timestamptz not null default now(),
    keys integer not null,
    constraint destroyed_keys_pkey primary key (tenant_id)
);
comment on column vault.destroyed_keys.keys is 'how many data keys there were';
"""

SECRETS = """
create table vault.secrets (
    tenant_id uuid not null,
    kind text not null,
    name text not null,
    key_id uuid,
    sealed bytea,
    seq bigint not null,
    constraint secrets_pkey primary key (tenant_id, kind, name)
);
comment on column vault.secrets.kind is 'secret or connection';
comment on column vault.secrets.key_id is 'the data key that seals it';
comment on column vault.secrets.sealed is 'null once it was removed';
comment on column vault.secrets.seq is 'of the event that says so; a later one stands';
"""

READ_MODELS = """
create table penstock.secrets (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    created_by text not null,
    created_at timestamptz not null,
    updated_by text not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    revision integer not null,
    constraint secrets_pkey primary key (tenant_id, id)
);
comment on column penstock.secrets.revision is 'its count of events: the ETag';
create unique index secrets_by_name on penstock.secrets (tenant_id, name);
create index secrets_by_time on penstock.secrets (tenant_id, created_at desc, id desc);

create table penstock.connections (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    type text not null,
    config json not null,
    created_by text not null,
    created_at timestamptz not null,
    updated_by text not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    revision integer not null,
    constraint connections_pkey primary key (tenant_id, id)
);
comment on column penstock.connections.config is 'payload: its public part';
comment on column penstock.connections.revision is 'its count of events: the ETag';
create unique index connections_by_name on penstock.connections (tenant_id, name);
create index connections_by_time on penstock.connections (tenant_id, created_at desc, id desc);
"""

FUNCTIONS = """
create function vault.find_data_key(tenant uuid, key uuid)
returns setof vault.data_keys
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select k.* from vault.data_keys k
    where k.tenant_id = tenant and (key is null or k.id = key)
    order by k.created_at desc, k.id desc
    limit 1;
end;

create function vault.add_data_key(tenant uuid, key uuid, kek text, wrapped bytea, after uuid)
returns setof vault.data_keys
language plpgsql security definer set search_path = pg_catalog, pg_temp as $body$
begin
    perform pg_advisory_xact_lock(hashtext('vault.add_data_key'), hashtext(tenant::text));
    if exists (select from vault.destroyed_keys d where d.tenant_id = tenant) then
        return;
    end if;
    if (select k.id from vault.data_keys k where k.tenant_id = tenant
        order by k.created_at desc, k.id desc limit 1) is not distinct from after then
        insert into vault.data_keys (tenant_id, id, kek_id, wrapped, created_at)
        values (tenant, key, kek, wrapped, clock_timestamp());
    end if;
    return query select * from vault.find_data_key(tenant, null);
end $body$;

create function vault.destroy_data_keys(tenant uuid) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $body$
declare
    destroyed integer;
begin
    perform pg_advisory_xact_lock(hashtext('vault.add_data_key'), hashtext(tenant::text));
    delete from vault.data_keys k where k.tenant_id = tenant;
    get diagnostics destroyed = row_count;
    delete from vault.secrets s where s.tenant_id = tenant;
    insert into vault.destroyed_keys as d (tenant_id, keys) values (tenant, destroyed)
    on conflict (tenant_id) do update set keys = d.keys + excluded.keys;
    return destroyed;
end $body$;

create function vault.find_secrets(tenant uuid, secrets text[], connections text[])
returns table (kind text, name text, key_id uuid, sealed bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select s.kind, s.name, s.key_id, s.sealed from vault.secrets s
    where s.tenant_id = tenant and s.sealed is not null
      and (s.kind = 'secret' and s.name = any (secrets)
           or s.kind = 'connection' and s.name = any (connections))
    limit 1000;
end;

revoke all on function vault.find_data_key(uuid, uuid) from public;
revoke all on function vault.add_data_key(uuid, uuid, text, bytea, uuid) from public;
revoke all on function vault.destroy_data_keys(uuid) from public;
revoke all on function vault.find_secrets(uuid, text[], text[]) from public;
grant usage on schema vault to penstock_executor, penstock_scheduler;
grant usage on schema penstock to penstock_executor;
grant execute on function vault.find_data_key(uuid, uuid)
    to penstock_api, penstock_scheduler, penstock_executor;
grant execute on function vault.add_data_key(uuid, uuid, text, bytea, uuid)
    to penstock_api, penstock_scheduler, penstock_executor;
grant execute on function vault.destroy_data_keys(uuid) to penstock_api;
grant execute on function vault.find_secrets(uuid, text[], text[]) to penstock_executor;
"""

VAULT_TABLES = ("vault.data_keys", "vault.destroyed_keys", "vault.secrets")
READ_TABLES = ("penstock.secrets", "penstock.connections")

API_WRITES = """
grant select (tenant_id, kind, name, seq), insert, update (key_id, sealed, seq)
    on vault.secrets to penstock_api
"""
"""What is sealed can be replaced through the API and not read: only executors find it."""


def upgrade() -> None:
    """Make the tables, and say who may do what with them."""
    for statements in (KEYS, SECRETS, READ_MODELS):
        op.execute(statements)
    for table in (*VAULT_TABLES, *READ_TABLES):
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy owner on {table} to current_user using (true) with check (true)")
    op.execute(API_WRITES)
    op.execute(
        f"create policy tenant on vault.secrets to penstock_api "
        f"using ({OWN_TENANT}) with check ({OWN_TENANT})"
    )
    for table in READ_TABLES:
        op.execute(f"grant select on {table} to penstock_api")
        op.execute(
            f"create policy tenant on {table} for select to penstock_api using ({OWN_TENANT})"
        )
        op.execute(f"grant select, insert, update, delete on {table} to penstock_projector")
        op.execute(
            f"create policy projector on {table} to penstock_projector "
            "using (true) with check (true)"
        )
    op.execute(FUNCTIONS)


def downgrade() -> None:
    """Forget secrets and keys: what they seal is lost."""
    for function in ("find_secrets", "destroy_data_keys", "add_data_key", "find_data_key"):
        op.execute(f"drop function vault.{function}")
    for table in (*READ_TABLES, *VAULT_TABLES):
        op.execute(f"drop table {table}")
    op.execute("revoke usage on schema vault from penstock_executor, penstock_scheduler")
    op.execute("revoke usage on schema penstock from penstock_executor")
