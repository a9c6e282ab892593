"""Users of tenants, and what the vault has of them: passwords, sessions, invitations, failures.

Pre-deploy: tables and functions that nobody knew.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

USERS = """
create table penstock.users (
    tenant_id uuid not null,
    id uuid not null,
    role text not null,
    status text not null,
    profile json not null,
    created_by text not null,
    created_at timestamptz not null,
    accepted_at timestamptz,
    removed_at timestamptz,
    constraint users_pkey primary key (tenant_id, id)
);
comment on column penstock.users.status is 'invited, active or removed';
comment on column penstock.users.profile is 'payload: {email, name}';
create index users_by_time on penstock.users (tenant_id, created_at desc, id desc);

alter table penstock.users enable row level security;
alter table penstock.users force row level security;
create policy owner on penstock.users to current_user using (true) with check (true);
grant select on penstock.users to penstock_api;
create policy tenant on penstock.users for select to penstock_api
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on penstock.users to penstock_projector;
create policy projector on penstock.users to penstock_projector using (true) with check (true);
"""

VAULT = """
create table vault.emails (
    digest bytea not null,
    tenant_id uuid not null,
    user_id uuid not null,
    constraint emails_pkey primary key (digest)
);
comment on column vault.emails.digest is 'keyed digest of the address';
create index emails_by_user on vault.emails (tenant_id, user_id);

create table vault.logins (
    tenant_id uuid not null,
    user_id uuid not null,
    password_hash text,
    invite_hash bytea,
    invite_expires_at timestamptz,
    doubtful_since timestamptz,
    constraint logins_pkey primary key (tenant_id, user_id)
);
comment on column vault.logins.password_hash is 'argon2id; null until an invitation is accepted';
comment on column vault.logins.invite_hash is 'of a token that was not used yet';
comment on column vault.logins.doubtful_since is
    'while it is not known whether the log has the user';
create index logins_by_invite on vault.logins (invite_hash) where invite_hash is not null;
create index logins_doubtful on vault.logins (doubtful_since) where doubtful_since is not null;

create table vault.sessions (
    tenant_id uuid not null,
    id uuid not null,
    user_id uuid not null,
    hash bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    constraint sessions_pkey primary key (tenant_id, id)
);
comment on column vault.sessions.hash is 'of the one token that is good';
create index sessions_by_id on vault.sessions (id);
create index sessions_by_user on vault.sessions (tenant_id, user_id);
create index sessions_by_end on vault.sessions (expires_at);

create table vault.failures (
    subject bytea not null,
    count integer not null,
    until timestamptz not null,
    constraint failures_pkey primary key (subject)
);
comment on column vault.failures.subject is 'digest of an account or an address';
create index failures_by_end on vault.failures (until);
grant select, insert, update, delete on vault.failures to penstock_api;
"""

TENANT_TABLES = ("vault.emails", "vault.logins", "vault.sessions")

SECURED = """
alter table {table} enable row level security;
alter table {table} force row level security;
create policy owner on {table} to current_user using (true) with check (true);
grant select, insert, update, delete on {table} to penstock_api;
create policy tenant on {table} to penstock_api
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
"""

FUNCTIONS = """
create function vault.find_login(digests bytea[])
returns table (tenant_id uuid, user_id uuid, password_hash text)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select l.tenant_id, l.user_id, l.password_hash
    from vault.emails e join vault.logins l using (tenant_id, user_id)
    where e.digest = any (digests) limit 1;
end;

create function vault.find_invitation(hash bytea)
returns table (tenant_id uuid, user_id uuid)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select l.tenant_id, l.user_id from vault.logins l
    where l.invite_hash = hash and l.invite_expires_at > now() limit 1;
end;

create function vault.find_session(session_id uuid)
returns table (tenant_id uuid, user_id uuid)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select s.tenant_id, s.user_id from vault.sessions s where s.id = session_id;
end;

create function vault.list_doubtful(before timestamptz, at_most integer)
returns table (tenant_id uuid, user_id uuid)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select l.tenant_id, l.user_id from vault.logins l
    where l.doubtful_since < before order by l.doubtful_since limit least(at_most, 1000);
end;

create function vault.sweep(at_most integer) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
    delete from vault.sessions where (tenant_id, id) in (
        select s.tenant_id, s.id from vault.sessions s
        where s.expires_at < now() limit least(at_most, 1000));
    delete from vault.failures where subject in (
        select f.subject from vault.failures f
        where f.until < now() limit least(at_most, 1000));
end;

revoke all on all functions in schema vault from public;
grant execute on function vault.find_login(bytea[]), vault.find_invitation(bytea),
    vault.find_session(uuid), vault.list_doubtful(timestamptz, integer), vault.sweep(integer)
    to penstock_api;
"""


def upgrade() -> None:
    """Make the tables and say who may do what with them."""
    op.execute(USERS)
    op.execute(VAULT)
    for table in TENANT_TABLES:
        op.execute(SECURED.format(table=table))
    op.execute(FUNCTIONS)


def downgrade() -> None:
    """Forget the users, whom the log has, and their passwords, which nobody else has."""
    op.execute(
        "drop function vault.find_login, vault.find_invitation, vault.find_session, "
        "vault.list_doubtful, vault.sweep"
    )
    op.execute("drop table vault.failures, vault.sessions, vault.logins, vault.emails")
    op.execute("drop table penstock.users")
